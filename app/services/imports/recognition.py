"""Knowing a credential again: by the id of its source, else by its key, never by its position or name alone."""

import asyncio

from msgspec import Struct

from keycairn.app.services.audit import DELETED_HERE
from keycairn.app.services.imports.mapped_rows import MappedRow, RowMapper, named_id
from keycairn.app.services.imports.plan import Batch, repaired
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.ids import CredentialId
from keycairn.domain.incoming import Skipped
from keycairn.ports.clock import Clock
from keycairn.ports.store import MOST, Position, Store

PAGES = 10
"""Pages of a provider's credentials whose names are looked at; later ones are told by key and id alone."""
HERE = "it is here already"
ABOVE = "the same account stands above"
OTHER_KEY = f"{HERE}, with another key, which stays"
OTHER_PLACE = f"{HERE}, with another address, which stays"
NAME_TAKEN = "The account of that name has another key or address. Change it there, or import this by another name."
UNREAD = "its key cannot be read, and an account of its name is here already"
CHANGED = f"{HERE}, and was given another key here since"


class Standing(Struct, frozen=True):
    """The account that stands here already in the place of a row, and what is said of it.

    `mapped`: the row once more, as that very record.
    """

    credential: Credential
    why: str
    mapped: MappedRow | None = None


class Recognition:
    """Says of a mapped row what stands here in its place."""

    def __init__(self, store: Store, mapper: RowMapper, clock: Clock) -> None:
        self._store = store
        self._mapper = mapper
        self._clock = clock

    async def of(self, mapped: MappedRow, batch: Batch) -> Standing | Skipped | None:
        """The account that stands in its place, why the row stays out, or None where it is new.

        Raises InvalidInputError where its name stands for an account with another key.
        """
        known = await (self._by_key(mapped, batch) if mapped.keyed else self._by_id(mapped, batch))
        if known is not None:
            return known
        if batch.deleted.covers(mapped.credential):
            return Skipped(where=mapped.row.where, reason=DELETED_HERE, id=mapped.credential.id)
        return await self._by_name(mapped, batch) if mapped.row.unique_name else None

    async def free_name(self, mapped: MappedRow, batch: Batch) -> str:
        """The name of a new account: that of the row, numbered where another account has it."""
        name, number = mapped.credential.name, 1
        names = await self._names(mapped.credential, batch) if mapped.keyed else {}
        while name in names:
            number += 1
            name = f"{mapped.credential.name} {number}"
        return name

    async def _by_id(self, mapped: MappedRow, batch: Batch) -> Standing | Skipped | None:
        """The record of the id its source gave it."""
        fresh, where = mapped.credential, mapped.row.where
        if fresh.id in batch.planned:
            return Skipped(where=where, reason=ABOVE, id=fresh.id)
        there = await self._store.credential(fresh.workspace, fresh.id)
        if there is None:
            return None
        if there.provider != fresh.provider:
            return Skipped(where=where, reason="its id belongs to an account of another provider", id=there.id)
        if _differ(fresh, there):
            if mapped.row.unique_name:
                raise InvalidInputError(NAME_TAKEN)
            return Standing(there, OTHER_KEY)
        return Standing(there, self._placed(fresh, there))

    async def _by_key(self, mapped: MappedRow, batch: Batch) -> Standing | Skipped | None:
        """The account with the same keys at the same addresses, whatever its name; else one that waits for a key."""
        fresh = mapped.credential
        identity = self._mapper.identity(fresh)
        if (above := batch.fresh.get(batch.keys.get(identity, "") if fresh.fingerprints else fresh.id)) is not None:
            return Standing(above, ABOVE)
        if fresh.fingerprints:
            for twin in await self._store.with_same_secret(fresh.workspace, frozenset(fresh.fingerprints.values())):
                if self._mapper.identity(twin) == identity:
                    return Standing(twin, HERE)
        there = await self._store.credential(fresh.workspace, fresh.id)
        if there is not None:  # its id is made of this very key, so what differs was changed here
            return Standing(there, CHANGED if _differ(fresh, there) else self._placed(fresh, there))
        if fresh.fingerprints:
            return await self._waiting(mapped, batch)
        if fresh.broken:
            return await self._unread(mapped, batch)
        return None if mapped.row.unique_name else await self._keyless(fresh)

    async def _unread(self, mapped: MappedRow, batch: Batch) -> Skipped | None:
        """The account that has the name of a row whose key cannot be read: perhaps it is that one, so none is made."""
        id = (await self._names(mapped.credential, batch)).get(mapped.credential.name)
        return None if id is None else Skipped(where=mapped.row.where, reason=UNREAD, id=id)

    async def _waiting(self, mapped: MappedRow, batch: Batch) -> Standing | None:
        """The account of the row's name that came without a readable key, where the row has it."""
        fresh = mapped.credential
        id = named_id(fresh.workspace, fresh.provider, mapped.row.name)
        there = await self._store.credential(fresh.workspace, id)
        if there is None or not there.broken or _differ(fresh, there) or not self._mapper.same_place(there, fresh):
            return None
        now = self._clock.now()
        same = self._mapper.mapped(mapped.row, batch.by.workspace, now, id)
        return Standing(there, HERE, same) if repaired(same.credential, there, now) else None

    async def _keyless(self, fresh: Credential) -> Standing | None:
        """An account without any key at the same address."""
        page = await self._store.credentials(fresh.workspace, provider=fresh.provider, limit=MOST)
        same = (one for one in page if not one.sealed and self._mapper.same_place(one, fresh))
        return next((Standing(one, HERE) for one in same), None)

    async def _by_name(self, mapped: MappedRow, batch: Batch) -> Standing | None:
        id = (await self._names(mapped.credential, batch)).get(mapped.credential.name)
        if id is None:
            return None
        there = await self._store.credential(mapped.credential.workspace, CredentialId(id))
        if there is not None and self._mapper.identity(there) == self._mapper.identity(mapped.credential):
            return Standing(there, HERE)
        raise InvalidInputError(NAME_TAKEN)

    async def _names(self, credential: Credential, batch: Batch) -> dict[str, str]:
        """The names of a provider's oldest credentials and of this batch's, with their ids."""
        provider = credential.provider
        if provider in batch.names:
            return batch.names[provider]
        names: dict[str, str] = {}
        after: Position | None = None
        for _ in range(PAGES):
            page = await self._store.credentials(credential.workspace, provider=provider, after=after, limit=MOST)
            names |= {item.name: item.id for item in page}
            await asyncio.sleep(0)
            if len(page) < MOST:
                break
            after = Position(provider, page[-1].created, page[-1].id)
        names |= {one.name: one.id for one in batch.fresh.values() if one.provider == provider}
        return batch.names.setdefault(provider, names)

    def _placed(self, fresh: Credential, there: Credential) -> str:
        return HERE if self._mapper.same_place(fresh, there) else OTHER_PLACE


def _differ(fresh: Credential, there: Credential) -> bool:
    """Whether a key of both is certainly another one: a record may lack its fingerprints."""
    return any(there.fingerprints.get(name, mark) != mark for name, mark in fresh.fingerprints.items())
