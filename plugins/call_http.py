"""The `Http` that a plugin gets for one call."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from keycairn.domain.options import Options
from keycairn.domain.provider import Account
from keycairn.domain.redaction import Redactor
from keycairn.domain.secret import Secret
from keycairn.plugins import answers
from keycairn.plugins.boundary import Boundary
from keycairn.ports.http import Http, Request, Response
from keycairn.ports.token_cache import BoughtToken, Buy, TokenCache

BUY_WITHIN = 120.0
"""Seconds a token may take to be bought."""


class CallSecrets:
    """The secrets of one call: the account's, and those that its requests carry. `options` are the account's."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.options: Options = account.options
        self._sent: dict[str, None] = {}

    def sent(self, headers: Mapping[str, str | Secret]) -> None:
        """Learn what goes out, such as a token that was bought."""
        for value in headers.values():
            if isinstance(value, Secret):
                self._sent[value.reveal().rpartition(" ")[2]] = None

    def redactor(self) -> Redactor:
        """What knows them."""
        known = Redactor(self._account.secrets.values())
        for text in self._sent:
            known = known.and_also(text)
        return known


class CallHttp:
    """`inner`, which remembers the secrets that it sends. What a plugin does to buy a token is behind the boundary."""

    def __init__(self, inner: Http, secrets: CallSecrets, boundary: Boundary) -> None:
        self._inner = inner
        self._secrets = secrets
        self._boundary = boundary

    @property
    def tokens(self) -> TokenCache:
        """See `Http.tokens`."""
        return _CallTokens(self._inner.tokens, self._secrets.redactor, self._boundary)

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        """See `Http.send`."""
        self._secrets.sent(request.headers)
        options = self._secrets.options
        headers = options.added_to(request.headers)
        return await self._inner.send(replace(request, headers=headers, options=options), deadline=deadline)

    def vet(self, url: str, *, field: str | None = None) -> None:
        """See `Http.vet`."""
        self._inner.vet(url, field=field)


class _CallTokens:
    """`inner`, with a boundary around the buying: it runs in a task that serves other calls too."""

    def __init__(self, inner: TokenCache, secrets: Callable[[], Redactor], boundary: Boundary) -> None:
        self._inner = inner
        self._secrets = secrets
        self._boundary = boundary

    async def get(self, account: Account, buy: Buy, *, purpose: str = "", fresh: bool = False) -> Secret:
        """See `TokenCache.get`."""

        async def buying(account: Account) -> BoughtToken:
            async def buys() -> BoughtToken:
                return answers.bought(await buy(account))

            return await self._boundary.wait("buy", buys, self._secrets, within=BUY_WITHIN)

        return await self._inner.get(account, buying, purpose=purpose, fresh=fresh)

    def forget(self, credential: str) -> None:
        """See `TokenCache.forget`."""
        self._inner.forget(credential)

    def refused(self, credential: str, *, begun_ago: float) -> bool:
        """See `TokenCache.refused`."""
        return self._inner.refused(credential, begun_ago=begun_ago)
