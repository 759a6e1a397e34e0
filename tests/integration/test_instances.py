"""Several instances on one database: each serves from memory, and none what was taken away."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from tests.nights import by_day
from tests.samples import THEN, WORKSPACE, a_credential, a_model, a_token
from tests.servers.surreal_rpc import surreal_rpc
from tests.servers.surreal_server import PASSWORD, USER, needs_server, shared_url
from tests.stores import a_database

from keycairn.adapters.clock import SystemClock
from keycairn.adapters.surreal import SurrealStore, open_surreal
from keycairn.adapters.surreal.following import PATIENCE
from keycairn.adapters.surreal.lease import LASTS
from keycairn.app.gateway.limits import FREE, Subject
from keycairn.app.gateway.shared_limits import SharedLimiter
from keycairn.domain.change import (
    AddCredential,
    AddModel,
    Changeset,
    DeleteCredential,
    DeleteModelsOf,
    PutToken,
    ReplaceCredential,
    Reseal,
)
from keycairn.domain.errors import LimitReachedError, StoreUnavailableError
from keycairn.domain.limits import Limits
from keycairn.domain.sealed import SealedSecret
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import Store

ENGINES = ["ws", pytest.param("server", marks=[needs_server, pytest.mark.night])]
SLACK = 1.0
"""Seconds, on a busy machine."""

Open = Callable[[], Any]


@asynccontextmanager
async def a_place(engine: str) -> AsyncIterator[Open]:
    """Opens instances on one empty database."""
    async with AsyncExitStack() as stack:
        if engine == "ws":
            server = await stack.enter_async_context(surreal_rpc())
            opened = partial(open_surreal, server.url)
        else:
            namespace = await stack.enter_async_context(a_database())
            opened = partial(open_surreal, shared_url(), namespace=namespace, user=USER, password=PASSWORD)

        async def one() -> SurrealStore:
            store = await opened()
            assert isinstance(store, SurrealStore)
            stack.push_async_callback(store.aclose)
            return store

        yield one


def stand_still(store: SurrealStore) -> None:
    """Have an instance do nothing any more, as one that is stopped or cut off, and keep what it holds."""
    for task in store._follower._tasks:
        task.cancel()


@needs_server
@pytest.mark.parametrize("rounds", by_day([10, 300], one_in=2))
@pytest.mark.parametrize("instances", by_day([2, 4], one_in=2))
async def test_nothing_that_was_taken_away_is_served_by_any_instance(rounds: int, instances: int) -> None:
    async with a_place("server") as opened:
        one, *others = [await opened() for _ in range(instances)]
        stale = []
        for number in range(rounds):
            credential, token = a_credential(), a_token()
            model = a_model(credential=credential.id)
            await one.commit((AddCredential(credential), AddModel(model), PutToken(token)))
            for other in others:
                assert await other.credential(WORKSPACE, credential.id) == credential, "what was added is found"
            sealed = {"api_key": SealedSecret(f"kc1:{number}")}
            rotated = replace(credential, sealed=sealed, version=2)
            moved = replace(rotated, settings={"base_url": "https://moved.example"}, version=3)
            revoked = replace(token, revoked=THEN)
            steps: list[tuple[Changeset, Any, Any]] = [
                ((ReplaceCredential(rotated, 1),), credential.id, rotated),
                ((ReplaceCredential(moved, 2),), credential.id, moved),
                ((PutToken(revoked),), token.id, revoked),
                ((DeleteModelsOf(WORKSPACE, credential.id),), model.id, None),
                ((DeleteCredential(WORKSPACE, credential.id, 3),), credential.id, None),
            ]
            for changes, id, expected in steps:
                await one.commit(changes)
                for other in others:
                    state = await other.current()
                    kind, _, key = id.partition(":")
                    if state.tables[kind].get(key) != expected:
                        stale.append(id)
        assert stale == []


@pytest.mark.parametrize("engine", ENGINES)
async def test_an_instance_that_stands_still_holds_up_a_removal_for_a_lease_and_serves_nothing_then(
    engine: str,
) -> None:
    async with a_place(engine) as opened:
        one, other = await opened(), await opened()
        credential = a_credential()
        await one.commit((AddCredential(credential),))
        assert await other.credential(WORKSPACE, credential.id) == credential
        stand_still(other)
        started = time.monotonic()
        await one.commit((ReplaceCredential(replace(credential, name="new", version=2), 1),))
        assert time.monotonic() - started < LASTS + SLACK
        with pytest.raises(StoreUnavailableError):
            await other.credential(WORKSPACE, credential.id)
        started = time.monotonic()
        await one.commit((DeleteCredential(WORKSPACE, credential.id, 2),))
        assert time.monotonic() - started < SLACK, "it is known to be gone"


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_takes_nothing_away_waits_for_nobody(engine: str) -> None:
    async with a_place(engine) as opened:
        one, other = await opened(), await opened()
        credential = a_credential()
        await other.current()
        stand_still(other)
        fresh = {"api_key": SealedSecret("kc1:other")}
        for changes in (
            (AddCredential(credential),),
            (Reseal(WORKSPACE, credential.id, fresh, 1),),
            (PutToken(a_token()),),
        ):
            started = time.monotonic()
            await one.commit(changes)
            assert time.monotonic() - started < LASTS / 2


async def test_an_instance_cut_off_and_back_serves_what_is_stored_by_then() -> None:
    async with surreal_rpc() as server:
        one, other = [await open_surreal(server.url) for _ in range(2)]
        assert isinstance(other, SurrealStore)
        credential = a_credential()
        await one.commit((AddCredential(credential),))
        await other._follower.advance()
        stand_still(other)
        await asyncio.wait(other._follower._tasks)
        await one.commit((DeleteCredential(WORKSPACE, credential.id, 1),))
        await other._follower.start()
        assert await other.credential(WORKSPACE, credential.id) is None
        await one.aclose()
        await other.aclose()


async def test_while_the_database_says_nothing_a_read_waits_a_while_and_is_refused() -> None:
    async with surreal_rpc() as server:
        store = await open_surreal(server.url)
        credential = a_credential()
        await store.commit((AddCredential(credential),))
        server.thawed.clear()
        await asyncio.sleep(LASTS)
        started = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            await store.credential(WORKSPACE, credential.id)
        assert time.monotonic() - started < PATIENCE + SLACK
        server.thawed.set()
        async with asyncio.timeout(10):
            while True:
                try:
                    assert await store.credential(WORKSPACE, credential.id) == credential
                except StoreUnavailableError:
                    continue
                break
        await store.aclose()


async def test_a_change_that_is_not_noted_has_everything_read_anew() -> None:
    async with surreal_rpc() as server:
        one, other = [await open_surreal(server.url) for _ in range(2)]
        assert isinstance(one, SurrealStore)
        assert isinstance(other, SurrealStore)
        credentials = [a_credential() for _ in range(5)]
        for credential in credentials:
            await one.commit((AddCredential(credential),))
        query = one._session._connection.query
        await query("DELETE change; DELETE credential WHERE name = $name", {"name": "nobody"})
        stand_still(other)
        await one.commit((DeleteCredential(WORKSPACE, credentials[0].id, 1),))
        await other._follower.advance()
        assert {one.id for one in other.state.all(type(credential))} == {one.id for one in credentials[1:]}
        await one.aclose()
        await other.aclose()


@pytest.mark.parametrize("engine", ENGINES)
async def test_limits_hold_across_instances(engine: str) -> None:
    async with a_place(engine) as opened:
        stores = [await opened() for _ in range(3)]

        async def unused(*_: object) -> Mapping[UsageKey, Usage]:
            return {}

        async def family(id: str, _: str) -> frozenset[str]:
            return frozenset({id})

        limiters = [SharedLimiter(unused, SystemClock(), family, store.shares) for store in stores]
        limits = Limits(concurrent=40, requests_per_minute=240, tokens_per_day=10**6)
        subject = Subject("token", "token:T1", WORKSPACE, limits)

        async def begun(limiter: SharedLimiter) -> bool:
            while not limiter.ready(subject):
                await limiter.prepare(subject)
            try:
                limiter.begin(subject)
            except LimitReachedError:
                return False
            return True

        started = time.monotonic()
        under_way = [limiter for limiter in limiters * 40 if await begun(limiter)]
        assert len(under_way) == 40
        for limiter in under_way:
            limiter.end(subject, FREE)
        requests = 40
        for limiter in limiters * 120:
            if await begun(limiter):
                requests += 1
                limiter.end(subject, FREE)
        came_back = (time.monotonic() - started) * 240 / 60
        assert 240 - len(limiters) <= requests <= (240 + came_back) * 1.05
        for limiter in limiters:
            await limiter.aclose()


async def test_one_instance_leads_and_another_follows_when_it_leaves() -> None:
    async with surreal_rpc() as server:
        one, other = [await open_surreal(server.url) for _ in range(2)]
        leads = [await _leads(one), other.leads]
        await one.aclose()
        assert leads == [True, False]
        assert await _leads(other)
        await other.aclose()


async def _leads(store: Store) -> bool:
    """Whether it does in the end."""
    async with asyncio.timeout(10):
        while not store.leads:  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0.01)
    return True
