"""The laws of the token cache: a token is for the very account it was bought with, and for nobody else."""

import asyncio
from math import inf, nan

import pytest
from msgspec.structs import replace

from keycairn.adapters.guarded_http import MemoryTokenCache
from keycairn.domain.errors import InvalidAuthError
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.ports.token_cache import BoughtToken

MINE = Account(
    provider="acme",
    settings={"base_url": "https://a.example", "token_url": "https://t.example", "region": "eu"},
    secrets={"api_key": Secret("sk-1"), "other": Secret("sk-2")},
    workspace="default",
    credential="credential:1",
    version=3,
)
OTHERS = {
    "provider": replace(MINE, provider="other"),
    "workspace": replace(MINE, workspace="other"),
    "credential": replace(MINE, credential="credential:2"),
    "version": replace(MINE, version=4),
    **{f"another {name}": replace(MINE, settings={**MINE.settings, name: "x"}) for name in MINE.settings},
    **{
        f"no {name}": replace(MINE, settings={k: v for k, v in MINE.settings.items() if k != name})
        for name in MINE.settings
    },
    "a setting more": replace(MINE, settings={**MINE.settings, "more": "x"}),
    "settings swapped": replace(
        MINE, settings={**MINE.settings, "base_url": "https://t.example", "token_url": "https://a.example"}
    ),
    **{f"another secret {name}": replace(MINE, secrets={**MINE.secrets, name: Secret("x")}) for name in MINE.secrets},
    "a secret fewer": replace(MINE, secrets={"api_key": MINE.secrets["api_key"]}),
    "a secret more": replace(MINE, secrets={**MINE.secrets, "more": Secret("x")}),
    "secrets swapped": replace(MINE, secrets={"api_key": MINE.secrets["other"], "other": MINE.secrets["api_key"]}),
    "a secret that is a setting": replace(
        MINE, settings={**MINE.settings, "other": "sk-2"}, secrets={"api_key": MINE.secrets["api_key"]}
    ),
}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Seller:
    """Sells a token with a number; `gate` holds sales up, `error` fails them."""

    def __init__(self, expires_in: float = 3600) -> None:
        self.sold: list[Account] = []
        self.expires_in = expires_in
        self.gate: asyncio.Event | None = None
        self.error: Exception | None = None

    async def __call__(self, account: Account) -> BoughtToken:
        self.sold.append(account)
        number = len(self.sold)
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return BoughtToken(token=Secret(f"token-{number}"), expires_in=self.expires_in)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> MemoryTokenCache:
    return MemoryTokenCache(clock, most=5)


async def test_one_token_serves_the_account_that_bought_it(cache: MemoryTokenCache) -> None:
    seller = Seller()
    backwards = replace(MINE, settings=dict(reversed(list(MINE.settings.items()))), secrets=dict(MINE.secrets))
    assert [(await cache.get(one, seller)).reveal() for one in (MINE, backwards, MINE)] == ["token-1"] * 3
    assert seller.sold == [MINE]


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
async def test_whatever_differs_is_another_account(cache: MemoryTokenCache, other: Account) -> None:
    seller = Seller()
    tokens = [(await cache.get(one, seller)).reveal() for one in (MINE, other)]
    assert tokens == ["token-1", "token-2"]
    assert seller.sold == [MINE, other]


async def test_a_purpose_tells_tokens_of_one_account_apart_and_both_are_kept(cache: MemoryTokenCache) -> None:
    seller = Seller()
    purposes = ["", "reports", "", "reports"]
    tokens = [(await cache.get(MINE, seller, purpose=one)).reveal() for one in purposes]
    assert tokens == ["token-1", "token-2", "token-1", "token-2"]


async def test_it_is_bought_anew_some_minutes_before_it_ends(cache: MemoryTokenCache, clock: Clock) -> None:
    seller = Seller(expires_in=3600)
    await cache.get(MINE, seller)
    clock.now += 3299
    assert (await cache.get(MINE, seller)).reveal() == "token-1"
    clock.now += 1
    assert (await cache.get(MINE, seller)).reveal() == "token-2"


@pytest.mark.parametrize("expires_in", [inf, nan, 1e9])
async def test_none_is_kept_for_ever(cache: MemoryTokenCache, clock: Clock, expires_in: float) -> None:
    seller = Seller(expires_in)
    await cache.get(MINE, seller)
    clock.now += 12 * 3600
    assert (await cache.get(MINE, seller)).reveal() == "token-2"


@pytest.mark.parametrize("expires_in", [0, -1, 299])
async def test_one_that_ends_at_once_serves_its_buyer_only(cache: MemoryTokenCache, expires_in: float) -> None:
    seller = Seller(expires_in)
    assert [(await cache.get(MINE, seller)).reveal() for _ in range(2)] == ["token-1", "token-2"]


async def test_a_fresh_one_takes_the_place_of_the_one_there_is(cache: MemoryTokenCache) -> None:
    seller = Seller()
    await cache.get(MINE, seller)
    assert (await cache.get(MINE, seller, fresh=True)).reveal() == "token-2"
    assert (await cache.get(MINE, seller)).reveal() == "token-2"


async def test_of_many_callers_one_buys(cache: MemoryTokenCache) -> None:
    seller = Seller()
    seller.gate = asyncio.Event()
    callers = [asyncio.create_task(cache.get(MINE, seller)) for _ in range(20)]
    stranger = asyncio.create_task(cache.get(OTHERS["credential"], seller))
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.sleep(0)
    seller.gate.set()
    assert {(await one).reveal() for one in callers[1:]} == {"token-1"}
    assert (await stranger).reveal() == "token-2"
    assert len(seller.sold) == 2


async def test_a_failure_is_told_to_all_who_wait_and_not_remembered(cache: MemoryTokenCache) -> None:
    seller = Seller()
    seller.gate, seller.error = asyncio.Event(), InvalidAuthError()
    callers = [asyncio.create_task(cache.get(MINE, seller)) for _ in range(3)]
    await asyncio.sleep(0)
    seller.gate.set()
    assert {type(one) for one in await asyncio.gather(*callers, return_exceptions=True)} == {InvalidAuthError}
    seller.error = None
    assert (await cache.get(MINE, seller)).reveal() == "token-2"


async def test_a_forgotten_credential_buys_anew_and_no_other_does(cache: MemoryTokenCache) -> None:
    seller = Seller()
    for one in (MINE, OTHERS["credential"]):
        await cache.get(one, seller)
    cache.forget(MINE.credential)
    assert (await cache.get(MINE, seller)).reveal() == "token-3"
    assert (await cache.get(OTHERS["credential"], seller)).reveal() == "token-2"


async def test_what_was_being_bought_while_it_was_forgotten_is_not_kept(cache: MemoryTokenCache) -> None:
    seller = Seller()
    seller.gate = asyncio.Event()
    waiting = asyncio.create_task(cache.get(MINE, seller))
    await asyncio.sleep(0)
    cache.forget(MINE.credential)
    seller.gate.set()
    assert (await waiting).reveal() == "token-1"
    assert (await cache.get(MINE, seller)).reveal() == "token-2"


async def test_an_edit_lets_go_of_the_tokens_before_it(cache: MemoryTokenCache) -> None:
    seller = Seller()
    await cache.get(MINE, seller)
    await cache.get(OTHERS["version"], seller)
    assert repr(cache) == "<MemoryTokenCache of 1 tokens>"


async def test_it_is_bounded_and_the_longest_unused_goes_first(cache: MemoryTokenCache) -> None:
    seller = Seller()
    accounts = [replace(MINE, credential=f"credential:{number}") for number in range(6)]
    for one in (*accounts[:5], accounts[0], accounts[5]):
        await cache.get(one, seller)
    assert len(seller.sold) == 6
    await cache.get(accounts[0], seller)
    assert len(seller.sold) == 6
    await cache.get(accounts[1], seller)
    assert len(seller.sold) == 7


async def test_closing_ends_purchases_and_lets_go_of_all(cache: MemoryTokenCache) -> None:
    seller = Seller()
    await cache.get(MINE, seller)
    seller.gate = asyncio.Event()
    waiting = asyncio.create_task(cache.get(OTHERS["credential"], seller))
    for _ in range(2):
        await asyncio.sleep(0)
    await cache.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    seller.gate = None
    assert (await cache.get(MINE, seller)).reveal() == "token-3"


async def test_a_token_that_ended_early_is_bought_again_once(cache: MemoryTokenCache, clock: Clock) -> None:
    seller = Seller()
    first = await cache.get(MINE, seller)
    clock.now += 60
    assert cache.refused("credential:1", begun_ago=1)
    assert (await cache.get(MINE, seller)).reveal() != first.reveal()
    clock.now += 1
    assert not cache.refused("credential:1", begun_ago=0.5)
    assert len(seller.sold) == 2


async def test_who_was_refused_while_another_bought_uses_what_that_one_bought(
    cache: MemoryTokenCache, clock: Clock
) -> None:
    seller = Seller()
    await cache.get(MINE, seller)
    clock.now += 60
    assert cache.refused("credential:1", begun_ago=5)
    assert cache.refused("credential:1", begun_ago=5)
    seller.gate = asyncio.Event()
    buying = asyncio.ensure_future(cache.get(MINE, seller))
    await asyncio.sleep(0)
    assert cache.refused("credential:1", begun_ago=5)
    seller.gate.set()
    await buying
    clock.now += 1
    assert cache.refused("credential:1", begun_ago=5)
    assert len(seller.sold) == 2


async def test_a_refusal_without_a_bought_token_is_no_reason_to_repeat(cache: MemoryTokenCache) -> None:
    await cache.get(OTHERS["credential"], Seller())
    assert not cache.refused("credential:1", begun_ago=1)
