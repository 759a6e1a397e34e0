"""Rows that no Keycairn wrote: whatever is in them, each is named, works for nobody, and stops nothing."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.nights import ENGINES, by_day
from tests.tampering import RECORDS, Place, a_place, filled_before

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.audit import FlawKind
from keycairn.app.services.doctor.repair import DISCARDED
from keycairn.app.settings import Settings
from keycairn.app.wiring import open_keycairn
from keycairn.domain.audit import Action, Caller, EventFilter
from keycairn.domain.errors import KeycairnError, RecordNotRefusedError
from keycairn.domain.ids import CredentialId, TokenId
from keycairn.domain.modality import Modality
from keycairn.domain.record import KINDS
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

KEYS = {
    "a number": "5",
    "a negative number": "-9223372036854775808",
    "no character": "⟨⟩",
    "an identifier": "u'018e2a7c-5c4b-7f1c-8f00-000000000000'",
    "a list": "['x', 1]",
    "an empty list": "[]",
    "an object": "{ a: 1 }",
    "a list of a time": "[d'2026-01-01T00:00:00Z', NONE]",
    "text behind all text": "⟨" + "\U0010ffff" * 40 + "⟩",
    "text with a sign": "⟨=5⟩",
}
VALUES = {
    "a year that Python has not": "time::from::unix(300000000000)",
    "a duration": "3d",
    "a decimal": "3.2dec",
    "an identifier": "u'018e2a7c-5c4b-7f1c-8f00-000000000000'",
    "a place on earth": "(1.0, 2.0)",
    "a range": "1..5",
    "a record": "token:x",
    "a list in a list": "[[[]]]",
    "not a number": "math::inf",
}
LINKS = [
    *("nonsense", "", "0 a b", "-1 a b", "-9223372036854775808 a b", "1 a b", "1"),
    *("4611686018427387904 a b", "9223372036854775807 a b", "9" * 30 + " a b"),
]


@pytest.fixture(params=ENGINES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """A filled and closed database."""
    async with a_place(request.param, tmp_path) as made:
        yield made


async def goes_on(kc: Keycairn, folder: Path) -> None:
    """Everything that goes through whole tables does so to the end."""
    assert kc.vault.why_sealed is None
    await kc.audit.verify()
    await kc.checkup.report()
    await kc.backups.save(file=folder / "saved")
    await kc.rotation.rotate()
    await kc.tokens.create("after", (Scope.INVOKE,))
    assert len(await kc.store.all_credentials()) == RECORDS
    assert len(await kc.store.models("default")) == RECORDS
    assert await kc.store.token(TokenId("token:T000")) is not None


@pytest.mark.parametrize("table", by_day(KINDS, one_in=6))
async def test_rows_with_keys_of_every_kind_are_named_and_stop_nothing(
    place: Place, table: str, tmp_path: Path
) -> None:
    rows = await place.rows(table)
    row, ours = rows[0], {one["id"].id for one in rows}
    content = {name: value for name, value in row.items() if name != "id"}
    for key in KEYS.values():
        await place.run(f"CREATE {table}:{key} CONTENT $content", content=content)
    async with place.open() as kc:
        await goes_on(kc, tmp_path)
        named = [error for error in kc.store.unreadable() if error.kind == table]
        assert len({error.key for error in named}) == len(KEYS)
        if table not in DISCARDED:
            return
        for error in named:
            await kc.repair.discard(f"{table}:{error.key}")
            with pytest.raises(RecordNotRefusedError):
                await kc.repair.discard(f"{table}:{error.key}")
    async with place.open() as kc:
        await goes_on(kc, tmp_path)
        assert kc.store.unreadable() == []
    assert {one["id"].id for one in await place.rows(table)} >= ours
    assert {type(one["id"].id) for one in await place.rows(table)} == {str}


@pytest.mark.night
@pytest.mark.parametrize(("table", "column"), [("token", "expires"), ("credential", "extra"), ("event", "at")])
async def test_values_of_every_kind_spoil_their_own_record_only(
    place: Place, table: str, column: str, tmp_path: Path
) -> None:
    rows = await place.rows(table)
    await place.run(f"DEFINE FIELD OVERWRITE {column} ON {table} TYPE any")
    altered = rows[2 : 2 + len(VALUES)] if table != "event" else [rows[3]] * len(VALUES)  # gaps are another matter
    for row, value in zip(altered, VALUES.values(), strict=True):
        await place.run(f"UPDATE $id SET {column} = {value} RETURN NONE", id=row["id"])  # noqa: S608  # our own
    async with place.open() as kc:
        assert kc.vault.why_sealed is None
        await kc.backups.save(file=tmp_path / "saved")
        await kc.audit.verify()
        named = {f"{error.kind}:{error.key}" for error in kc.store.unreadable()}
        assert named >= {f"{table}:{row['id'].id}" for row in altered}


@pytest.mark.parametrize("link", by_day(LINKS, one_in=6))
async def test_a_head_that_somebody_else_wrote_is_put_right_and_stays_on_record(place: Place, link: str) -> None:
    await place.run("UPDATE head SET link = $link", link=link)
    async with place.open() as kc:
        assert kc.vault.why_sealed is None
        await kc.tokens.create("after", (Scope.INVOKE,))
        events = [event.seq for event in await kc.store.chain()]
        assert events == [*range(1, len(events) + 1)]
        [event] = await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))
        assert event.details[FlawKind.ALTERED] == ["head:current"]
        assert {flaw.kind for flaw in (await kc.audit.verify()).flaws} == {FlawKind.LOST}
    async with place.open() as kc:
        assert len(await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))) == 1, "told once"


@pytest.mark.parametrize(
    ("table", "column"), [("migration", "number"), ("revision", "number"), ("ledger", "number"), ("ledger", "store")]
)
@pytest.mark.parametrize("value", by_day(["x", -5, None, 2**63 - 1, [1], {"a": 1}], one_in=6))
async def test_what_the_store_keeps_for_itself_may_be_anything(
    place: Place, table: str, column: str, value: Any
) -> None:
    """It is refused in a sentence, or does no harm."""
    await place.run(f"DEFINE FIELD OVERWRITE {column} ON {table} TYPE any")
    await place.run(f"UPDATE {table} SET {column} = $v", v=value)  # noqa: S608  # a test's own names
    with suppress(KeycairnError):  # anything else is a failure
        async with place.open() as kc:
            await kc.tokens.create("after", (Scope.INVOKE,))


async def test_refused_rows_do_not_cut_a_list_short(place: Place) -> None:
    """Whoever asks for a page takes a shorter one for the last."""
    rows = {table: await place.rows(table) for table in ("credential", "model")}
    for table, of_one in rows.items():
        for row in of_one[1:4]:
            await place.run("UPDATE $id SET name = 'other'", id=row["id"])
        assert len(of_one) >= RECORDS, table
    async with place.open() as kc:
        assert len(await kc.store.credentials("default", limit=RECORDS - 3)) == RECORDS - 3
        assert [len(await kc.store.credentials("default", limit=size)) for size in (1, 2, 5)] == [1, 2, 5]
        assert [len(await kc.store.all_credentials(limit=size)) for size in (1, 2, 5)] == [1, 2, 5]
        assert [len(await kc.store.models("default", limit=size)) for size in (1, 2, 5)] == [1, 2, 5]
        seen, after = [], None
        while page := await kc.store.all_credentials(after=after, limit=2):
            seen += [one.id for one in page]
            after = page[-1].id
        assert len(seen) == RECORDS - 3


@pytest.mark.night
async def test_sums_that_cannot_be_read_do_not_keep_older_ones_for_ever(place: Place) -> None:
    [row] = await place.rows("usage")
    for number in range(30):
        content = {name: value for name, value in row.items() if name != "id"} | {"day": f"1990-01-{number + 1:02}"}
        await place.run(f"CREATE usage:garbage{number} CONTENT $content", content=content)
    async with place.open() as kc:
        keys = await kc.store.usage_before(date(2100, 1, 1), limit=1)
        assert [key.day.isoformat() for key in keys] == [row["day"]]
        assert await kc.store.usage_before(date(1995, 1, 1), limit=1) == []


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_refused_secret_keeps_no_data_key_alive(engine: str, tmp_path: Path) -> None:
    """Else whoever has the leaked key and writes one row has it work for good."""

    async def two_accounts(settings: Settings) -> None:
        async with open_keycairn(settings) as kc:
            for name in ("one", "two"):
                await kc.credentials.create("openai", name=name, secrets={"api_key": Secret(f"sk-{name}-0123456789")})

    async with a_place(engine, tmp_path, two_accounts) as place:
        [row, _] = await place.rows("credential")
        await place.run("UPDATE $id SET name = 'other'", id=row["id"])
        async with place.open() as kc:
            rotated = await kc.rotation.rotate()
            assert {kid: str(state) for kid, state in rotated.keys.items()} == {1: "retired", 2: "primary"}
            assert len(await kc.store.all_credentials()) == 1


async def test_a_keyset_of_before_proofs_put_back_proves_nothing_anew(tmp_path: Path) -> None:
    """A server's administrator has a copy of the keyset from before, and forges a token."""
    async with a_place("ws", tmp_path, filled_before) as place:
        [before] = await place.rows("keyset")
        async with place.open() as kc:
            assert await kc.store.token(TokenId("token:T000")) is not None
        await place.run(
            "UPDATE $id CONTENT $row; DELETE event; DELETE head; UPDATE credential SET proof = NONE;"
            "UPDATE model SET proof = NONE; UPDATE defaults SET proof = NONE;"
            "UPDATE token SET proof = NONE, scopes = ['admin'], revoked = NONE",
            id=before["id"],
            row={name: value for name, value in before.items() if name != "id"},
        )
        async with place.open() as kc:
            assert await kc.store.token(TokenId("token:T000")) is None
            assert await kc.store.token(TokenId("token:T001")) is None


@pytest.mark.parametrize("how", ["refused", "unseen"])
async def test_a_row_that_works_for_nobody_takes_no_name_from_others(place: Place, how: str) -> None:
    """What the database holds behind our back must not refuse what was accepted: that could never be carried out."""
    row = (await place.rows("model"))[1]
    if how == "refused":
        await place.run("UPDATE $id SET version = 99", id=row["id"])
    else:
        await place.run("DELETE $id", id=row["id"])
        rest = {name: value for name, value in row.items() if name != "id"}
        await place.run("CREATE model:77 CONTENT $rest", rest=rest)
    async with place.open() as kc:
        before = len(await kc.store.models(row["workspace"], limit=None))
        again = await kc.models.create(
            row["name"],
            provider=row["provider"],
            type=Modality(row["type"]),
            credential=CredentialId(str(row["credential"])) if row["credential"] else None,
            by=Caller(actor="tests", workspace=row["workspace"]),
        )
        await kc.tokens.create("after", (Scope.INVOKE,))
    async with place.open() as kc:
        assert await kc.store.model(row["workspace"], again.id) is not None
        assert len(await kc.store.models(row["workspace"], limit=None)) == before + 1
