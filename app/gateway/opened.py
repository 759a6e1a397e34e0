"""Credentials that are open for the calls of this moment, with their secrets in memory."""

import asyncio

from msgspec import Struct

from keycairn.app.services.credentials import CredentialOpener
from keycairn.domain.credential import Credential
from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import NoRouteError
from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account
from keycairn.domain.redaction import Redactor
from keycairn.ports.provider import LoadedProvider, ProviderRegistry

OPEN_FOR = 1.0
"""Seconds an account stays open. Opening it for every one of thousands of calls a second would not shorten the time
its key is in memory; an idle one is closed after this."""

NOT_ANTHROPICS = "This model's provider does not speak Anthropic's API. Call it by OpenAI's, below /v1."


class Opened(Struct, frozen=True):
    """An open account, its provider, and what knows its secrets in an answer. Its repr shows no key."""

    provider: LoadedProvider
    account: Account
    redactor: Redactor
    _roots: dict[tuple[Dialect | None, Modality | None], str] = {}

    def __repr__(self) -> str:
        return f"Opened({self.account.provider!r})"

    def root(self, dialect: Dialect | None, type: Modality | None) -> str:
        """The URL that a call's path follows. `dialect` is None for the provider's own API. The plugin is asked once.

        Raises as the methods of `LoadedProvider`; NoRouteError where the provider does not speak Anthropic's API.
        """
        root = self._roots.get((dialect, type))
        if root is None:
            root = self._roots[dialect, type] = self._asked(dialect, type)
        return root

    def _asked(self, dialect: Dialect | None, type: Modality | None) -> str:
        if dialect is Dialect.ANTHROPIC:
            if not self.provider.speaks_anthropic:
                raise NoRouteError(NOT_ANTHROPICS)
            return self.provider.anthropic_base_url(self.account)
        if dialect is None:
            return self.provider.base_url(self.account)
        return self.provider.openai_base_url(self.account, type)


class OpenAccounts:
    """Opens accounts and closes each a moment later. A credential that changed is another object, and opened anew."""

    def __init__(self, opener: CredentialOpener, registry: ProviderRegistry) -> None:
        self._opener = opener
        self._registry = registry
        self._open: dict[str, tuple[Credential, Opened]] = {}

    async def open(self, credential: Credential) -> Opened:
        """The open account. Raises as `CredentialOpener.open`."""
        known = self._open.get(credential.id)
        # The directory hands out the same object for as long as the store has not changed.
        if known is not None and known[0] is credential:
            return known[1]
        account = await self._opener.open(credential, purpose="gateway")
        opened = Opened(self._registry.get(credential.provider), account, Redactor(account.secrets.values()))
        self._open[credential.id] = (credential, opened)
        asyncio.get_running_loop().call_later(OPEN_FOR, self._close, credential)
        return opened

    def _close(self, credential: Credential) -> None:
        known = self._open.get(credential.id)
        if known is not None and known[0] is credential:
            del self._open[credential.id]
