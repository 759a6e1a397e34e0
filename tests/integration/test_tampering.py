"""Whoever can write to the database gains nothing by it: what was altered is noticed, named, and works for nobody.

The cases are made from the columns that the tables have: a column that is neither altered here nor named as uncovered,
with the reason, fails.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from surrealdb import RecordID
from tests.nights import ENGINES, by_day
from tests.samples import THEN
from tests.tampering import RECORDS, WORKSPACES, Place, Row, a_place, filled_before

from keycairn.app.keycairn import Keycairn
from keycairn.app.offline import accept_database
from keycairn.app.services.audit import FlawKind
from keycairn.domain.audit import IN_PROCESS, SYSTEM, Action, EventFilter
from keycairn.domain.change import (
    Change,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    DropKeyRotation,
    DropToken,
    PutDefaults,
    PutKeyRotation,
    PutToken,
    ReplaceCredential,
    ReplaceModel,
)
from keycairn.domain.errors import RecordNotRefusedError
from keycairn.domain.ids import CredentialId, ModelId, TokenId
from keycairn.domain.key_rotation.record import KeyRotationId
from keycairn.domain.model import Defaults
from keycairn.domain.record import kind_of
from keycairn.domain.token import Scope

COVERED: dict[str, dict[str, Any]] = {
    "credential": {
        "workspace": "elsewhere",
        "provider": "anthropic",
        "name": "mine",
        "modalities": ["language"],
        "settings": '{"base_url":"https://attacker.example/v1"}',
        "sealed": '{"api_key":"kc1:BBBB"}',
        "fingerprints": '{"api_key":"ff"}',
        "prints": ["ff"],
        "limits": None,
        "options": None,
        "extra": '{"note":"changed"}',
        "created": THEN - timedelta(days=1),
        "updated": THEN + timedelta(days=1),
        "version": 7,
        "place": "a\t2020-01-01T00:00:00.000000\tcredential:C000",
        "proof": None,
    },
    "model": {
        "workspace": "elsewhere",
        "provider": "anthropic",
        "name": "gpt-other",
        "type": "embedding",
        "credential": RecordID("credential", "C000"),
        "holder": "C000",
        "missing_since": None,
        "priority": 1,
        "weight": 1000,
        "provider_model": None,
        "price": '{"input":0.0}',
        "context_length": 7,
        "created": THEN - timedelta(days=1),
        "updated": THEN + timedelta(days=1),
        "version": 7,
        "proof": None,
    },
    "token": {
        "workspace": "elsewhere",
        "name": "other",
        "scopes": ["admin"],
        "mac": "f" * 64,
        "created": THEN - timedelta(days=1),
        "expires": None,
        "revoked": None,
        "limits": None,
        "reach": None,
        "maker": None,
        "proof": None,
    },
    "key_rotation": {
        "workspace": "elsewhere",
        "content": '{"policy":{}}',
        "version": 9,
        "proof": None,
    },
    "defaults": {
        "workspace": "w99",
        "slots": '{"default_chat_model":"model:M001"}',
        "version": 9,
        "proof": None,
    },
    "event": {
        "workspace": "elsewhere",
        "at": THEN - timedelta(days=1),
        "actor": "somebody-else",
        "action": "token.created",
        "target": "token:other",
        "outcome": "other",
        "source": "192.0.2.1",
        "request_id": "r",
        "details": '{"scopes":["admin"]}',
        "seq": 700,
        "mac": "f" * 64,
        "proofs": None,
        "state": "f" * 64,
    },
    "head": {"link": "1 " + "f" * 64 + " " + "f" * 64},
    "keyset": {"generation": 9, "install_id": "f" * 32, "content": "{}"},
}
UNCOVERED: dict[str, dict[str, str]] = {
    "credential": {
        "last_check": "is shown and decides nothing; each check writes it",
        "broken": "is found out anew by each start and each checkup, which say where it is wrong",
    },
    "token": {"last_used": "is shown and decides nothing; it is written every few seconds"},
    "usage": dict.fromkeys(
        (
            *("workspace", "day", "token", "credential", "model"),
            *(
                "requests",
                "failed",
                "input_tokens",
                "output_tokens",
                "cached_tokens",
                "estimated",
                "nanos",
                "hours",
                "last_used",
            ),
        ),
        "sums that every call alters; limits count what the audit log tells of them, where that is more:"
        " tests/unit/gateway/test_usage_marks.py",
    ),
    "revision": {"number": "tells other instances that something changed, and nothing else"},
    "taken": {"number": "tells other instances that something was taken away"},
    "change": dict.fromkeys(("touched", "takes"), "tells other instances what to read again; what they read is proven"),
    "share": dict.fromkeys(
        ("amount", "at", "holds", "until", "version"),
        "how much of a limit is left, for as long as a limit counts",
    ),
    "lease": dict.fromkeys(("seen", "granted"), "tells for which instances a commit waits, a second at the most"),
    "ledger": dict.fromkeys(
        ("store", "number"), "tells which entry of the redo log is in; a start refuses a wrong one"
    ),
    "restoring": dict.fromkeys(("owner", "at"), "is there during a restore only"),
    "migration": dict.fromkeys(("number", "applied"), "a start refuses numbers it does not know"),
}
PROVEN = ("credential", "model", "token", "defaults", "key_rotation")


@pytest.fixture(params=ENGINES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """A filled and closed database."""
    async with a_place(request.param, tmp_path) as made:
        yield made


def name_of(row: Row) -> str:
    return f"{row['id'].table_name}:{row['id'].id}"


async def names(kc: Keycairn) -> dict[str, FlawKind]:
    """The records that a verification names, and what is wrong with them."""
    return {flaw.record: flaw.kind for flaw in (await kc.audit.verify()).flaws if flaw.record}


async def works(kc: Keycairn, name: str) -> bool:
    """Whether any read gives the record."""
    kind, _, key = name.partition(":")
    match kind:
        case "credential":
            found = await kc.store.credential("default", CredentialId(name))
            return found is not None or name in {one.id for one in await kc.store.all_credentials()}
        case "model":
            listed = [model for place in ("elsewhere", *WORKSPACES) for model in await kc.store.models(place)]
            return await kc.store.model("default", ModelId(name)) is not None or name in {one.id for one in listed}
        case "token":
            listed_tokens = [*await kc.store.tokens("default"), *await kc.store.tokens("elsewhere")]
            return await kc.store.token(TokenId(name)) is not None or name in {one.id for one in listed_tokens}
        case "key_rotation":
            listed_rotations = {one.id for one in await kc.store.key_rotations()}
            return await kc.store.key_rotation(KeyRotationId(name)) is not None or name in listed_rotations
        case _:
            return (await kc.store.defaults(key)).version != 0


async def test_each_column_of_each_table_is_covered_or_said_not_to_be(place: Place) -> None:
    tables = (await place.run("INFO FOR DB"))["tables"]
    assert set(tables) == {*COVERED, *UNCOVERED}
    for table in tables:
        fields = {
            name
            for name in (await place.run(f"INFO FOR TABLE {table}"))["fields"]
            if "[" not in name and "*" not in name
        }
        assert fields == {*COVERED.get(table, {}), *UNCOVERED.get(table, {})}, table


@pytest.mark.parametrize("table", by_day(PROVEN, one_in=2))
async def test_an_altered_column_is_noticed_and_the_record_works_for_nobody(place: Place, table: str) -> None:
    rows = await place.rows(table)
    altered = {}
    for column, value in COVERED[table].items():
        row = next(one for one in rows if name_of(one) not in altered and one.get(column) != value)
        await place.put(row, **{column: value})
        altered[name_of(row)] = column
    assert set(altered.values()) == set(COVERED[table])
    async with place.open() as kc:
        named = await names(kc)
        assert {name: column for name, column in altered.items() if name not in named} == {}
        assert set(named) == set(altered)
        assert [column for name, column in altered.items() if await works(kc, name)] == []
        [event] = await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))
        assert event.details["records"] == len(altered)
        assert await works(kc, name_of(rows[len(rows) - 1 if table != "defaults" else 5])), "and nothing else is harmed"
        assert (await kc.checkup.report())[0].broken
    async with place.open() as kc:
        assert set(await names(kc)) == set(altered)
        assert len(await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))) == 1, "told once"


@pytest.mark.parametrize("table", by_day(PROVEN, one_in=2))
async def test_whole_rows_that_changed_places_are_noticed(place: Place, table: str) -> None:
    one, other = (await place.rows(table))[:2]
    contents = [{key: value for key, value in row.items() if key != "id"} for row in (one, other)]
    await place.run(
        "UPDATE $a CONTENT $x; UPDATE $b CONTENT $y", a=one["id"], b=other["id"], x=contents[1], y=contents[0]
    )
    async with place.open() as kc:
        assert set(await names(kc)) == {name_of(one), name_of(other)}
        assert not await works(kc, name_of(one))
        assert not await works(kc, name_of(other))


@pytest.mark.parametrize("table", by_day(PROVEN, one_in=2))
async def test_a_copy_under_another_id_is_noticed(place: Place, table: str) -> None:
    row = (await place.rows(table))[0]
    content = {key: value for key, value in row.items() if key != "id"}
    await place.run("CREATE $id CONTENT $content", id=RecordID(table, "COPY"), content=content)
    async with place.open() as kc:
        assert set(await names(kc)) == {f"{table}:COPY"}
        assert not await works(kc, f"{table}:COPY")
        assert await works(kc, name_of(row))


@pytest.mark.parametrize("table", by_day(PROVEN, one_in=2))
async def test_a_removed_record_is_noticed(place: Place, table: str) -> None:
    row = (await place.rows(table))[1]
    await place.run("DELETE $id", id=row["id"])
    async with place.open() as kc:
        [event] = await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))
        assert event.details[FlawKind.REMOVED] == [name_of(row)]
        assert any(flaw.kind is FlawKind.LOST for flaw in (await kc.audit.verify()).flaws), "and stays on record"


async def moved_on(kc: Keycairn, table: str, changed: str, gone: str) -> None:
    """Edit one record and delete another: the key that leaked, the token that was revoked, the model that was moved."""
    match table:
        case "credential":
            one, other = [await kc.store.credential("default", CredentialId(name)) for name in (changed, gone)]
            assert one is not None
            assert other is not None
            edit: Change = ReplaceCredential(replace(one, name="moved on", version=one.version + 1), one.version)
            end: Sequence[Change] = (
                DeleteModelsOf("default", other.id),
                DeleteCredential("default", other.id, other.version),
            )
        case "model":
            model = await kc.store.model("default", ModelId(changed))
            assert model is not None
            edit = ReplaceModel(replace(model, weight=9, version=model.version + 1), model.version)
            end = (DeleteModel("default", ModelId(gone)),)
        case "token":
            token = await kc.store.token(TokenId(changed))
            assert token is not None
            edit, end = PutToken(replace(token, revoked=THEN, name="moved on")), (DropToken(TokenId(gone)),)
        case "key_rotation":
            first, second = [await kc.store.key_rotation(KeyRotationId(name)) for name in (changed, gone)]
            assert first is not None
            assert second is not None
            edit = PutKeyRotation(replace(first, version=first.version + 1), first.version)
            end = (DropKeyRotation(second.id, second.version),)
        case _:
            stored = [await kc.store.defaults(name.removeprefix("defaults:")) for name in (changed, gone)]
            edit, *end = (PutDefaults(replace(one, slots={}, version=one.version + 1), one.version) for one in stored)
    await kc.journal.commit((edit, *end, kc.journal.event(IN_PROCESS, Action.STORE_REPAIRED, "database")))


@pytest.mark.parametrize("table", by_day(PROVEN, one_in=2))
async def test_a_record_put_back_from_an_older_state_is_noticed_and_works_for_nobody(place: Place, table: str) -> None:
    """With the proof that it had then: an edited one, and one that is no longer there."""
    older = (await place.rows(table))[4:6]
    changed, gone = map(name_of, older)
    async with place.open() as kc:
        await moved_on(kc, table, changed, gone)
    for row in older:
        await place.run("UPSERT $id CONTENT $row", id=row["id"], row={k: v for k, v in row.items() if k != "id"})
    for _ in range(2):
        async with place.open() as kc:
            assert await names(kc) == dict.fromkeys((changed, gone), FlawKind.ROLLED_BACK), "as long as it is there"
            assert [await works(kc, name) for name in (changed, gone)] == [False, False]
            [event] = await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))
            assert set(event.details[FlawKind.ROLLED_BACK]) == {changed, gone}


@pytest.mark.parametrize("column", by_day(COVERED["event"], one_in=4))
async def test_an_altered_event_is_noticed(place: Place, column: str) -> None:
    value = COVERED["event"][column]
    row = next(row for row in await place.rows("event") if row["seq"] > 1 and row.get(column) != value)
    await place.put(row, **{column: value})
    async with place.open() as kc:
        assert not (await kc.audit.verify()).intact


async def test_the_newest_events_removed_with_every_memory_of_them_are_noticed(place: Place) -> None:
    rows = sorted(await place.rows("event"), key=lambda row: row["seq"])
    last = rows[-4]
    await place.run(
        "DELETE event WHERE seq > $seq; UPDATE $head SET link = $link",
        seq=last["seq"],
        head=RecordID("head", "current"),
        link=f"{last['seq']} {last['mac']} {last['state']}",
    )
    for file in ("audit-head", "db.redo"):
        (place.settings.data_dir / file).unlink(missing_ok=True)
    async with place.open() as kc:
        assert not (await kc.audit.verify()).intact
        [event] = await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))
        assert len(event.details[FlawKind.ROLLED_BACK]) == 3, "the tokens that the log knows nothing of"


async def test_all_events_removed_with_every_memory_of_them_are_noticed(place: Place) -> None:
    await place.run("DELETE event; DELETE head; DELETE ledger")
    for file in ("audit-head", "db.redo"):
        (place.settings.data_dir / file).unlink(missing_ok=True)
    async with place.open() as kc:
        assert not (await kc.audit.verify()).intact
        assert not await works(kc, "token:T000")


async def test_proofs_that_were_all_taken_away_are_not_made_anew(place: Place) -> None:
    await place.run(
        "UPDATE credential SET proof = NONE; UPDATE model SET proof = NONE; UPDATE defaults SET proof = NONE;"
        "UPDATE token SET proof = NONE, scopes = ['admin']; UPDATE event SET proofs = NONE, state = NONE;"
        "UPDATE head SET link = string::join(' ', string::split(link, ' ')[0], string::split(link, ' ')[1])"
    )
    async with place.open() as kc:
        assert "gaps" in str(kc.vault.why_sealed), "nothing is opened, and no token is recognised"
    await accept_database(place.settings)
    async with place.open() as kc:
        assert [token.name for token in await kc.store.tokens("default")] == ["first admin token"], "a new one"
        assert await kc.store.all_credentials() == []
        assert not (await kc.audit.verify()).intact


async def test_an_older_keyset_put_back_is_noticed(place: Place) -> None:
    [before] = await place.rows("keyset")
    async with place.open() as kc:
        await kc.vault.advance(kc.vault.keyset.with_new_key(), kc.journal.event(SYSTEM, Action.KEY_ADDED, "key:2"))
    await place.run("UPDATE $id CONTENT $row", id=before["id"], row={k: v for k, v in before.items() if k != "id"})
    async with place.open() as kc:
        [event] = await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))
        assert event.details[FlawKind.ROLLED_BACK] == ["keyset:current"]


@pytest.mark.parametrize("column", COVERED["keyset"])
async def test_an_altered_keyset_opens_nothing_and_nothing_is_made_anew(place: Place, column: str) -> None:
    [row] = await place.rows("keyset")
    await place.put(row, **{column: COVERED["keyset"][column]})
    async with place.open() as kc:
        assert kc.vault.why_sealed is not None


async def test_an_altered_head_is_noticed_or_put_right(place: Place) -> None:
    for link in (COVERED["head"]["link"], "nonsense", ""):
        await place.run("UPDATE head SET link = $link", link=link)
        async with place.open() as kc:
            assert kc.vault.why_sealed is None
            await kc.tokens.create("after", (Scope.INVOKE,))
            events = [event.seq for event in await kc.store.chain()]
            assert events == sorted(set(events)), "no number is given twice"


@pytest.mark.parametrize("engine", ["surrealkv", "ws"])
async def test_a_store_of_the_version_before_gets_its_proofs_once_and_says_so(engine: str, tmp_path: Path) -> None:
    async with a_place(engine, tmp_path, filled_before) as place:
        async with place.open() as kc:
            assert await names(kc) == {}
            told = await kc.audit.events(matching=EventFilter(action=Action.RECORDS_PROVEN))
            assert {event.details["records"] for event in told} == {RECORDS * 4 + 2 * len(WORKSPACES)}
            assert await works(kc, "token:T000")
        async with place.open() as kc:
            assert await names(kc) == {}
            assert len(await kc.audit.events(matching=EventFilter(action=Action.RECORDS_PROVEN))) == len(told)
        [row, *_] = await place.rows("token")
        await place.put(row, proof=None, scopes=["admin"])
        async with place.open() as kc:
            assert await names(kc) == {name_of(row): FlawKind.FORGED}


async def test_a_refused_record_is_discarded_deliberately_and_no_other_is(place: Place) -> None:
    [row, *rest] = await place.rows("token")
    await place.put(row, name="other")
    name = name_of(row)
    async with place.open() as kc:
        await kc.audit.verify()
        for other in (name_of(rest[0]), "keyset:current", "head:current", "nonsense", ""):
            with pytest.raises(RecordNotRefusedError):
                await kc.repair.discard(other)
        await kc.repair.discard(name)
        assert await names(kc) == {}
        with pytest.raises(RecordNotRefusedError):
            await kc.repair.discard(name)
    assert name not in {name_of(one) for one in await place.rows("token")}
    async with place.open() as kc:
        assert await names(kc) == {}
        assert len(await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))) == 1


async def test_refused_records_are_written_over_by_a_new_one_of_their_key(place: Place) -> None:
    [row, *_] = await place.rows("defaults")
    await place.put(row, version=9)
    name = name_of(row)
    async with place.open() as kc:
        fresh = Defaults(workspace=row["workspace"], version=1)
        event = kc.journal.event(SYSTEM, Action.DEFAULTS_CHANGED, name)
        await kc.journal.commit((PutDefaults(fresh, expected=0), event))
        assert await names(kc) == {}
    async with place.open() as kc:
        assert await names(kc) == {}
        assert (await kc.store.defaults(row["workspace"])).slots == {}


async def test_what_is_refused_counts_again_when_an_operator_accepts_the_database(place: Place) -> None:
    rows = [row for row in await place.rows("token") if row["name"] in {"later 0", "later 1"}]
    async with place.open() as kc:
        await kc.tokens.revoke(name_of(rows[0]))
    await place.run("UPDATE $id CONTENT $row", id=rows[0]["id"], row={k: v for k, v in rows[0].items() if k != "id"})
    await place.put(rows[1], scopes=["admin"])
    async with place.open() as kc:
        assert set(await names(kc)) == {name_of(row) for row in rows}
    await accept_database(place.settings)
    async with place.open() as kc:
        assert await names(kc) == {name_of(rows[1]): FlawKind.FORGED}, "what was forged stays refused"
        assert await works(kc, name_of(rows[0]))
        [event] = await kc.audit.events(matching=EventFilter(action=Action.RECORDS_ACCEPTED))
        assert event.details[FlawKind.ROLLED_BACK] == [name_of(rows[0])]


async def test_nothing_stops_for_what_is_refused(place: Place) -> None:
    """Garbage in every table: lists, a checkup, a fix, a backup, a rotation and a deletion go on."""
    for table in PROVEN:
        for row, (column, value) in zip(await place.rows(table), GARBAGE[table].items(), strict=False):
            await place.put(row, **{column: value})
    async with place.open() as kc:
        named = await names(kc)
        assert {name.partition(":")[0] for name in named} == set(PROVEN)
        before = {table: len(await place_rows(kc, table)) for table in PROVEN}
        assert {finding.code for finding in await kc.checkup.report()} >= {"record_forged"}
        await kc.rotation.rotate()
        await kc.credential_opener.sweep()
        assert {table: len(await place_rows(kc, table)) for table in PROVEN} == before
        await kc.repair.fix()
        await kc.backups.save()
        left = (await kc.store.all_credentials())[0]
        await kc.credentials.delete(left.id)
        assert set(await names(kc)) == set(named)
    async with place.open() as kc:
        assert set(await names(kc)) == set(named)


GARBAGE: dict[str, dict[str, Any]] = {
    "credential": {
        "settings": "[]",
        "sealed": "nonsense",
        "fingerprints": "{",
        "limits": '{"concurrent":"many"}',
        "options": '{"any_model":7}',
        "extra": "[" * 5000,
        "broken": "7",
        "last_check": "null",
        "modalities": ["root"],
        "provider": "x" * 100_000,
        "workspace": "",
    },
    "model": {
        "type": "root",
        "name": "",
        "weight": -(2**62),
        "provider_model": "",
        "price": '{"input":"nothing"}',
        "context_length": -1,
        "holder": "x" * 100_000,
        "version": 0,
    },
    "token": {"scopes": ["root"], "reach": "[]", "limits": "0", "mac": "", "maker": "nonsense", "name": "\ud7ff" * 9},
    "defaults": {"slots": "[]", "version": -1, "workspace": ""},
    "key_rotation": {"content": "[" * 5000, "version": -1, "workspace": ""},
}


async def place_rows(kc: Keycairn, table: str) -> list[Any]:
    async with kc.store.snapshot() as records:
        return [record async for record in records if kind_of(record) == table]
