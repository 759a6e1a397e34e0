"""Imports over HTTP: rows of any source, and Open Notebook's former singleton."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from litestar import Controller, Request, post
from litestar.params import JSONBody, QueryParameter
from msgspec import Struct

from keycairn.app.web.auth import need
from keycairn.app.web.inputs import TheCaller, TheKeycairn
from keycairn.app.web.limits import LARGEST_IMPORT
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.incoming import (
    Imported,
    ImportReport,
    IncomingRow,
    Skipped,
    touches_models,
)
from keycairn.domain.model import Slot
from keycairn.domain.secret import MASK, Secret
from keycairn.domain.token import Scope

WRITE = {"scope": Scope.CREDENTIALS_WRITE}
"""Bytes of one request: some hundred rows; send more rows in more requests."""
PASSPHRASE = "OPEN_NOTEBOOK_ENCRYPTION_KEY"  # noqa: S105  # a variable's name


class ImportRows(Struct, kw_only=True, forbid_unknown_fields=True):
    """Rows to import. With `again`, what was deleted here comes back.

    `planned` names the models that earlier rows of the same dry run would have made.
    """

    rows: list[IncomingRow]
    dry_run: bool = False
    again: bool = False
    planned: list[str] = []

    def __repr__(self) -> str:
        return f"ImportRows({len(self.rows)} rows: {MASK})"


class LegacyRecord(Struct, kw_only=True, forbid_unknown_fields=True):
    """The record `open_notebook:provider_configs`, and the passphrase that opens its keys."""

    provider_configs: dict[str, Any] | None = None
    passphrase: Secret | None = None
    dry_run: bool = False

    def __repr__(self) -> str:
        return f"LegacyRecord({MASK})"


class RefusedView(Struct, frozen=True, kw_only=True):
    """What cannot come in, and why."""

    where: str
    reason: str


class ImportView(Struct, frozen=True, kw_only=True):
    """What an import did, or would do. `renamed` maps ids that were sent to those the records got in their place."""

    dry_run: bool
    created: Sequence[Imported]
    repaired: Sequence[Imported]
    skipped: Sequence[Skipped]
    refused: Sequence[RefusedView]
    relinked: Sequence[str]
    models: Sequence[str]
    defaults: Mapping[Slot, str]
    renamed: Mapping[str, str] = {}


class LegacyView(Struct, frozen=True, kw_only=True):
    """The summary of a migration of the former singleton. The lists hold `provider/name`, `errors` a reason with each.

    `repair` are those whose key could not be read: they came in, and need their key to be sent.
    """

    message: str
    migrated: Sequence[str]
    skipped: Sequence[str]
    not_configured: Sequence[str]
    errors: Sequence[str]
    repair: Sequence[str]


class ImportController(Controller):
    """What others kept, brought in."""

    path = "/api/credentials"
    tags: Sequence[str] | None = ("Credentials",)

    @post(
        "/import",
        opt=WRITE,
        status_code=200,
        request_max_body_size=LARGEST_IMPORT,
        operation_id="import_records",
        summary="Import credentials, models and defaults",
    )
    async def take(
        self, keycairn: TheKeycairn, caller: TheCaller, request: Request[Any, Any, Any], data: JSONBody[ImportRows]
    ) -> ImportView:
        """What is here already stays as it is; a row that cannot come in is refused and stops no other.

        Models, links of models and defaults need the scope models:write too.
        """
        if any(map(touches_models, data.rows)):
            need(request, Scope.MODELS_WRITE)
        report = await keycairn.importer.take(
            data.rows, dry_run=data.dry_run, again=data.again, planned=set(data.planned), by=caller
        )
        return import_view(report)

    @post(
        "/migrate-from-provider-config",
        opt=WRITE,
        status_code=200,
        request_max_body_size=LARGEST_IMPORT,
        operation_id="migrate_provider_config",
        summary="Move Open Notebook's former provider_configs in",
    )
    async def legacy(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        request: Request[Any, Any, Any],
        data: JSONBody[LegacyRecord | None] = None,
        *,
        dry_run: Annotated[bool, QueryParameter(description="Only say what would happen.")] = False,
    ) -> LegacyView:
        """The record in the body, else the one in Keycairn's own database, where that is shared with Open Notebook.

        Without a passphrase, OPEN_NOTEBOOK_ENCRYPTION_KEY of the service's environment opens the latter; a record in
        the body is its sender's, and opens with a passphrase of his own only. Needs the scope models:write too.
        """
        body = data or LegacyRecord()
        document: Mapping[str, Any] | None = body.provider_configs
        passphrase = body.passphrase
        if document is None and keycairn.legacy and caller.workspace == DEFAULT_WORKSPACE:
            # The database and the environment are the installation's, so only its own workspace uses them.
            document = await keycairn.legacy.stored()
            passphrase = passphrase or keycairn.environment.variable(PASSPHRASE)
        if document is None or keycairn.legacy is None:
            return legacy_view(ImportReport(dry_run=dry_run), "There is no provider_configs record.")
        need(request, Scope.MODELS_WRITE)  # it links the models that have no credential
        source = keycairn.legacy.source(document, passphrase)
        report = await keycairn.importer.run(source, dry_run=dry_run or body.dry_run, by=caller)
        verb = "would be migrated" if report.dry_run else "migrated"
        return legacy_view(report, f"{len(report.created)} credentials {verb}.")


def import_view(report: ImportReport) -> ImportView:
    """The view of a report."""
    same = {name: getattr(report, name) for name in ImportView.__struct_fields__ if name != "refused"}
    return ImportView(**same, refused=[RefusedView(where=row.where, reason=row.reason) for row in report.refused])


def legacy_view(report: ImportReport, message: str) -> LegacyView:
    """The view of a migration of the former singleton."""
    return LegacyView(
        message=message,
        migrated=[one.where for one in report.created],
        skipped=[one.where for one in report.skipped],
        not_configured=[],
        errors=[f"{one.where}: {one.reason}" for one in report.refused],
        repair=[one.where for one in report.created if one.broken],
    )
