"""What every store promises about all of its records at once: to give them, and to take them or none."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import date

import pytest
from msgspec.structs import replace

from keycairn.domain.audit import Head
from keycairn.domain.change import AddCredential, AddUsage, Append, Change, PutDefaults, PutKeyset
from keycairn.domain.errors import ConflictError, DamagedBackupError, DuplicateError, StoreNotEmptyError
from keycairn.domain.ids import CredentialId, EventId, ModelId
from keycairn.domain.model import Defaults, Slot
from keycairn.domain.record import Record, UsageRecord
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import Store
from keycairn.testing.stores.samples import THEN, WORKSPACE, a_check, a_credential, a_keyset, a_model, a_token, an_event
from keycairn.testing.stores.suite import StoreSuite, with_store

HOSTILE = "x'; DELETE credential; -- ⟩ ünï \U0001f511 \x7f\ttab"


def usage_key(workspace: str, day: int = 1, **parts: str) -> UsageKey:
    """What usage of that day of January is counted under."""
    return UsageKey(day=date(2026, 1, day), workspace=workspace, token="token:t", credential="credential:c", **parts)


def everything() -> list[Record]:
    """Records of every kind and of several workspaces, in the order of a snapshot."""
    credentials = [
        a_credential(
            id=CredentialId(f"credential:{key}"),
            workspace=workspace,
            name=HOSTILE,
            extra={"huge": 2**70, "null": None},
            broken={"api_key": "lost"},
            last_check=a_check(),
        )
        for key, workspace in (("-a", "other"), ("0", "a"), ("A", "b"), ("_z", WORKSPACE), ("a", WORKSPACE))
    ]
    models = [a_model(id=ModelId(f"model:{key}"), credential=credentials[3].id, missing_since=THEN) for key in "0Aa"]
    return [
        a_keyset(),
        *credentials,
        *models,
        Defaults(workspace="a", version=4),
        Defaults(workspace=HOSTILE, slots={Slot.CHAT: models[0].id}, version=1),
        a_token(name=HOSTILE),
        UsageRecord(usage_key("a", 1), Usage(requests=1)),
        UsageRecord(usage_key("a", 2), Usage(requests=2, input_tokens=3, last_used=THEN)),
        UsageRecord(usage_key("a", 2, model="model:0"), Usage(requests=3)),
        UsageRecord(usage_key("a!", 1), Usage(requests=4)),
        UsageRecord(usage_key("ü", 1), Usage(requests=5, failed=5)),
        *[an_event(id=EventId(f"event:{n:04}"), seq=n, mac=f"{n:064x}", workspace=HOSTILE) for n in range(1, 603)],
        Head(602, f"{602:064x}"),
    ]


async def stored(store: Store) -> Sequence[Record]:
    """All that is stored, in the order of a snapshot."""
    async with store.snapshot() as records:
        return [record async for record in records]


class WholeConformance(StoreSuite):
    @with_store
    async def test_an_empty_store_gives_nothing_and_takes_nothing(self, store: Store) -> None:
        assert await stored(store) == []
        await store.restore([])
        assert await stored(store) == []

    @with_store
    async def test_what_is_restored_is_all_there_in_the_same_order(self, store: Store) -> None:
        records = everything()
        before = await store.revision()

        await store.restore(records)

        assert await stored(store) == records
        assert await store.revision() != before
        assert await store.head() == records[-1]
        assert await store.credential("other", CredentialId("credential:-a")) == records[1]
        await store.commit((AddUsage(usage_key("a", 1), Usage(requests=1)), Append(an_event())))
        assert (await store.usage("a", since=date(2026, 1, 1), until=date(2026, 1, 1)))[usage_key("a")].requests == 2

    @pytest.mark.parametrize("present", ["credential", "keyset", "event", "usage", "defaults"])
    @with_store
    async def test_a_store_that_holds_anything_is_left_as_it_is(self, store: Store, present: str) -> None:
        changes: dict[str, Change] = {
            "credential": AddCredential(a_credential()),
            "keyset": PutKeyset(a_keyset(), expected=0),
            "event": Append(an_event()),
            "usage": AddUsage(usage_key("w"), Usage(requests=1)),
            "defaults": PutDefaults(Defaults(version=1), expected=0),
        }
        await store.commit((changes[present],))
        before = await stored(store)

        with pytest.raises(StoreNotEmptyError):
            await store.restore(everything())

        assert await stored(store) == before
        await store.commit((AddCredential(a_credential()),))

    @with_store
    async def test_records_that_exclude_each_other_leave_the_store_empty(self, store: Store) -> None:
        model = a_model()
        with pytest.raises(DuplicateError):
            await store.restore([a_credential(), model, replace(model, id=ModelId("model:other"))])
        assert await stored(store) == []

    @with_store
    async def test_a_source_that_fails_leaves_the_store_empty_and_usable(self, store: Store) -> None:
        records = everything()

        def failing() -> Iterator[Record]:
            yield from records[:-1]
            raise DamagedBackupError("it ends here")

        with pytest.raises(DamagedBackupError):
            await store.restore(failing())

        assert await stored(store) == []
        await store.restore(records)
        assert await stored(store) == records

    @with_store
    async def test_a_restore_that_is_cancelled_leaves_the_store_empty(self, store: Store) -> None:
        records = everything()

        def interrupting() -> Iterator[Record]:
            for number, record in enumerate(records):
                if number == 500:
                    task.cancel()
                yield record

        task = asyncio.ensure_future(store.restore(interrupting()))
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await stored(store) == []
        await store.restore(records)
        assert await stored(store) == records

    @with_store
    async def test_a_snapshot_is_of_one_moment(self, store: Store) -> None:
        """Every commit adds a credential and its event. A snapshot never holds one without the other."""
        await store.restore(everything())

        async def write() -> None:
            for number in range(40):
                key = f"n{number}"
                credential = a_credential(id=CredentialId(f"credential:{key}"))
                await store.commit((AddCredential(credential), Append(an_event(id=EventId(f"event:{key}")))))

        async def read() -> None:
            for _ in range(6):
                try:
                    found = await stored(store)
                except ConflictError:
                    continue
                ids = [getattr(record, "id", ":") for record in found]
                new = {kind: {id for id in ids if id.startswith(f"{kind}:n")} for kind in ("credential", "event")}
                assert {id.partition(":")[2] for id in new["credential"]} == {
                    id.partition(":")[2] for id in new["event"]
                }

        await asyncio.gather(write(), read(), read())

    @with_store
    async def test_leaving_a_snapshot_early_lets_writers_go_on(self, store: Store) -> None:
        await store.restore(everything())
        async with store.snapshot() as records:
            async for _ in records:
                break
        await store.commit((AddCredential(a_credential()),))
