"""The cache of bought access tokens, in memory."""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from math import inf

import msgspec
from msgspec import Struct

from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.ports.token_cache import BoughtToken, Buy

MOST_TOKENS = 1000
MARGIN = 300.0
"""Seconds before its end a token is bought anew."""
YOUNG = 10.0
"""Seconds within which a refused token is not bought again: its account is refused, not the token."""
LONGEST = 12 * 3600.0
"""Seconds a token is kept at most, whatever its seller says."""


class _Key(Struct, frozen=True):
    workspace: str
    credential: str
    purpose: str
    state: bytes
    """A digest of everything else that makes the account what it is."""


class _Entry(Struct):
    purchase: asyncio.Task[BoughtToken]
    until: float = inf
    bought: float = inf
    """When, which is yet to come while it is being bought."""


class MemoryTokenCache:
    """A `keycairn.ports.token_cache.TokenCache`. `clock` tells seconds; the token used longest ago goes first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, most: int = MOST_TOKENS) -> None:
        self._clock = clock
        self._most = most
        self._salt = os.urandom(32)
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._purchases: set[asyncio.Task[BoughtToken]] = set()

    def __repr__(self) -> str:
        return f"<MemoryTokenCache of {len(self._entries)} tokens>"

    async def get(self, account: Account, buy: Buy, *, purpose: str = "", fresh: bool = False) -> Secret:
        """See the port."""
        key = self._key(account, purpose)
        entry = self._entries.get(key)
        if fresh or entry is None or entry.until <= self._clock():
            entry = self._begin(key, account, buy)
        self._entries.move_to_end(key)
        if entry.purchase.done():
            return entry.purchase.result().token
        # Shielded: a caller that goes away must not take the token from the others.
        return (await asyncio.shield(entry.purchase)).token

    def forget(self, credential: str) -> None:
        """See the port."""
        self._drop(lambda key, _: key.credential == credential)

    def refused(self, credential: str, *, begun_ago: float) -> bool:
        """See the port."""
        now = self._clock()
        another = False
        for entry in [entry for key, entry in self._entries.items() if key.credential == credential]:
            if entry.bought <= now - YOUNG:
                entry.until = now
                another = True
            another = another or entry.bought > now - begun_ago
        return another

    async def aclose(self) -> None:
        """Drop all tokens and end what is being bought. The cache can be used again after."""
        self._entries.clear()
        purchases = list(self._purchases)
        for purchase in purchases:
            purchase.cancel()
        await asyncio.gather(*purchases, return_exceptions=True)

    def _begin(self, key: _Key, account: Account, buy: Buy) -> _Entry:
        now = self._clock()
        former = (key.workspace, key.credential)
        self._drop(
            lambda other, entry: (
                entry.until <= now
                or (bool(key.credential) and (other.workspace, other.credential) == former and other.state != key.state)
            )
        )
        purchase = asyncio.ensure_future(_awaited(buy, account))
        entry = self._entries[key] = _Entry(purchase)
        self._purchases.add(purchase)
        purchase.add_done_callback(lambda done: self._bought(key, entry, done))
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)
        return entry

    def _bought(self, key: _Key, entry: _Entry, purchase: asyncio.Task[BoughtToken]) -> None:
        self._purchases.discard(purchase)
        if purchase.cancelled() or purchase.exception() is not None:
            if self._entries.get(key) is entry:
                del self._entries[key]
            return
        entry.bought = self._clock()
        entry.until = entry.bought + min(LONGEST, purchase.result().expires_in) - MARGIN

    def _drop(self, condition: Callable[[_Key, _Entry], bool]) -> None:
        for key in [key for key, entry in self._entries.items() if condition(key, entry)]:
            del self._entries[key]

    def _key(self, account: Account, purpose: str) -> _Key:
        secrets = {name: secret.reveal() for name, secret in account.secrets.items()}
        whole = (account.provider, account.version, dict(account.settings), secrets)
        state = blake2b(msgspec.json.encode(whole, order="deterministic"), key=self._salt).digest()
        return _Key(account.workspace, account.credential, purpose, state)


async def _awaited(buy: Buy, account: Account) -> BoughtToken:
    bought = await buy(account)
    return BoughtToken(token=bought.token, expires_in=float(bought.expires_in))
