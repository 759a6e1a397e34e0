"""A connection that breaks, and what becomes of the calls under way."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from tests.samples import WORKSPACE, a_credential, an_event
from tests.servers.surreal_rpc import RpcServer, surreal_rpc

from keycairn.adapters.surreal import SurrealStore, open_surreal
from keycairn.adapters.surreal.remote import BUSY
from keycairn.adapters.surreal.session import ATTEMPTS
from keycairn.domain.change import AddCredential, Append
from keycairn.domain.errors import ConflictError, StoreUnavailableError
from keycairn.domain.secret import Secret

RETRY = {"result": [{"status": "ERR", "result": "Transaction conflict. This transaction can be retried"}]}


@pytest.fixture
async def server() -> AsyncIterator[RpcServer]:
    async with surreal_rpc() as server:
        yield server


@pytest.fixture
async def store(server: RpcServer) -> AsyncIterator[SurrealStore]:
    store = await open_surreal(server.url, user="root", password=Secret(server.password), deadline=1.5)
    assert isinstance(store, SurrealStore)
    yield store
    server.thawed.set()
    await store.aclose()


async def test_a_dropped_connection_is_made_anew_and_signed_in(server: RpcServer, store: SurrealStore) -> None:
    await store.commit((Append(an_event()),))
    sign_ins = server.sign_ins
    for _ in range(3):
        await server.drop_all()
        counts = await asyncio.gather(*(store.event_count() for _ in range(BUSY)))
        assert counts == [1] * BUSY
    assert sign_ins + 3 <= server.sign_ins < sign_ins + BUSY, "once for each connection, not for each read"


async def test_a_read_in_flight_is_repeated(server: RpcServer, store: SurrealStore) -> None:
    server.drop_before = "FROM event"
    assert await store.event_count() == 0
    assert server.drop_before is None


async def test_a_server_that_does_not_answer_is_unavailable(server: RpcServer, store: SurrealStore) -> None:
    server.thawed.clear()
    with pytest.raises(StoreUnavailableError):
        await store.ping()
    server.thawed.set()
    await store.ping()


async def test_a_commit_that_was_carried_out_is_found_by_its_event(server: RpcServer, store: SurrealStore) -> None:
    credential = a_credential()
    server.drop_after = "BEGIN"
    await store.commit((AddCredential(credential), Append(an_event())))
    assert server.dropped
    assert list(await store.credentials(WORKSPACE)) == [credential]
    assert len(await store.events(WORKSPACE)) == 1


async def test_a_commit_that_was_not_carried_out_says_so(server: RpcServer, store: SurrealStore) -> None:
    server.drop_before = "BEGIN"
    with pytest.raises(StoreUnavailableError, match="Nothing was written"):
        await store.commit((AddCredential(a_credential()), Append(an_event())))
    assert list(await store.credentials(WORKSPACE)) == []


async def test_without_an_event_the_outcome_stays_unknown(server: RpcServer, store: SurrealStore) -> None:
    server.drop_after = "BEGIN"
    with pytest.raises(StoreUnavailableError, match="unknown whether it was carried out"):
        await store.commit((AddCredential(a_credential()),))
    assert len(await store.credentials(WORKSPACE)) == 1


async def test_a_conflict_is_retried(server: RpcServer, store: SurrealStore) -> None:
    server.answers = [RETRY] * 3
    await store.commit((Append(an_event()),))
    assert len(await store.events(WORKSPACE)) == 1


async def test_a_lasting_conflict_is_given_up(server: RpcServer) -> None:
    store = await open_surreal(server.url)
    server.answers = [RETRY] * ATTEMPTS
    with pytest.raises(ConflictError):
        await store.commit((Append(an_event()),))
    assert server.answers == []
    assert list(await store.events(WORKSPACE)) == []
    await store.aclose()


async def test_a_lasting_conflict_is_given_up_at_the_deadline(server: RpcServer, store: SurrealStore) -> None:
    server.answers = [RETRY] * 1000
    with pytest.raises(ConflictError):
        await store.commit((Append(an_event()),))
    server.answers = []
    assert list(await store.events(WORKSPACE)) == []


async def test_two_instances_see_each_others_commits(server: RpcServer, store: SurrealStore) -> None:
    other = await open_surreal(server.url, user="root", password=Secret(server.password))
    before = await store.revision()
    await other.commit((Append(an_event()),))
    async with asyncio.timeout(10):
        while await store.revision() == before:  # noqa: ASYNC110  # the stand-in has no live queries
            await asyncio.sleep(0.01)
    assert len(await store.events(WORKSPACE)) == 1
    await other.aclose()


async def test_a_wrong_password_is_one_sentence_without_it(server: RpcServer) -> None:
    with pytest.raises(StoreUnavailableError, match="refused the user name or the password") as caught:
        await open_surreal(server.url, user="root", password=Secret("canary"))
    assert not re.search("canary", repr(caught.value) + repr(caught.value.__cause__) + str(caught.value.__context__))


async def test_no_server_is_unavailable() -> None:
    async with surreal_rpc() as server:
        url = server.url
    with pytest.raises(StoreUnavailableError):
        await open_surreal(url, deadline=0.5)
