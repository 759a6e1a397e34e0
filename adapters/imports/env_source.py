"""Environment variables, of the process or of a `.env` file, read by what the providers declare."""

from collections.abc import AsyncIterator, Sequence

from keycairn.domain.env_accounts import incoming, read_accounts
from keycairn.domain.environment import Place
from keycairn.domain.incoming import IncomingRow
from keycairn.domain.provider import ProviderSpec


class EnvSource:
    """`keycairn.ports.source.ImportSource` over variables; those of no provider are passed over.

    `anyway`: variables that look like addresses and are not understood hold nothing back.
    """

    label = "environment variables"

    def __init__(self, places: Sequence[Place], specs: Sequence[ProviderSpec], *, anyway: bool = False) -> None:
        self._places = places
        self._specs = specs
        self._anyway = anyway

    async def rows(self) -> AsyncIterator[IncomingRow]:
        """See the port. A provider whose variables cannot be used is refused with their names."""
        for account in read_accounts(self._specs, self._places, anyway=self._anyway):
            if account.variables:
                yield incoming(account)
