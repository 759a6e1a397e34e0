"""The store on a SurrealDB server, which other processes may write to as well."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from keycairn.adapters.state_reads import page
from keycairn.adapters.surreal.dialect import EngineDialect
from keycairn.adapters.surreal.history import HistoryReads
from keycairn.adapters.surreal.loading import number_in
from keycairn.adapters.surreal.records import Row, place, record_id
from keycairn.adapters.surreal.server_log import ServerLog
from keycairn.adapters.surreal.session import DatabaseConnection, Session
from keycairn.adapters.surreal.snapshot import all_records, read_moment, records_of
from keycairn.adapters.surreal.statements import HEAD, KEYSET, REVISION
from keycairn.domain.audit import AuditEvent, Head
from keycairn.domain.change import Changeset
from keycairn.domain.credential import Credential
from keycairn.domain.errors import ConflictError, RefusedRecordError, UnreadableRecordError
from keycairn.domain.ids import CredentialId, ModelId, TokenId, key_of
from keycairn.domain.key_rotation.record import KeyRotation, KeyRotationId
from keycairn.domain.keyset import Keyset
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model
from keycairn.domain.proof import Check, Learn, kid_of_proof
from keycairn.domain.record import NAMES, Record
from keycairn.domain.state import Key, distinct
from keycairn.domain.token import Token
from keycairn.ports.store import MOST, Finish, LostChangeset, Position

_R = TypeVar("_R", bound=Record)


class SurrealStore(HistoryReads):
    """A `keycairn.ports.store.Store`. Made by `open_surreal`."""

    def __init__(self, connection: DatabaseConnection, dialect: EngineDialect, log: ServerLog) -> None:
        self._session = Session(connection, log)
        self._log = log
        self._dialect = dialect
        self._learn: Learn | None = None

    async def _read(self, text: str, **variables: Any) -> Any:
        found = await self._session.read(text, **variables)
        if self._learn is not None and (kids := _kids(found)):
            await self._learn(kids)
        return found

    def note(self, error: UnreadableRecordError) -> None:
        """See `HistoryReads.note`."""
        self._session.note(error)

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        """See `Store.credential`."""
        rows = await self._read(
            "SELECT * FROM $id WHERE workspace = $workspace", id=record_id("credential", id), workspace=workspace
        )
        return self._one(Credential, rows)

    async def credentials(
        self, workspace: str, *, provider: str | None = None, after: Position | None = None, limit: int = MOST
    ) -> Sequence[Credential]:
        """See `Store.credentials`."""
        if after is None and await self._fits("credential", limit):
            rows = await self._read(
                "SELECT * FROM credential WITH NOINDEX WHERE workspace = $workspace", workspace=workspace
            )
            wanted = [row for row in rows if provider in {None, row.get("provider")}]
            found = self._all(Credential, wanted)
            return sorted(found, key=lambda one: (one.provider, one.created, one.id))
        start = place(after.provider, after.created, after.id) if after else ""
        end = "\U0010ffff"
        if provider is not None:
            start, end = max(start, f"{provider}\t"), f"{provider}\n"

        async def read(after: Any, limit: int) -> list[Row]:
            rows: list[Row] = await self._read(
                "SELECT * FROM credential WITH INDEX credential_place "
                "WHERE workspace = $workspace AND place > $start AND place < $end ORDER BY place LIMIT $limit",
                workspace=workspace,
                start=after,
                end=end,
                limit=limit,
            )
            return rows

        return await self._filled(Credential, read, lambda row: row["place"], start, page(limit))

    async def all_credentials(self, *, after: CredentialId | None = None, limit: int = MOST) -> Sequence[Credential]:
        """See `Store.all_credentials`."""

        async def read(after: Any, limit: int) -> list[Row]:
            source = self._dialect.ours("credential", "$after")
            rows: list[Row] = await self._read(f"SELECT * FROM {source} LIMIT $limit", after=after, limit=limit)  # noqa: S608  # our own table
            return rows

        return await self._filled(Credential, read, lambda row: row["id"].id, key_of(after or ""), page(limit))

    async def with_same_secret(self, workspace: str, fingerprints: Collection[str]) -> Sequence[Credential]:
        """See `Store.with_same_secret`."""
        if not fingerprints:
            return []
        rows = await self._read(
            "SELECT * FROM credential WITH INDEX credential_prints "
            "WHERE prints CONTAINSANY $prints AND workspace = $workspace ORDER BY place LIMIT $limit",
            prints=sorted(fingerprints),
            workspace=workspace,
            limit=MOST,
        )
        return self._all(Credential, rows)

    async def model(self, workspace: str, id: ModelId) -> Model | None:
        """See `Store.model`."""
        rows = await self._read(
            "SELECT * FROM $id WHERE workspace = $workspace", id=record_id("model", id), workspace=workspace
        )
        return self._one(Model, rows)

    async def models(
        self,
        workspace: str,
        *,
        type: Modality | None = None,
        provider: str | None = None,
        credential: CredentialId | None = None,
        name: str | None = None,
        after: ModelId | None = None,
        limit: int | None = MOST,
    ) -> Sequence[Model]:
        """See `Store.models`."""
        link = record_id("credential", credential) if credential is not None else None
        filters = {"workspace": workspace, "type": type, "provider": provider, "credential": link, "name": name}
        given = {column: value for column, value in filters.items() if value is not None}
        conditions = " AND ".join(f"{column} = ${column}" for column in given)
        start: object
        if link is not None:  # few models of one account: by the index, then sorted
            source, order = "model", "ORDER BY id"
            conditions += " AND id > $after"
            start = record_id("model", after or "model:")
        else:  # many: in the order of their keys, up to the limit
            source, order = self._dialect.ours("model", "$after"), ""
            start = key_of(after or "")
        bound = "" if limit is None else "LIMIT $limit"
        text = f"SELECT * FROM {source} WHERE {conditions} {order} {bound}"  # noqa: S608  # our own column names

        async def read(after: Any, limit: int) -> list[Row]:
            rows: list[Row] = await self._read(text, **given, after=after, limit=limit)
            return rows

        if limit is None:
            return self._all(Model, await read(start, 0))
        return await self._filled(
            Model, read, lambda row: row["id"] if link is not None else row["id"].id, start, page(limit)
        )

    async def model_counts(
        self, workspace: str, credentials: Collection[CredentialId] | None = None
    ) -> Mapping[CredentialId, int]:
        """See `Store.model_counts`.

        A view, which the database would keep up to date by itself, counts wrong after a restart: of several updates in
        one transaction only the first is replayed.
        """
        rows = await self._read(
            "SELECT holder, count() AS models FROM model "  # noqa: S608  # our own clauses
            f"WHERE {'holder != $none' if credentials is None else 'credential IN $links'} AND workspace = $workspace "
            "GROUP BY holder",
            none="",
            links=[record_id("credential", id) for id in credentials or ()],
            workspace=workspace,
        )
        return {CredentialId(f"credential:{row['holder']}"): row["models"] for row in rows}

    async def unlinked_models(self, workspace: str, provider: str) -> Sequence[Model]:
        """See `Store.unlinked_models`."""
        rows = await self._read(
            "SELECT * FROM model WHERE workspace = $workspace AND provider = $provider AND holder = '' ORDER BY id",
            workspace=workspace,
            provider=provider,
        )
        return self._all(Model, rows)

    async def providers_in_use(self, workspace: str) -> frozenset[str]:
        """See `Store.providers_in_use`."""
        rows = await self._read(
            "SELECT provider FROM credential WHERE workspace = $workspace GROUP BY provider", workspace=workspace
        )
        return frozenset(row["provider"] for row in rows if isinstance(row.get("provider"), str))

    async def defaults(self, workspace: str) -> Defaults:
        """See `Store.defaults`."""
        rows = await self._read("SELECT * FROM $id", id=record_id("defaults", f"defaults:{workspace}"))
        return self._one(Defaults, rows) or Defaults(workspace=workspace)

    async def keyset(self) -> Keyset | None:
        """See `Store.keyset`."""
        rows = await self._read("SELECT * FROM $id", id=KEYSET)
        return self._one(Keyset, rows)

    async def any_sealed(self) -> bool:
        """See `Store.any_sealed`."""
        found = await self._read("SELECT VALUE version FROM credential WHERE sealed != NONE LIMIT 1")
        return bool(found) or any(one.sealed for one in await self.key_rotations())

    async def token(self, id: TokenId) -> Token | None:
        """See `Store.token`."""
        rows = await self._read("SELECT * FROM $id", id=record_id("token", id))
        return self._one(Token, rows)

    async def tokens(self, workspace: str) -> Sequence[Token]:
        """See `Store.tokens`."""
        rows = await self._read("SELECT * FROM token WHERE workspace = $workspace ORDER BY id", workspace=workspace)
        return self._all(Token, rows)

    async def all_tokens(self) -> Sequence[Token]:
        """See `Store.all_tokens`."""
        return self._all(Token, await self._read("SELECT * FROM token ORDER BY id"))

    async def key_rotation(self, id: KeyRotationId) -> KeyRotation | None:
        """See `Store.key_rotation`."""
        rows = await self._read("SELECT * FROM $id", id=record_id("key_rotation", id))
        return self._one(KeyRotation, rows)

    async def key_rotations(self) -> Sequence[KeyRotation]:
        """See `Store.key_rotations`."""
        return self._all(KeyRotation, await self._read("SELECT * FROM key_rotation ORDER BY id"))

    async def head(self) -> Head | None:
        """See `Store.head`."""
        rows = await self._read("SELECT * FROM $id", id=HEAD)
        return self._one(Head, rows)

    async def _fits(self, table: str, limit: int) -> bool:
        """Whether a page holds the whole table: reading all of it in key order is then a third faster than by index."""
        counted = await self._read("SELECT count() FROM type::table($table) GROUP ALL", table=table)
        return bool(limit > 0 and (not counted or counted[0]["count"] <= limit))

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        """See `Store.commit`."""
        if changes:
            await self._session.write(changes, finish)

    async def revision(self) -> int:
        """See `Store.revision`."""
        rows = await self._read("SELECT VALUE number FROM $id", id=REVISION)
        return number_in(rows[0]) if rows else 0

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncIterator[Record]]:
        """See `Store.snapshot`."""
        async with aclosing(self._settled()) as records:
            yield records

    async def restore(self, records: Iterable[Record]) -> None:
        """See `Store.restore`."""
        await self._session.restore(distinct(records))
        await self.vouch()

    async def acknowledged(self) -> Head | None:
        """See `Store.acknowledged`."""
        return self._log.head

    async def vouch(self) -> None:
        """See `Store.vouch`."""
        self._log.vouch(await self.head())

    async def lost(self) -> Sequence[LostChangeset]:
        """See `Store.lost`."""
        found = []
        oldest = next((event.seq for event in await self.chain(limit=1)), 0)
        for intent in self._log.acknowledged():
            events = [record for record in intent.images.values() if isinstance(record, AuditEvent)]
            if any(event.seq < oldest for event in events):
                continue  # older than what the audit log keeps
            ids = [record_id("event", event.id) for event in events]
            if ids and not await self._read("SELECT VALUE id FROM $ids", ids=ids):
                found.append(LostChangeset(intent.number, intent.events, intent.images))
        return found

    async def give_up(self, lost: Sequence[LostChangeset]) -> None:
        """See `Store.give_up`."""
        self._log.give_up(one.number for one in lost)

    async def settle(self) -> None:
        """Find out what became of the changesets whose outcome was not known when the process ended."""
        await self._session.settle_open()

    async def checkpoint(self) -> None:
        """See `Store.checkpoint`."""

    def trust(self, check: Check, learn: Learn, refused: Mapping[Key, str]) -> None:
        """See `Store.trust`. Others write here, so each record is checked whenever it is read."""
        self._session.check = check
        self._learn = learn
        for (kind, key), why in refused.items():
            self.note(RefusedRecordError(kind, key, why))

    def unreadable(self) -> Sequence[UnreadableRecordError]:
        """See `Store.unreadable`."""
        return self._session.unreadable()

    async def _settled(self) -> AsyncGenerator[Record, None]:
        """Everything as it is at one moment, while others write. Raises ConflictError, after the last record."""
        moment = await read_moment(self._read, self._dialect)
        if moment is not None:
            async with aclosing(
                records_of(moment, self._read, self._dialect, self.note, self._session.check)
            ) as records:
                async for record in records:
                    yield record
            return
        before = await self.revision()
        async with aclosing(all_records(self._read, self._dialect, self.note, self._session.check)) as records:
            async for record in records:
                yield record
        if await self.revision() != before:
            raise ConflictError

    async def _filled(
        self,
        kind: type[_R],
        read: Callable[[Any, int], Awaitable[list[Row]]],
        place: Callable[[Row], Any],
        after: object,
        limit: int,
    ) -> list[_R]:
        """A page of records that can be read, `limit` of them unless the list ends.

        Whoever asks takes a shorter page for the last one, so those left out must not make it shorter.
        """
        found: list[_R] = []
        while len(found) < limit:
            size = limit - len(found)
            rows = await read(after, size)
            found += self._all(kind, rows)
            if len(rows) < size:
                break
            after = place(rows[-1])
        return found

    def _all(self, kind: type[_R], rows: Iterable[Row]) -> list[_R]:
        return [record for record in self._session.readable(NAMES[kind], rows) if isinstance(record, kind)]

    def _one(self, kind: type[_R], rows: Iterable[Row]) -> _R | None:
        return next(iter(self._all(kind, rows)), None)

    async def ping(self) -> None:
        """See `Store.ping`."""
        await self._read("RETURN 1")

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        await self._session.aclose()


def _kids(rows: object) -> frozenset[int]:
    """The data keys that the proofs in rows need."""
    if not isinstance(rows, list):
        return frozenset()
    found = {kid_of_proof(row.get("proof")) for row in rows if isinstance(row, dict)}
    return frozenset(kid for kid in found if kid is not None)
