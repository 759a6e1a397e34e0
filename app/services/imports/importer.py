"""The importer: rows of an import become credentials, models and defaults."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from keycairn.app.contested import check_costs
from keycairn.app.services.audit import Deleted, Deletions, Journal
from keycairn.app.services.imports.credential_rows import CredentialRows
from keycairn.app.services.imports.ids import ImportIds
from keycairn.app.services.imports.loose_rows import LooseRows
from keycairn.app.services.imports.mapped_rows import RowMapper
from keycairn.app.services.imports.plan import Batch, ImportPlan
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import IN_PROCESS, Caller
from keycairn.domain.errors import ConflictError, InvalidInputError
from keycairn.domain.incoming import (
    ImportReport,
    IncomingCredential,
    IncomingDefaults,
    IncomingModel,
    IncomingRow,
    LeftBehind,
    Refused,
    Skipped,
    touches_models,
)
from keycairn.domain.redaction import Redactor
from keycairn.ports.clock import Clock
from keycairn.ports.source import ImportSource
from keycairn.ports.store import Store

BATCH = 200
"""Rows that are read before they are written."""
TOGETHER = 25
"""Rows in one commit, each whole with its models and its event."""
ATTEMPTS = 8
"""How often a row is worked out anew when others write in between."""
MEANWHILE = "somebody else changed this meanwhile; run the import again"


class Importer:
    """Imports rows. What is here already is never changed by it, but for a secret that did not open and now does."""

    def __init__(
        self, store: Store, mapper: RowMapper, deletions: Deletions, vault: Vault, journal: Journal, clock: Clock
    ) -> None:
        self._vault = vault
        self._deletions = deletions
        self._journal = journal
        ids = ImportIds(store)
        self._credentials = CredentialRows(store, mapper, ids, journal, clock)
        self._loose = LooseRows(store, mapper, ids, journal, clock)

    async def run(
        self,
        source: ImportSource,
        *,
        dry_run: bool = False,
        again: bool = False,
        progress: Callable[[int], None] | None = None,
        by: Caller = IN_PROCESS,
    ) -> ImportReport:
        """Import a whole source, a batch at a time; `progress` is told the number of rows done with each.

        Running it again changes nothing, and goes on where a run that was cut off ended. Raises
        UnreadableSourceError, SealedError or StoreError; what was committed until then stays.
        """
        reports = [ImportReport(dry_run=dry_run)]
        batch: list[IncomingRow] = []
        planned: set[str] = set()

        async def take() -> None:
            reports.append(await self.take(batch, dry_run=dry_run, again=again, planned=planned, by=by))
            planned.update(reports[-1].models)
            if progress:
                progress(len(batch))
            batch.clear()

        async for row in source.rows():
            batch.append(row)
            if len(batch) == BATCH:
                await take()
        await take()
        return merged(reports)

    async def take(
        self,
        rows: Sequence[IncomingRow],
        *,
        dry_run: bool = False,
        again: bool = False,
        planned: frozenset[str] | set[str] = frozenset(),
        by: Caller = IN_PROCESS,
    ) -> ImportReport:
        """Import some rows of a source.

        With `dry_run`, only say what would be; `planned` are the models that rows before these would have made.
        With `again`, what was deleted here comes back. A row that cannot come in is refused with its reason and stops
        no other. Raises SealedError or StoreError; OwnLimitError for models, where a limit of money holds for `by`.
        """
        if any(map(touches_models, rows)):
            check_costs(by)
        gone = Deleted() if again else await self._deletions.of(by.workspace)
        batch = Batch(by, dry_run, again, gone, set(planned) if dry_run else set())
        steps: list[ImportPlan] = []
        reports = [ImportReport(dry_run=dry_run)]
        for row in rows:
            if isinstance(row, IncomingDefaults):
                reports.append(await self._commit(steps, batch))  # its models have to be there
                steps = []
                reports.append(await self._commit([await self._loose.defaults(row, batch)], batch))
                continue
            steps.append(await self._step(row, batch))
            await asyncio.sleep(0)  # a row is some milliseconds of work: others are served in between
            if len(steps) == TOGETHER:
                reports.append(await self._commit(steps, batch))
                steps = []
        reports.append(await self._commit(steps, batch))
        return merged(reports)

    async def _step(self, row: IncomingCredential | IncomingModel | Refused | LeftBehind, batch: Batch) -> ImportPlan:
        if isinstance(row, Refused):
            return ImportPlan(row=row, report=ImportReport(dry_run=batch.dry_run, refused=(row,)))
        if isinstance(row, LeftBehind):
            skipped = Skipped(where=row.where, reason=row.reason)
            return ImportPlan(row=row, report=ImportReport(dry_run=batch.dry_run, skipped=(skipped,)))
        try:
            if isinstance(row, IncomingModel):
                return await self._loose.model(row, batch)
            redactor = Redactor((*row.secrets.values(), *row.values.values()))
            row = replace(row, where=redactor.masked(row.where), notes=tuple(map(redactor.masked, row.notes)))
            return replace(await self._credentials.plan(row, batch), row=row)
        except InvalidInputError as error:
            refused = Refused(where=row.where or "a model", reason=str(error))
            return ImportPlan(row=row, report=ImportReport(dry_run=batch.dry_run, refused=(refused,)))

    async def _commit(self, steps: Sequence[ImportPlan], batch: Batch) -> ImportReport:
        """Write some rows in one commit; where that fails, each in one of its own, so that one cannot stop another."""
        changing = [step for step in steps if step.changes]
        done = [step.report for step in steps if not step.changes]
        if batch.dry_run or not changing:
            return merged([ImportReport(dry_run=batch.dry_run), *(step.report for step in steps)])
        try:
            await self._journal.commit(tuple(change for step in changing for change in step.changes))
            done = [step.report for step in steps]
        except (ConflictError, InvalidInputError):
            for step in changing:
                done.append(await self._alone(step, batch))
        return merged([ImportReport(dry_run=batch.dry_run), *done])

    async def _alone(self, step: ImportPlan, batch: Batch) -> ImportReport:
        """Write one row, worked out anew when others write in between, a rotation of the data key too."""
        where = step.row.where if not isinstance(step.row, IncomingDefaults) else "defaults"
        meanwhile = ImportReport(dry_run=False, skipped=(Skipped(where=where, reason=MEANWHILE),))
        for _ in range(ATTEMPTS):
            try:
                await self._journal.commit(step.changes)
            except ConflictError:
                if isinstance(step.row, IncomingDefaults):
                    return meanwhile
                step = await self._again(step, step.row, batch)
            except InvalidInputError as error:
                return ImportReport(dry_run=False, refused=(Refused(where=where, reason=str(error)),))
            else:
                return step.report
        return meanwhile

    async def _again(
        self, step: ImportPlan, row: IncomingCredential | IncomingModel | Refused | LeftBehind, batch: Batch
    ) -> ImportPlan:
        await self._vault.refresh()
        if not batch.again:  # perhaps the account was deleted meanwhile
            batch.deleted = await self._deletions.of(batch.by.workspace)
        batch.without(step)
        return await self._step(row, batch)


def merged(reports: Sequence[ImportReport]) -> ImportReport:
    """One report of several, in their order."""
    lists = ("created", "repaired", "skipped", "refused", "relinked", "models")
    whole = {name: tuple(item for report in reports for item in getattr(report, name)) for name in lists}
    defaults = {slot: id for report in reports for slot, id in report.defaults.items()}
    renamed = {old: new for report in reports for old, new in report.renamed.items()}
    return msgspec.structs.replace(reports[0], **whole, defaults=defaults, renamed=renamed)
