"""A real database server that is killed, frozen, cut off or slow: what was acknowledged is there, and nothing hangs."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.nights import by_day
from tests.samples import an_event
from tests.servers.surreal_server import (
    PASSWORD,
    USER,
    SurrealServer,
    fresh_namespace,
    needs_binary,
    needs_server,
    shared_url,
    surreal_server,
)
from tests.servers.tcp_proxy import TcpProxy, tcp_proxy
from tests.stores import connected
from tests.tls import make_authority

from keycairn.adapters.surreal import open_surreal
from keycairn.domain.audit import AuditEvent
from keycairn.domain.change import Append
from keycairn.domain.errors import ConflictError, StoreError, StoreUnavailableError
from keycairn.domain.secret import Secret
from keycairn.ports.store import Store

KILLS = int(os.environ.get("KEYCAIRN_SERVER_KILLS", "2"))
"""How often the server is killed under load; a night should see 50."""
DEADLINE = 3.0
SLACK = 6.0
"""Seconds beyond the deadline: for settling what broke, and for a busy machine."""
RECOVERY = 5.0 + SLACK

Fault = Callable[[TcpProxy], Awaitable[None]]


@asynccontextmanager
async def a_remote_store(url: str, namespace: str, folder: Path, deadline: float = DEADLINE) -> AsyncIterator[Store]:
    store = await open_surreal(
        url, namespace=namespace, user=USER, password=PASSWORD, deadline=deadline, anchor_file=folder / "anchor"
    )
    try:
        yield store
    finally:
        await store.aclose()


class Load:
    """Writers of one store, and what they were told."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.acknowledged: list[str] = []
        self.denied: list[str] = []
        self.longest = 0.0
        self.done = False

    async def write(self) -> None:
        while not self.done:
            event = an_event()
            started = time.monotonic()
            try:
                await self._store.commit((Append(event),))
            except StoreUnavailableError as error:
                if "Nothing was written" in str(error):
                    self.denied.append(event.id)
                await asyncio.sleep(0.02)
            except ConflictError:
                self.denied.append(event.id)
            else:
                self.acknowledged.append(event.id)
            self.longest = max(self.longest, time.monotonic() - started)

    async def more(self, within: float) -> float:
        """Wait until something is acknowledged that was begun from now on; the seconds that took."""
        started, count = time.monotonic(), len(self.acknowledged)
        async with asyncio.timeout(within):
            while len(self.acknowledged) < count + 8:  # noqa: ASYNC110  # four writers, none of which knows of the others
                await asyncio.sleep(0.01)
        return time.monotonic() - started


@asynccontextmanager
async def under_load(store: Store) -> AsyncIterator[Load]:
    load = Load(store)
    writers = [asyncio.create_task(load.write()) for _ in range(4)]
    try:
        yield load
    finally:
        load.done = True
        await asyncio.gather(*writers)


async def check(store: Store, load: Load) -> None:
    """Everything acknowledged is there, and nothing of which it was said that it was not written."""
    async with store.snapshot() as records:
        found = {record.id async for record in records if isinstance(record, AuditEvent)}
    assert set(load.acknowledged) - found == set()
    assert set(load.denied) & found == set()


@needs_binary
async def test_a_server_that_is_killed_under_load_loses_nothing_acknowledged(
    tmp_path: Path, record_testsuite_property: Callable[[str, object], None]
) -> None:
    recoveries = []
    with surreal_server(tmp_path / "db") as server:
        async with a_remote_store(server.url, "killed", tmp_path, 10.0) as store:
            async with under_load(store) as load:
                for _ in range(KILLS):
                    await load.more(within=30)
                    server.kill()
                    await asyncio.sleep(0.1)
                    await asyncio.to_thread(server.start)
                    recoveries.append(await load.more(within=RECOVERY))
            await check(store, load)
    record_testsuite_property("seconds to recover, at the most", max(recoveries))
    record_testsuite_property("acknowledged", len(load.acknowledged))
    record_testsuite_property("longest call, in seconds", load.longest)


@needs_binary
async def test_a_frozen_server_is_found_out_and_comes_back(tmp_path: Path) -> None:
    with surreal_server(tmp_path / "db") as server:
        async with a_remote_store(server.url, "frozen", tmp_path) as store:
            async with under_load(store) as load:
                await load.more(within=30)
                server.freeze()
                started = time.monotonic()
                with pytest.raises(StoreUnavailableError):
                    await store.ping()
                assert time.monotonic() - started < DEADLINE + SLACK
                server.thaw()
                await load.more(within=RECOVERY)
            assert load.longest < DEADLINE + SLACK
            await check(store, load)


async def _drop(proxy: TcpProxy) -> None:
    proxy.drop()


async def _slow(proxy: TcpProxy) -> None:
    proxy.delay = 0.05
    await asyncio.sleep(0.5)
    proxy.delay = 0


async def _part(proxy: TcpProxy) -> None:
    proxy.whole.clear()
    await asyncio.sleep(DEADLINE + 0.5)
    proxy.whole.set()


async def _refuse(proxy: TcpProxy) -> None:
    proxy.refuses = True
    proxy.drop()
    await asyncio.sleep(1)
    proxy.refuses = False


FAULTS: list[Fault] = [_drop, _slow, _part, _refuse]


@needs_server
@pytest.mark.parametrize("seed", by_day(range(12), one_in=12))
async def test_a_bad_network_loses_nothing_acknowledged_and_no_call_hangs(seed: int, tmp_path: Path) -> None:
    port = urlsplit(shared_url()).port
    assert port is not None
    async with (
        tcp_proxy(port) as proxy,
        a_remote_store(f"ws://127.0.0.1:{proxy.port}", fresh_namespace(), tmp_path) as store,
    ):
        async with under_load(store) as load:
            for turn in range(4):
                await load.more(within=RECOVERY)
                await FAULTS[(seed + turn) % len(FAULTS)](proxy)
            await load.more(within=RECOVERY)
        assert load.longest < DEADLINE + SLACK
        await check(store, load)


@needs_server
async def test_while_the_server_is_away_calls_fail_at_once(tmp_path: Path) -> None:
    port = urlsplit(shared_url()).port
    assert port is not None
    async with (
        tcp_proxy(port) as proxy,
        a_remote_store(f"ws://127.0.0.1:{proxy.port}", fresh_namespace(), tmp_path) as store,
    ):
        proxy.refuses = True
        proxy.drop()
        with suppress(StoreError):
            await store.ping()
        started = time.monotonic()
        told = await asyncio.gather(*(store.ping() for _ in range(50)), return_exceptions=True)
        assert {str(one) for one in told} == {"The database cannot be reached. Try again shortly."}
        assert time.monotonic() - started < DEADLINE


@needs_server
@pytest.mark.parametrize("level", ["ROOT", "NAMESPACE", "DATABASE"])
async def test_users_of_the_server_the_namespace_and_the_database_sign_in(level: str) -> None:
    namespace = fresh_namespace()
    client = await connected(namespace)
    await client.query_raw(f"DEFINE USER {namespace} ON {level} PASSWORD 'a good one' ROLES OWNER")
    await client.close()
    store = await open_surreal(shared_url(), namespace=namespace, user=namespace, password=Secret("a good one"))
    await store.commit((Append(an_event()),))
    await store.aclose()
    with pytest.raises(StoreUnavailableError, match="refused the user name or the password"):
        await open_surreal(shared_url(), namespace=namespace, user=namespace, password=Secret("another"))


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[SurrealServer]:
    """A server behind TLS, with a certificate that is its own authority."""
    authority = make_authority("localhost")
    (tmp_path / "crt").write_bytes(authority.pem)
    (tmp_path / "key").write_bytes(authority.key_pem)
    options = ("--web-crt", str(tmp_path / "crt"), "--web-key", str(tmp_path / "key"))
    with surreal_server(tmp_path / "db", *options, scheme="wss") as server:
        yield server


@needs_binary
async def test_a_server_behind_tls_is_believed_by_its_own_authority_only(secured: SurrealServer) -> None:
    url = f"wss://localhost:{secured.port}"
    pem = make_authority("localhost").pem.decode()
    store = await open_surreal(url, user=USER, password=PASSWORD, authorities=pem)
    await store.ping()
    await store.aclose()
    other = make_authority("another.example").pem.decode()
    for authorities in ("", other):
        with pytest.raises(StoreUnavailableError, match="KEYCAIRN_DATABASE_CA_FILE"):
            await open_surreal(url, user=USER, password=PASSWORD, authorities=authorities)
    with pytest.raises(StoreUnavailableError, match="KEYCAIRN_DATABASE_CA_FILE"):
        await open_surreal(f"wss://127.0.0.1:{secured.port}", user=USER, password=PASSWORD, authorities=pem)
