"""The cache of access tokens that are bought with an account: OAuth, service accounts, sessions at a provider."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret


class BoughtToken(Struct, frozen=True, kw_only=True):
    """A token and the seconds it is good for, as its seller says."""

    token: Secret
    expires_in: float


Buy = Callable[[Account], Awaitable[BoughtToken]]


class TokenCache(Protocol):
    """Keeps tokens in memory, each for the very account it was bought with.

    What an account is, is not for the caller to say: the same workspace, credential, edit of it, provider, settings and
    secrets. Any difference, such as another URL beside the same secret, is another account, and has no token yet.
    """

    async def get(self, account: Account, buy: Buy, *, purpose: str = "", fresh: bool = False) -> Secret:
        """The account's token, bought by `buy` where there is none that lasts for some minutes more.

        Of callers at the same time one buys, for all. `purpose` tells several tokens of one account apart. `fresh`
        buys in any case. What `buy` raises is raised to all who wait for it, and not remembered.
        """
        ...

    def forget(self, credential: str) -> None:
        """Drop every token of a credential. One that is being bought still goes to those who wait for it."""
        ...

    def refused(self, credential: str, *, begun_ago: float) -> bool:
        """Told that a provider refused a call of this credential that was authorized `begun_ago` seconds ago.

        Whether another token is to be had, so that the call is worth repeating: one that was bought meanwhile, or one
        to buy in place of a token that ended early. A token refused within seconds of its purchase is not bought again.
        """
        ...
