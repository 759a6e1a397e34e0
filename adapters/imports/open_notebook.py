"""An Open Notebook database: its credentials, models and defaults, from wherever its records can be read."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from keycairn.adapters.fernet import NotebookKeys
from keycairn.adapters.imports.notebook_rows import credential_row, default_slots, model_row
from keycairn.domain.errors import UnreadableSourceError
from keycairn.domain.incoming import IncomingDefaults, IncomingModel, IncomingRow, Refused
from keycairn.domain.secret import Secret

CREDENTIALS, MODELS, SINGLETONS = "credential", "model", "open_notebook"
TABLES = frozenset({CREDENTIALS, MODELS, SINGLETONS})
DEFAULTS_ID = "open_notebook:default_models"
LEGACY_ID = "open_notebook:provider_configs"


class Records(Protocol):
    """Read access to the records of a database, live or exported."""

    def records(self, table: str) -> AsyncIterator[Mapping[str, Any] | Refused]:
        """Every record of a table, ids and links as `table:key`; a table that is not there has none."""
        ...


class OpenNotebook:
    """`keycairn.ports.source.ImportSource` over the records of an Open Notebook.

    Its models are held while it is read, without anything secret: some hundred bytes each. Credentials pass by.
    """

    label = "Open Notebook"

    def __init__(self, records: Records, passphrase: Secret | None) -> None:
        self._records = records
        self._keys = NotebookKeys(passphrase)

    async def rows(self) -> AsyncIterator[IncomingRow]:
        """See the port. A model whose credential is not there comes unlinked."""
        linked, loose = await self._models()
        seen = bool(linked or loose)
        async for record in self._records.records(CREDENTIALS):
            seen = True
            if isinstance(record, Refused):
                yield record
                continue
            models = linked.pop(str(record.get("id")), [])
            row = credential_row(record, self._keys, models)
            yield row
            if isinstance(row, Refused):
                loose += models
        for model in (*(model for models in linked.values() for model in models), *loose):
            yield model
        if defaults := await self._defaults():
            yield defaults
        elif not seen:
            raise UnreadableSourceError("There is no credential, model or default of an Open Notebook here.")

    async def _models(self) -> tuple[dict[str, list[IncomingModel]], list[IncomingModel | Refused]]:
        """The models by the id of their credential, and those that have none."""
        linked: dict[str, list[IncomingModel]] = {}
        loose: list[IncomingModel | Refused] = []
        async for record in self._records.records(MODELS):
            row = record if isinstance(record, Refused) else model_row(record)
            credential = None if isinstance(record, Refused) else record.get("credential")
            if isinstance(row, IncomingModel) and isinstance(credential, str):
                linked.setdefault(credential, []).append(row)
            else:
                loose.append(row)
        return linked, loose

    async def _defaults(self) -> IncomingDefaults | Refused | None:
        async for record in self._records.records(SINGLETONS):
            if isinstance(record, Refused):
                return record
            if record.get("id") == DEFAULTS_ID and (slots := default_slots(record)):
                return IncomingDefaults(slots=slots)
        return None


async def legacy_record(records: Records) -> Mapping[str, Any]:
    """The record `open_notebook:provider_configs`. Raises UnreadableSourceError where there is none."""
    async for record in records.records(SINGLETONS):
        if not isinstance(record, Refused) and record.get("id") == LEGACY_ID:
            return record
    raise UnreadableSourceError(f"There is no record {LEGACY_ID} here.")
