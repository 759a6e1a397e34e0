"""The store on a SurrealDB server, which other processes may write to as well."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from keycairn.adapters.state_reads import StateReads
from keycairn.adapters.surreal.dialect import EngineDialect
from keycairn.adapters.surreal.following import Follower
from keycairn.adapters.surreal.history import HistoryReads
from keycairn.adapters.surreal.loading import number_in
from keycairn.adapters.surreal.rows import Row, record_id
from keycairn.adapters.surreal.server_log import ServerLog
from keycairn.adapters.surreal.session import DatabaseConnection, Session
from keycairn.adapters.surreal.shares import SurrealShares
from keycairn.adapters.surreal.snapshot import all_records, read_moment, records_of
from keycairn.adapters.surreal.statements import HEAD, KEYSET, REVISION
from keycairn.adapters.surreal.trusting import TrustedRecords
from keycairn.domain.audit import AuditEvent, Head
from keycairn.domain.change import Changeset
from keycairn.domain.credential import Credential
from keycairn.domain.errors import ConflictError, RefusedRecordError, UnreadableRecordError
from keycairn.domain.ids import CredentialId, ModelId, TokenId
from keycairn.domain.keyset import Keyset
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.proof import Check, Learn
from keycairn.domain.record import NAMES, Record
from keycairn.domain.state import Key, State, distinct
from keycairn.domain.token import Token
from keycairn.ports.shares import Shares
from keycairn.ports.store import MOST, Finish, LostChangeset

_R = TypeVar("_R", bound=Record)


class SurrealStore(StateReads, HistoryReads):
    """A `keycairn.ports.store.Store`. Made by `open_surreal`; `start` comes first.

    What is looked for and not in memory is looked for again once that is at the revision of the moment: another
    instance may have made it.
    """

    def __init__(self, connection: DatabaseConnection, dialect: EngineDialect, log: ServerLog) -> None:
        self._trusted = TrustedRecords()
        self._follower = Follower(connection, dialect, self._trusted)
        self._session = Session(connection, log, self._follower, self._trusted)
        self._shares = SurrealShares(connection, self._follower)
        self._log = log
        self._dialect = dialect

    async def start(self) -> None:
        """Find out what became of changesets whose outcome was unknown, and read what is held in memory."""
        await self._session.settle_open()
        await self._follower.start()

    async def _read(self, text: str, **variables: Any) -> Any:
        found = await self._session.read(text, **variables)
        await self._trusted.learn_from(found)
        return found

    def note(self, error: UnreadableRecordError) -> None:
        """See `HistoryReads.note`."""
        self._trusted.note(error)

    @property
    def state(self) -> State:
        """See `StateReads.state`."""
        self._session.check_open()
        return self._follower.state

    async def current(self) -> State:
        """See `StateReads.current`."""
        if not self._follower.is_current:
            self._session.check_open()
            await self._follower.made_current()
        return self.state

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        """See `Store.credential`."""
        found = await super().credential(workspace, id)
        if found is None:
            await self._follower.advance()
            found = await super().credential(workspace, id)
        return found

    async def model(self, workspace: str, id: ModelId) -> Model | None:
        """See `Store.model`."""
        found = await super().model(workspace, id)
        if found is None:
            await self._follower.advance()
            found = await super().model(workspace, id)
        return found

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
        wanted: Any = {"type": type, "provider": provider, "credential": credential, "name": name}
        found = await super().models(workspace, **wanted, after=after, limit=limit)
        if not found and name is not None:
            await self._follower.advance()
            found = await super().models(workspace, **wanted, after=after, limit=limit)
        return found

    async def keyset(self) -> Keyset | None:
        """See `Store.keyset`. It is read from the database: what is read into memory may need it first."""
        return self._one(Keyset, await self._read("SELECT * FROM $id", id=KEYSET))

    async def token(self, id: TokenId) -> Token | None:
        """See `Store.token`."""
        found = await super().token(id)
        if found is None:
            await self._follower.advance()
            found = await super().token(id)
        return found

    async def all_tokens(self) -> Sequence[Token]:
        """See `Store.all_tokens`. No revision tells when another instance's were used last."""
        return self._all(Token, await self._read("SELECT * FROM token ORDER BY id"))

    async def head(self) -> Head | None:
        """See `Store.head`."""
        rows = await self._read("SELECT * FROM $id", id=HEAD)
        return self._one(Head, rows)

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        """See `Store.commit`."""
        if changes:
            await self._session.write(changes, finish)

    async def revision(self) -> int:
        """See `Store.revision`."""
        await self.current()
        return self._follower.changes

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncIterator[Record]]:
        """See `Store.snapshot`."""
        async with aclosing(self._settled()) as records:
            yield records

    async def restore(self, records: Iterable[Record]) -> None:
        """See `Store.restore`."""
        await self._session.restore(distinct(records))
        self._follower.uncertain()  # nothing of it is in memory yet
        await self._follower.advance()
        await self.vouch()

    @property
    def shares(self) -> Shares:
        """See `Store.shares`."""
        return self._shares

    @property
    def leads(self) -> bool:
        """See `Store.leads`."""
        return self._follower.lease.leads

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

    async def checkpoint(self) -> None:
        """See `Store.checkpoint`."""

    def trust(self, check: Check, learn: Learn, refused: Mapping[Key, str]) -> None:
        """See `Store.trust`. Others write here, so each record is checked whenever it is read."""
        if self._trusted.check is None:
            self._follower.prove()
        self._trusted.check, self._trusted.learn = check, learn
        for (kind, key), why in refused.items():
            self.note(RefusedRecordError(kind, key, why))

    def unreadable(self) -> Sequence[UnreadableRecordError]:
        """See `Store.unreadable`."""
        return self._trusted.unreadable()

    async def _settled(self) -> AsyncGenerator[Record, None]:
        """Everything as it is at one moment, while others write. Raises ConflictError, after the last record."""
        moment = await read_moment(self._read, self._dialect)
        if moment is not None:
            async with aclosing(
                records_of(moment, self._read, self._dialect, self.note, self._trusted.check)
            ) as records:
                async for record in records:
                    yield record
            return
        before = await self._stored_revision()
        async with aclosing(all_records(self._read, self._dialect, self.note, self._trusted.check)) as records:
            async for record in records:
                yield record
        if await self._stored_revision() != before:
            raise ConflictError

    async def _stored_revision(self) -> int:
        rows = await self._read("SELECT VALUE number FROM $id", id=REVISION)
        return number_in(rows[0]) if rows else 0

    def _all(self, kind: type[_R], rows: Iterable[Row]) -> list[_R]:
        return [record for record in self._trusted.readable(NAMES[kind], rows) if isinstance(record, kind)]

    def _one(self, kind: type[_R], rows: Iterable[Row]) -> _R | None:
        return next(iter(self._all(kind, rows)), None)

    async def ping(self) -> None:
        """See `Store.ping`."""
        await self._read("RETURN 1")
        await self.current()

    async def aclose(self) -> None:
        """See `Store.aclose`."""
        await self._session.aclose()
