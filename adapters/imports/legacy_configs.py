"""The former singleton record, from a request or from Keycairn's own database."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from keycairn.adapters.imports.legacy import LegacyConfig
from keycairn.adapters.imports.open_notebook import Records, legacy_record
from keycairn.domain.errors import UnreadableSourceError
from keycairn.domain.incoming import IncomingRow
from keycairn.domain.secret import Secret


class StoredLegacyConfig:
    """`keycairn.ports.source.ImportSource` over the record in somebody's database, or in an export of it."""

    label: str = LegacyConfig.label

    def __init__(self, records: Records, passphrase: Secret | None) -> None:
        self._records = records
        self._passphrase = passphrase

    async def rows(self) -> AsyncIterator[IncomingRow]:
        """See the port. Raises UnreadableSourceError where there is no such record."""
        async for row in LegacyConfig(await legacy_record(self._records), self._passphrase).rows():
            yield row


class NotebookLegacy:
    """`keycairn.ports.source.LegacyConfigs`. `records` reads Keycairn's own database; None where nobody else writes it.

    That is so for the embedded database; one on a server may be shared with an Open Notebook.
    """

    def __init__(self, records: Records | None = None) -> None:
        self._records = records

    async def stored(self) -> Mapping[str, Any] | None:
        """See the port."""
        if self._records is None:
            return None
        try:
            return await legacy_record(self._records)
        except UnreadableSourceError:
            return None

    def source(self, document: Mapping[str, Any], passphrase: Secret | None) -> LegacyConfig:
        """See the port."""
        return LegacyConfig(document, passphrase)
