"""Where credentials are imported from."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from keycairn.domain.incoming import IncomingRow
from keycairn.domain.secret import Secret


class ImportSource(Protocol):
    """A file or a database of somebody else. It is read and never changed."""

    @property
    def label(self) -> str:
        """What it is, for people, such as `LiteLLM config.yaml`."""
        ...

    def rows(self) -> AsyncIterator[IncomingRow]:
        """Every credential, model and default in it, and what cannot be read of it as `Refused`.

        Credentials come first, with their models; the defaults come last. The same source gives the same rows in the
        same order. Raises UnreadableSourceError, before or between rows, when it is not what it should be; the message
        never quotes it. A row is made when it is asked for, so that the memory used does not grow with the source.
        """
        ...


class LegacyConfigs(Protocol):
    """Open Notebook's former singleton record, `open_notebook:provider_configs`."""

    async def stored(self) -> Mapping[str, Any] | None:
        """The record where Keycairn's own database holds it, else None. Raises StoreUnavailableError."""
        ...

    def source(self, document: Mapping[str, Any], passphrase: Secret | None) -> ImportSource:
        """The rows of such a record. `passphrase` opens its keys."""
        ...
