"""Putting back what a database server had acknowledged and lost."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from keycairn.app.services.audit import Journal
from keycairn.domain.audit import IN_PROCESS, Action, AuditEvent, Caller, Details, Head
from keycairn.domain.change import (
    AddCredential,
    AddModel,
    Change,
    DeleteCredential,
    DeleteModel,
    PutDefaults,
    PutKeyset,
    PutToken,
    ReplaceCredential,
    ReplaceModel,
)
from keycairn.domain.credential import Credential
from keycairn.domain.errors import ConflictError, InvalidInputError
from keycairn.domain.keyset import Keyset
from keycairn.domain.model import Defaults, Model
from keycairn.domain.record import Record, UsageRecord
from keycairn.domain.state import Key
from keycairn.domain.token import Token
from keycairn.ports.store import LostChangeset, Store


class Left(Struct, frozen=True):
    """A record that was not put back, and why."""

    record: str
    why: str


class Replayed(Struct, frozen=True, kw_only=True):
    """What came of it: ids of the records that were put back, and those that were left."""

    lost: int
    put_back: tuple[str, ...]
    left: tuple[Left, ...]


class Replay:
    """Gives the database again what the redo log beside it says it had taken, where that still fits by version."""

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal

    async def run(self, *, by: Caller = IN_PROCESS) -> Replayed:
        """Put back what fits, changeset by changeset, and tell what does not. Raises StoreError or SealedError.

        A record fits that is gone, or older than what was lost; a deletion, where the record has not been written
        since. What changed in the meantime stays.
        """
        lost = await self._store.lost()
        put_back: list[str] = []
        left: list[Left] = []
        for changeset in lost:
            done, refused = await self._put_back(changeset, by)
            put_back += done
            left += refused
        await self._store.give_up(lost)
        return Replayed(lost=len(lost), put_back=tuple(dict.fromkeys(put_back)), left=tuple(left))

    async def _put_back(self, lost: LostChangeset, by: Caller) -> tuple[Sequence[str], Sequence[Left]]:
        when = max((each.at for each in lost.images.values() if isinstance(each, AuditEvent)), default=None)
        changes: list[Change] = []
        done: list[str] = []
        left: list[Left] = []
        for key, record in _records(lost):
            change = await (self._again(record) if record is not None else self._gone_again(key, when))
            name = f"{key[0]}:{key[1]}"
            if change is None:
                left.append(Left(name, "it was changed since, or is as it was"))
            else:
                changes.append(change)
                done.append(name)
        if not changes:
            return (), left
        details: Details = {"events": [*lost.events], "records": done[:100]}
        event = self._journal.event(by, Action.CHANGES_REPLAYED, "database", details=details)
        try:
            await self._journal.commit((*changes, event))
        except (ConflictError, InvalidInputError) as error:
            return (), [*left, *(Left(name, str(error)) for name in done)]
        return done, left

    async def _again(self, record: Record) -> Change | None:  # noqa: C901, PLR0912  # a case for each kind
        """The change that makes the record what it was; None where it does not fit."""
        store = self._store
        change: Change | None = None
        match record:
            case Credential():
                credential = await store.credential(record.workspace, record.id)
                if credential is None:
                    change = AddCredential(record)
                elif credential.version < record.version:
                    change = ReplaceCredential(record, expected=credential.version)
            case Model():
                model = await store.model(record.workspace, record.id)
                if model is None:
                    change = AddModel(record)
                elif model.version < record.version:
                    change = ReplaceModel(record, expected=model.version)
            case Token():
                token = await store.token(record.id)
                if token is None or (record.revoked and not token.revoked):
                    change = PutToken(record)
            case Defaults():
                defaults = await store.defaults(record.workspace)
                if defaults.version < record.version:
                    change = PutDefaults(record, expected=defaults.version)
            case Keyset():
                keyset = await store.keyset()
                if keyset and keyset.install_id == record.install_id and keyset.generation < record.generation:
                    change = PutKeyset(record, expected=keyset.generation)
            case _:
                pass  # events, their head and sums of usage are no records to put back
        return change

    async def _gone_again(self, key: Key, when: datetime | None) -> Change | None:
        """The change that deletes the record again; None where it is gone, or was written since."""
        kind, id = key[0], f"{key[0]}:{key[1]}"
        async with self._store.snapshot() as records:
            stored = [record async for record in records if getattr(record, "id", None) == id]
        for record in stored:
            if kind == "credential" and isinstance(record, Credential) and when is not None and record.updated <= when:
                return DeleteCredential(record.workspace, record.id, record.version)
            if kind == "model" and isinstance(record, Model) and when is not None and record.updated <= when:
                return DeleteModel(record.workspace, record.id)
        return None


def _records(lost: LostChangeset) -> Iterator[tuple[Key, Record | None]]:
    """What a changeset did to records; the keyset first, for what it seals comes after it."""
    order = sorted(lost.images.items(), key=lambda item: item[0][0] != "keyset")
    return ((key, record) for key, record in order if not isinstance(record, AuditEvent | Head | UsageRecord))
