"""What this process asked of a server is remembered beside it, with what came of it."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.fakes import FakeClock, FakeIds
from tests.house import FakeOpenKeyset
from tests.samples import WORKSPACE, a_credential, a_keyset, a_model, an_event
from tests.servers.surreal_rpc import RpcServer, surreal_rpc
from tests.torture.calls import Calls, Failure

from keycairn.adapters.surreal import SurrealStore, open_surreal
from keycairn.adapters.surreal import server_log as logging
from keycairn.adapters.surreal.server_log import ServerLog
from keycairn.app.services.audit import AuditLog, FlawKind, Journal, RecordProofs
from keycairn.app.services.doctor import Replay
from keycairn.domain.audit import Head
from keycairn.domain.change import AddCredential, AddModel, Append, DeleteCredential, ReplaceCredential
from keycairn.domain.credential import Credential
from keycairn.domain.draft import Draft
from keycairn.domain.errors import OutcomeUnknownError, StoreError, StoreLockedError
from keycairn.domain.ids import CredentialId, EventId
from keycairn.domain.model import Model


def finish(draft: Draft) -> None:
    """Chain the events, as the journal does, with MACs that are none."""
    head = draft.get(Head, "current")
    for event in draft.appended:
        seq = head.seq + 1 if head else 1
        head = Head(seq, f"{seq:064x}")
        draft.put(replace(event, seq=seq, mac=head.mac))
    if head is not None:
        draft.put(head)


@pytest.fixture
async def server() -> AsyncIterator[RpcServer]:
    async with surreal_rpc() as server:
        yield server


async def opened(server: RpcServer, folder: Path) -> SurrealStore:
    store = await open_surreal(server.url, deadline=2.0, anchor_file=folder / "audit-head")
    assert isinstance(store, SurrealStore)
    return store


async def lose(store: SurrealStore, *ids: str) -> None:
    """Have the server forget records, as one that was put back to an older state."""
    for id in ids:
        await store._session._connection.query(f"DELETE {id}", {})  # a test's own ids


async def test_the_head_is_known_after_a_restart(server: RpcServer, tmp_path: Path) -> None:
    store = await opened(server, tmp_path)
    for _ in range(3):
        await store.commit((AddCredential(a_credential()), Append(an_event())), finish)
    await store.aclose()
    store = await opened(server, tmp_path)
    assert await store.acknowledged() == await store.head() == Head(3, f"{3:064x}")
    await store.aclose()


async def test_a_changeset_whose_outcome_was_unknown_is_settled_by_its_event(server: RpcServer, tmp_path: Path) -> None:
    store = await opened(server, tmp_path)
    await store.commit((Append(an_event()),), finish)
    event = an_event()
    server.drop_after = "BEGIN"
    server.gone_after = True
    with pytest.raises(OutcomeUnknownError) as caught:
        await store.commit((AddCredential(a_credential()), Append(event)), finish)
    assert caught.value.event == event.id
    await store.aclose()

    server.gone = False
    store = await opened(server, tmp_path)
    assert await store.acknowledged() == Head(2, f"{2:064x}"), "it was carried out"
    assert await store.lost() == []
    await store.aclose()


async def test_one_process_has_a_log(server: RpcServer, tmp_path: Path) -> None:
    store = await opened(server, tmp_path)
    with pytest.raises(StoreLockedError):
        await opened(server, tmp_path)
    await store.aclose()


async def test_what_the_server_lost_is_told_and_put_back_where_it_fits(server: RpcServer, tmp_path: Path) -> None:
    store = await opened(server, tmp_path)
    kept, lost, edited = (a_credential(id=CredentialId(f"credential:{n}")) for n in ("kept", "lost", "edited"))
    model = a_model(credential=lost.id)
    await store.commit((AddCredential(kept), AddCredential(edited), Append(an_event())), finish)
    await store.commit((AddCredential(lost), AddModel(model), Append(an_event(id=EventId("event:E2")))), finish)
    renamed = replace(edited, name="acknowledged", version=2)
    await store.commit((ReplaceCredential(renamed, 1), Append(an_event(id=EventId("event:E3")))), finish)
    await lose(store, lost.id, model.id, "event:E2", "event:E3")
    connection = store._session._connection
    await connection.query("UPDATE credential:edited SET version = 1, name = 'old'", {})
    await connection.query("UPDATE head:current SET link = $link", {"link": f"1 {1:064x}"})
    await store.aclose()

    store = await opened(server, tmp_path)
    journal = Journal(store, FakeClock(), FakeIds())
    journal.open(FakeOpenKeyset(a_keyset()))
    flaw = await AuditLog(store, journal, RecordProofs(store, journal)).compare()
    assert flaw is not None
    assert (flaw.kind, flaw.first, flaw.last) == (FlawKind.LOST, 2, 3)
    await AuditLog(store, journal, RecordProofs(store, journal)).record(flaw)
    assert [one.events for one in await store.lost()] == [("event:E2",), ("event:E3",)]

    replayed = await Replay(store, journal).run()
    assert (replayed.lost, set(replayed.put_back), replayed.left) == (2, {lost.id, model.id, edited.id}, ())
    found: list[Credential | Model | None] = [
        await store.credential(WORKSPACE, lost.id),
        await store.credential(WORKSPACE, edited.id),
    ]
    found += await store.models(WORKSPACE, credential=lost.id)
    assert [replace(one, proof="") for one in found if one] == [lost, renamed, model]
    assert await store.lost() == [], "said and done once"
    await store.aclose()


async def test_what_was_changed_since_stays_and_is_listed(server: RpcServer, tmp_path: Path) -> None:
    store = await opened(server, tmp_path)
    one = a_credential(id=CredentialId("credential:one"))
    await store.commit((Append(an_event()),), finish)
    await store.commit((AddCredential(one), Append(an_event(id=EventId("event:E1")))), finish)
    await lose(store, "event:E1")
    await store.commit((ReplaceCredential(replace(one, name="newer", version=5), 1), Append(an_event())), finish)
    replayed = await Replay(store, Journal(store, FakeClock(), FakeIds())).run()
    assert [(left.record, replayed.put_back) for left in replayed.left] == [("credential:one", ())]
    found = await store.credential(WORKSPACE, one.id)
    assert found is not None
    assert found.name == "newer"
    await store.aclose()


async def test_a_deletion_that_was_lost_is_done_again(server: RpcServer, tmp_path: Path) -> None:
    store = await opened(server, tmp_path)
    one = a_credential(id=CredentialId("credential:one"))
    await store.commit((AddCredential(one), Append(an_event())), finish)
    await store.commit((DeleteCredential(WORKSPACE, one.id, 1), Append(an_event(id=EventId("event:E2")))), finish)
    await lose(store, "event:E2")
    await store.commit((AddCredential(one),))
    journal = Journal(store, FakeClock(), FakeIds())
    journal.open(FakeOpenKeyset(a_keyset()))
    replayed = await Replay(store, journal).run()
    assert replayed.put_back == ("credential:one",)
    assert await store.credential(WORKSPACE, one.id) is None
    await store.aclose()


async def test_only_so_much_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "KEEP", 5_000)
    log = ServerLog(tmp_path / "server.redo")
    for number in range(100):
        event = an_event(id=EventId(f"event:E{number}"))
        intent = await log.intend({("event", f"E{number}"): event}, [event.id])
        await log.settle(intent, done=number % 2 == 0)
    kept = [intent.events[0] for intent in log.acknowledged()]
    assert 4 < len(kept) < 49
    assert kept == [f"event:E{n}" for n in range(100) if n % 2 == 0][-len(kept) :], "the newest, in order"
    log.close()
    assert [intent.events[0] for intent in ServerLog(tmp_path / "server.redo").acknowledged()] == kept


@pytest.mark.parametrize("call", ["replace", "fsync", "pwrite"])
@pytest.mark.parametrize("after", range(4))
async def test_a_log_that_could_not_be_put_aside_whole_is_found_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, after: int
) -> None:
    file = tmp_path / "server.redo"
    log = ServerLog(file)
    noted = []

    async def note(number: int) -> None:
        event, at = an_event(id=EventId(f"event:E{number}")), Head(number, f"{number:064x}")
        intent = await log.intend({("event", f"E{number}"): event, ("head", "current"): at}, [event.id])
        await log.settle(intent, done=True)
        noted.append(event.id)

    for number in range(1, 7):
        await note(number)
    monkeypatch.setattr(logging, "KEEP", 100)
    with Calls(tmp_path) as calls:
        calls.fail(Failure((call,), "EIO", after=after, times=1))
        with suppress(StoreError):
            await note(7)
        log.close()  # and nothing more: a kill
    log = ServerLog(file)
    assert log.head == Head(len(noted), f"{len(noted):064x}")
    assert [intent.events[0] for intent in log.acknowledged()] == noted
    await note(len(noted) + 1)
    assert [intent.events[0] for intent in log.acknowledged()][-1] == noted[-1]
    log.close()


async def test_a_damaged_log_proves_nothing_until_somebody_vouches(server: RpcServer, tmp_path: Path) -> None:
    store = await opened(server, tmp_path)
    await store.commit((Append(an_event()),), finish)
    await store.aclose()
    (tmp_path / "server.redo").write_bytes(b"garbage" * 999)
    store = await opened(server, tmp_path)
    journal = Journal(store, FakeClock(), FakeIds())
    flaw = await AuditLog(store, journal, RecordProofs(store, journal)).compare()
    assert flaw is not None
    assert flaw.kind is FlawKind.UNPROVEN
    await store.vouch()
    assert await AuditLog(store, journal, RecordProofs(store, journal)).compare() is None
    await store.aclose()
