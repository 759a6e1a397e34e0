"""The engine in this process."""

import gc
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
from surrealdb import RecordID
from surrealdb.connections.async_embedded import AsyncEmbeddedSurrealConnection
from surrealdb.data.types import constants
from surrealdb.errors import SurrealError
from surrealdb.request_message.message import RequestMessage

from keycairn.adapters.surreal.errors import results
from keycairn.adapters.surreal.lock import FileLock
from keycairn.domain.errors import StoreError, StoreUnavailableError

SCHEME = "surrealkv://"
MEMORY = "mem://"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _tag(tag: cbor2.CBORTag, _immutable: bool = False) -> object:  # noqa: FBT001, FBT002  # cbor2's signature
    if tag.tag == constants.TAG_DATETIME_COMPACT:
        seconds, nanoseconds = tag.value
        return _EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    if tag.tag == constants.TAG_RECORD_ID:
        return RecordID(*tag.value)
    if tag.tag == constants.TAG_NONE:
        return None
    raise StoreError


class _Engine(AsyncEmbeddedSurrealConnection):
    """The SDK's connection, its answers decoded in C: its own decoder takes longer than the database does."""

    async def _send(self, message: RequestMessage, process: str, bypass: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002  # the SDK's signature
        answer: dict[str, Any] = cbor2.loads(await self._db.execute(message.WS_CBOR_DESCRIPTOR), tag_hook=_tag)
        if not bypass:
            self.check_response_for_error(answer, process)
        return answer


class EmbeddedConnection:
    """A store that belongs to this process alone."""

    shared = False

    def __init__(self, engine: _Engine, lock: FileLock | None) -> None:
        self._engine: _Engine | None = engine
        self._lock = lock

    @classmethod
    async def open(cls, url: str, *, namespace: str, database: str) -> "EmbeddedConnection":
        """Open the store. Raises StoreLockedError, and StoreError for a folder that cannot be used."""
        # the engine's only switch for syncing each commit to the disk; it reads it when it opens a store
        os.environ["SURREAL_SYNC_DATA"] = "true"
        lock = None if url == MEMORY else FileLock(Path(url.removeprefix(SCHEME)))
        try:
            engine = _Engine(url)
            await engine.connect()
            await engine.use(namespace, database)
        except BaseException as error:
            if lock:
                lock.release()
            if isinstance(error, (RuntimeError, SurrealError, OSError)):
                raise StoreError("The folder cannot be opened as a SurrealKV store. Nothing was changed.") from error
            raise
        return cls(engine, lock)

    async def version(self) -> str:
        """What the engine calls itself, such as `surrealdb-2.0.0`. The major version is right."""
        return str(await self._usable().version())

    async def query(self, text: str, variables: Mapping[str, Any]) -> list[Any]:
        """The result of each statement. Raises StoreError or what `results` raises."""
        try:
            answer = await self._usable().query_raw(text, dict(variables))
        except (RuntimeError, SurrealError):
            raise StoreError from None  # the engine's text quotes the statement
        return results(answer)

    async def close(self) -> None:
        """Close the engine, then let others open the store. The engine closes when nothing refers to it any more."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()
        del engine
        gc.collect()
        if self._lock:
            self._lock.release()

    def _usable(self) -> _Engine:
        if self._engine is None:
            raise StoreUnavailableError("The database is closed.")
        return self._engine
