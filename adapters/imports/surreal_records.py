"""The records of a live SurrealDB, read page by page and never written."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from surrealdb import RecordID

from keycairn.adapters.surreal.dialect import dialect_of
from keycairn.adapters.surreal.embedded import SCHEME, EmbeddedConnection
from keycairn.adapters.surreal.remote import RemoteConnection
from keycairn.domain.errors import StoreError, UnreadableSourceError
from keycairn.domain.incoming import Refused
from keycairn.domain.secret import Secret

PAGE = 200
"""Records."""


class SurrealRecords:
    """`Records` of a database at `ws://`, `wss://` or, while nobody else has it open, `surrealkv://<path>`.

    Each table is read over a connection of its own, which is closed after the last record.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str,
        database: str,
        user: str | None = None,
        password: Secret | None = None,
        deadline: float = 30.0,
        authorities: str = "",
    ) -> None:
        self._url = url
        self._namespace, self._database = namespace, database
        self._user, self._password = user, password
        self._deadline = deadline
        self._authorities = authorities

    async def records(self, table: str) -> AsyncIterator[Mapping[str, Any] | Refused]:
        """See `Records`. Raises UnreadableSourceError, StoreLockedError or StoreUnavailableError."""
        connection = await self._open()
        try:
            dialect = dialect_of(await connection.version())
            text, last = f"SELECT * FROM {table} LIMIT {PAGE}", None  # noqa: S608  # one of our own names
            while page := await self._page(connection, text, last):
                for record in page:
                    yield {name: _plain(value) for name, value in record.items()}
                if len(page) < PAGE:
                    return
                text, last = f"SELECT * FROM {dialect.after(table, '$last')} LIMIT {PAGE}", page[-1]["id"].id  # noqa: S608
        finally:
            await connection.close()

    async def _page(
        self, connection: EmbeddedConnection | RemoteConnection, text: str, last: object
    ) -> list[dict[str, Any]]:
        try:
            rows = (await connection.query(text, {"last": last}))[-1]
        except StoreError as error:
            if type(error) is not StoreError:
                raise
            raise UnreadableSourceError("The database does not let its records be read, or holds odd ones.") from None
        return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), RecordID)]

    async def _open(self) -> EmbeddedConnection | RemoteConnection:
        if self._url.startswith(("ws://", "wss://")):
            return RemoteConnection(
                self._url,
                namespace=self._namespace,
                database=self._database,
                user=self._user,
                password=self._password,
                deadline=self._deadline,
                authorities=self._authorities,
            )
        if not self._url.startswith(SCHEME):
            raise UnreadableSourceError("A database is named by ws://HOST:PORT, wss://HOST:PORT or surrealkv://PATH.")
        if not _is_folder(self._url.removeprefix(SCHEME)):
            raise UnreadableSourceError("There is no database in that folder.")
        return await EmbeddedConnection.open(self._url, namespace=self._namespace, database=self._database)


def _is_folder(path: str) -> bool:
    return Path(path).is_dir()  # the engine would make it


def _plain(value: Any) -> Any:
    """Links as text."""
    if isinstance(value, RecordID):
        return f"{value.table_name}:{value.id}" if isinstance(value.id, str | int) else f"{value.table_name}:?"
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return value
