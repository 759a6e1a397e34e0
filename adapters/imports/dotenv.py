"""A `.env` file, read by the variables the providers declare."""

from collections.abc import AsyncIterator, Mapping, Sequence

from keycairn.domain.environment import read_account
from keycairn.domain.incoming import IncomingCredential, IncomingRow, Refused
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.secret import Secret


class DotEnv:
    """`keycairn.ports.source.ImportSource` over the variables of a file; those of no provider are passed over."""

    label = "a .env file"

    def __init__(self, variables: Mapping[str, Secret], specs: Sequence[ProviderSpec]) -> None:
        self._variables = variables
        self._specs = specs

    async def rows(self) -> AsyncIterator[IncomingRow]:
        """See the port."""
        for spec in self._specs:
            account = read_account(spec, self._variables)
            if not account.variables:
                continue
            where = f"{spec.name}: {', '.join(account.variables.values())}"
            if account.missing:
                missing = ", ".join(" or ".join(group) for group in account.missing)
                yield Refused(where=where, reason=f"incomplete, also set: {missing}")
                continue
            yield IncomingCredential(
                where=where,
                provider=spec.name,
                name="Default (Migrated from env)",
                settings=account.settings,
                secrets=account.secrets,
                default=True,
                adopts=True,
            )
