"""Stores of every kind, empty, for as long as a test wants them."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from surrealdb import AsyncWsSurrealConnection
from tests.servers.surreal_rpc import surreal_rpc
from tests.servers.surreal_server import PASSWORD, USER, fresh_namespace, needs_server, shared_url

from keycairn.adapters.memory import MemoryStore
from keycairn.adapters.surreal import open_surreal
from keycairn.domain.record import KINDS
from keycairn.ports.store import Store

ENGINES = ("memory", "surrealkv", "ws", pytest.param("server", marks=needs_server))
"""`ws` is a stand-in for a server, on the engine in this process; `server` is a real one."""


@asynccontextmanager
async def a_store(engine: str, folder: Path) -> AsyncIterator[Store]:
    """An empty store of `engine`."""
    match engine:
        case "memory":
            yield MemoryStore()
        case "surrealkv":
            shutil.copytree(await _prepared(), folder / engine)
            kv = await open_surreal(f"surrealkv://{folder}/{engine}/db")
            yield kv
            await kv.aclose()
        case "server":
            async with a_database() as namespace:
                remote = await open_surreal(shared_url(), namespace=namespace, user=USER, password=PASSWORD)
                yield remote
                await remote.aclose()
        case _:
            async with surreal_rpc() as server:
                ws = await open_surreal(server.url)
                yield ws
                await ws.aclose()


@asynccontextmanager
async def a_database() -> AsyncIterator[str]:
    """The namespace of an empty database, defined, on the server that the tests of this process share.

    Its tables are defined once: emptying them takes a twentieth of that.
    """
    namespace = _databases.pop() if _databases else fresh_namespace()
    yield namespace
    statements = ";".join(f"DELETE {table}" for table in (*KINDS, "ledger", "restoring"))
    client = await connected(namespace)
    await client.query_raw(statements)
    await client.close()
    _databases.append(namespace)


async def connected(namespace: str) -> AsyncWsSurrealConnection:
    """A connection of the test's own to the database of a namespace on the shared server."""
    client = AsyncWsSurrealConnection(shared_url())
    if _passes:  # signing in with a password takes the server 0.1 s
        await client.authenticate(_passes[0])
    else:
        signed_in = await client.signin({"username": USER, "password": PASSWORD.reveal()})
        _passes.append(signed_in.access or "")
    await client.use(namespace, "keycairn")
    return client


_databases: list[str] = []
_passes: list[str] = []


@cache
def _workshop() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


async def _prepared() -> Path:
    """The folder of a new store, made once: copying it is faster than defining its tables again."""
    made = Path(_workshop().name) / "made"
    if not made.exists():
        store = await open_surreal(f"surrealkv://{made}/db")
        await store.aclose()
    return made
