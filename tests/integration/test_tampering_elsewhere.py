"""The same by other ways in: a server that is written to while it runs, the redo log, a backup, retention, rotation."""

import gzip
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace
from surrealdb import RecordID
from tests.house import House
from tests.nights import ENGINES
from tests.tampering import ROOT_KEY, a_place

from keycairn.adapters.memory import MemoryStore
from keycairn.adapters.redo_log import RedoLog
from keycairn.adapters.surreal.changesets import packed
from keycairn.app.keycairn import Keycairn
from keycairn.app.offline import restore_backup
from keycairn.app.services.audit import FlawKind, Keep
from keycairn.app.services.backups import records_in
from keycairn.app.services.backups.format import BackupHeader, Packer
from keycairn.app.settings import Settings
from keycairn.app.wiring import open_keycairn
from keycairn.domain.audit import Action, EventFilter
from keycairn.domain.ids import TokenId, key_of
from keycairn.domain.token import Scope, Token

FIRST = TokenId("token:T000")


async def flaws(kc: Keycairn) -> dict[str, FlawKind]:
    return {flaw.record: flaw.kind for flaw in (await kc.audit.verify()).flaws if flaw.record}


async def test_a_record_forged_while_a_server_runs_does_nothing_and_is_refused_once_it_is_read(tmp_path: Path) -> None:
    async with a_place("ws", tmp_path) as place, place.open() as kc:
        true = await kc.store.token(FIRST)
        await place.run("UPDATE $id SET scopes = ['admin']", id=RecordID("token", "T000"))
        assert await kc.store.token(FIRST) == true
        assert await flaws(kc) == {FIRST: FlawKind.FORGED}
        assert await kc.store.token(FIRST) is None
        assert FIRST not in {token.id for token in await kc.tokens.list()}
        assert await flaws(kc) == {FIRST: FlawKind.FORGED}


async def test_a_record_put_back_while_a_server_runs_works_until_the_next_verification(tmp_path: Path) -> None:
    async with a_place("ws", tmp_path) as place:
        [row] = await place.run("SELECT * FROM $id", id=RecordID("token", "T002"))
        older = {key: value for key, value in row.items() if key != "id"}
        async with place.open() as kc:
            await kc.tokens.revoke("T002")
            await place.run("UPDATE $id CONTENT $row", id=row["id"], row=older)
            assert await flaws(kc) == {"token:T002": FlawKind.ROLLED_BACK}
            assert await kc.store.token(TokenId("token:T002")) is None
            assert await flaws(kc) == {"token:T002": FlawKind.ROLLED_BACK}, "asked again, it is the same"
            await kc.tokens.create("after", (Scope.INVOKE,))
        async with place.open() as kc:
            assert await kc.store.token(TokenId("token:T002")) is None
            [event] = await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))
            assert event.details[FlawKind.ROLLED_BACK] == ["token:T002"]


async def test_two_instances_on_one_server_know_each_others_records_through_a_rotation(tmp_path: Path) -> None:
    async with a_place("ws", tmp_path / "one") as place, place.open() as one:
        settings = replace(place.settings, data_dir=tmp_path / "two")
        async with open_keycairn(settings) as two:
            await one.rotation.rotate()
            assert await two.store.token(FIRST) is not None, "it learns the key the proof needs"
            made, _ = await two.tokens.create("by the other", (Scope.INVOKE,))
            assert await one.store.token(made.id) is not None
            assert await flaws(one) == await flaws(two) == {}


async def test_an_older_record_slipped_into_the_redo_log_is_noticed(tmp_path: Path) -> None:
    async with a_place("surrealkv", tmp_path) as place:
        async with place.open() as kc:
            older = await kc.store.token(FIRST)
            assert older is not None
            await kc.tokens.revoke("T000")
        log = RedoLog.open(tmp_path / "db.redo")
        assert log is not None
        log.append(await packed({("token", "T000"): older}), None)
        log.close()
        async with place.open() as kc:
            assert await kc.store.token(FIRST) is None
            assert await flaws(kc) == {FIRST: FlawKind.ROLLED_BACK}


async def test_a_backup_that_was_altered_and_sealed_again_gives_no_forged_record(tmp_path: Path) -> None:
    async with a_place("surrealkv", tmp_path / "one") as place, place.open() as kc:
        saved = await kc.backups.save(file=tmp_path / "good")
    header = msgspec.json.decode(gzip.decompress((tmp_path / "good").read_bytes()).split(b"\n")[0], type=BackupHeader)
    packer = Packer(header)
    with (tmp_path / "bad").open("wb") as stream:
        for record in records_in(Path(saved.file)):
            if isinstance(record, Token) and record.id == FIRST:
                record = replace(record, scopes=(Scope.ADMIN,), expires=None)  # noqa: PLW2901  # the attack
            stream.write(packer.pack([record]))
        stream.write(packer.finish())
    settings = Settings(data_dir=tmp_path / "two", root_key=ROOT_KEY, external_plugins=False)
    await restore_backup(settings, tmp_path / "bad")
    async with open_keycairn(settings) as kc:
        assert await kc.store.token(FIRST) is None
        assert await flaws(kc) == {FIRST: FlawKind.FORGED}


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_backup_is_whole_and_restores_without_what_was_refused(engine: str, tmp_path: Path) -> None:
    async with a_place(engine, tmp_path / "one") as place:
        await place.run("UPDATE $id SET scopes = ['admin']", id=RecordID("token", "T000"))
        async with place.open() as kc:
            saved = await kc.backups.save(file=tmp_path / "file")
    assert FIRST not in {record.id for record in records_in(Path(saved.file)) if isinstance(record, Token)}
    settings = Settings(data_dir=tmp_path / "two", root_key=ROOT_KEY, external_plugins=False)
    await restore_backup(settings, tmp_path / "file")
    async with open_keycairn(settings) as kc:
        assert await flaws(kc) == {}
        assert len(await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))) == 1


async def test_what_retention_removed_is_still_known_of_records() -> None:
    house = House()
    kc = await house.open()
    tokens = [(await kc.tokens.create(f"t{number}", (Scope.INVOKE,)))[0].id for number in range(5)]
    older = await house.store.token(tokens[0])
    assert older is not None
    await kc.tokens.revoke(tokens[0])
    for _ in range(2):  # the second time, what told of the first goes too
        house.clock.tick(40 * 24 * 3600.0)
        await kc.tokens.create("one more", (Scope.INVOKE,))
        assert (await kc.retention.apply(Keep(events=10))).events > 0
    assert (await kc.audit.verify()).intact
    assert isinstance(house.store, MemoryStore)
    house.store.state.put(older)
    house.store.state.absorb({("token", key_of(tokens[1])): None})

    kc = await House(store=house.store, ids=house.ids).open()
    [event] = await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))
    assert event.details[FlawKind.ROLLED_BACK] == [tokens[0]]
    assert event.details[FlawKind.REMOVED] == [tokens[1]]
    assert {token.id for token in await kc.tokens.list()} >= {*tokens[2:]}, "whose events are gone"


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_rotation_renews_every_proof_and_the_old_key_proves_nothing(engine: str, tmp_path: Path) -> None:
    async with a_place(engine, tmp_path) as place:
        [row] = await place.run("SELECT * FROM $id", id=RecordID("token", "T000"))
        async with place.open() as kc:
            await kc.rotation.rotate()
        for table in ("credential", "model", "defaults", "token"):
            assert {one["proof"].partition(":")[0] for one in await place.rows(table)} == {"2"}
        older = {key: value for key, value in row.items() if key != "id"}
        await place.run("UPDATE $id CONTENT $row", id=row["id"], row=older)
        async with place.open() as kc:
            assert await flaws(kc) == {FIRST: FlawKind.FORGED}
