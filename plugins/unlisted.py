"""Servers of one's own that need not list their models: they are registered by name, and a call proves the key."""

from keycairn.domain.errors import AddressNotFoundError, CallRefusedError, ProviderError
from keycairn.domain.outcome import ConnectionReport, Discovery, Outcome
from keycairn.domain.provider import Account
from keycairn.plugins.base import ListedProvider
from keycairn.ports.http import Http

BY_HAND = "Register models by name."


class UnlistedProvider(ListedProvider):
    """A `ListedProvider` for which a list that is not there is no failure. It stands before its base class."""

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        """As the base; where there is no list, prove the key by a small call. Raises ProviderError."""
        try:
            return await super().check(account, http)
        except AddressNotFoundError:
            pass
        try:
            await self.prove_by_call(account, http)
        except CallRefusedError as refused:
            why = (
                f"The server has no list of models and refused a small call ({refused.status}); only a call of a model "
            )
            raise ProviderError(f"{why}it has can prove the key.", status=refused.status) from None
        message = f"Connected. The server has no list of models, but it took a call with this key. {BY_HAND}"
        return ConnectionReport(outcome=Outcome.OK, message=message)

    async def discover(self, account: Account, http: Http) -> Discovery:
        """As the base; a server without a list has no models that are found, and says why."""
        try:
            return await super().discover(account, http)
        except AddressNotFoundError as missing:
            why = f"The server has no list of models ({missing.status}). {BY_HAND}"
            return Discovery(models=(), failure=why, outcome=Outcome.NOT_FOUND)
