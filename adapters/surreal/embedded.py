"""The engine in this process."""

import asyncio
import gc
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cbor2
from surrealdb.connections.async_embedded import AsyncEmbeddedSurrealConnection
from surrealdb.errors import SurrealError
from surrealdb.request_message.message import RequestMessage

from keycairn.adapters.surreal.errors import results
from keycairn.adapters.surreal.lock import StoreLock
from keycairn.adapters.surreal.place import place_of
from keycairn.adapters.surreal.wire import decoded, wired
from keycairn.domain.errors import StoreError, StoreUnavailableError

SCHEME = "surrealkv://"
MEMORY = "mem://"
LARGE = 32 * 1024
"""Bytes of an answer that are decoded in a thread: it takes milliseconds."""
VALUES_KEPT = "1000"
"""Values the engine keeps in memory beside its index, in place of 100,000: the records are held here already."""


class _Engine(AsyncEmbeddedSurrealConnection):
    """The SDK's connection, its messages written and read in C: its own coder takes longer than the database does."""

    async def _send(self, message: RequestMessage, process: str, bypass: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002  # the SDK's signature
        answer = decoded(await self._db.execute(message.WS_CBOR_DESCRIPTOR))
        if not bypass:
            self.check_response_for_error(answer, process)
        return answer

    async def run(self, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The raw answer to a query."""
        message = cbor2.dumps({"id": "q", "method": "query", "params": [text, wired(dict(variables))]})
        answer = await self._db.execute(message)
        return decoded(answer) if len(answer) < LARGE else await asyncio.to_thread(decoded, answer)


class EmbeddedConnection:
    """A store that belongs to this process alone."""

    shared = False

    def __init__(self, folder: Path | None, namespace: str, database: str, lock: StoreLock | None) -> None:
        self.folder = folder
        """Where the engine keeps its files, None where it keeps none."""
        self._namespace, self._database = namespace, database
        self._engine: _Engine | None = None
        self._lock = lock

    @classmethod
    async def open(cls, url: str, *, namespace: str, database: str) -> "EmbeddedConnection":
        """Open the store. Raises StoreLockedError, and StoreError for a folder that cannot be used."""
        connection = cls.locked(url, namespace=namespace, database=database)
        try:
            await connection.resume()
        except BaseException:
            await connection.close()
            raise
        return connection

    @classmethod
    def locked(cls, url: str, *, namespace: str, database: str) -> "EmbeddedConnection":
        """The store, locked, its engine not open yet; see `resume`. Raises StoreLockedError or StoreError."""
        if url == MEMORY:
            return cls(None, namespace, database, None)
        named = Path(url.removeprefix(SCHEME))
        lock = StoreLock(named)
        try:
            return cls(place_of(named), namespace, database, lock)
        except BaseException:
            lock.release()
            raise

    def check(self) -> None:
        """Raise StoreMovedError when the folder was moved or replaced since it was locked."""
        if self._lock:
            self._lock.check()

    async def resume(self) -> None:
        """Open the engine, again after `suspend`. Raises StoreError."""
        self.check()
        # The redo log is what is synced. The engine reads its switches when it opens a store.
        os.environ["SURREAL_SYNC_DATA"] = "false"
        os.environ.setdefault("SURREAL_SURREALKV_MAX_VALUE_CACHE_SIZE", VALUES_KEPT)
        try:
            engine = _Engine(MEMORY if self.folder is None else f"{SCHEME}{self.folder}")
            await engine.connect()
            await engine.use(self._namespace, self._database)
        except (RuntimeError, SurrealError, OSError) as error:
            raise StoreError("The folder cannot be opened as a SurrealKV store. Nothing was changed.") from error
        self._engine = engine

    async def suspend(self) -> None:
        """Close the engine and keep the store locked. The engine closes when nothing refers to it any more."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        await engine.close()
        left = weakref.ref(engine)
        del engine
        if left() is not None:  # something that failed in it may be in a circle with it
            gc.collect()

    async def version(self) -> str:
        """What the engine calls itself, such as `surrealdb-2.0.0`. The major version is right."""
        return str(await self._usable().version())

    async def query(self, text: str, variables: Mapping[str, Any]) -> list[Any]:
        """The result of each statement. Raises StoreError or what `results` raises."""
        try:
            answer = await self._usable().run(text, variables)
        except (RuntimeError, SurrealError, cbor2.CBOREncodeError, cbor2.CBORDecodeError, ValueError):
            raise StoreError from None  # the engine's text quotes the statement
        return results(answer)

    async def close(self) -> None:
        """Close the engine, then let others open the store."""
        await self.suspend()
        if self._lock:
            self._lock.release()

    def _usable(self) -> _Engine:
        if self._engine is None:
            raise StoreUnavailableError("The database is closed.")
        self.check()
        return self._engine
