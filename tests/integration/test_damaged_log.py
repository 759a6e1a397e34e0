"""A damaged audit log and damaged records at once: what is proven works, the rest for nobody, and nothing stops."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from surrealdb import RecordID
from tests.nights import ENGINES, by_day
from tests.tampering import Place, Row, a_place

from keycairn.app.keycairn import Keycairn
from keycairn.app.offline import accept_database
from keycairn.app.services.audit import FlawKind
from keycairn.app.settings import Settings
from keycairn.app.wiring import open_keycairn
from keycairn.domain.audit import Action, EventFilter
from keycairn.domain.ids import TokenId
from keycairn.domain.proof import primary_of, proven
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

TOKENS = 6


async def some_tokens(settings: Settings) -> None:
    """Tokens in an event each, the second of them revoked, accounts, and one more token at the end."""
    async with open_keycairn(settings) as kc:
        for number in range(TOKENS):
            await kc.tokens.create(f"t{number}", (Scope.INVOKE,))
        for name in ("one", "two"):
            await kc.credentials.create("openai", name=name, secrets={"api_key": Secret(f"sk-{name}-0123456789")})
        [second] = [token for token in await kc.tokens.list() if token.name == "t1"]
        await kc.tokens.revoke(second.id)
        await kc.tokens.create("last", (Scope.INVOKE,))


@pytest.fixture(params=ENGINES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    async with a_place(request.param, tmp_path, some_tokens) as made:
        yield made


async def row_of(place: Place, name: str) -> Row:
    return next(row for row in await place.rows("token") if row["name"] == name)


async def event_of(place: Place, *, action: str, target: str = "") -> Row:
    events = sorted(await place.rows("event"), key=lambda row: row["seq"])
    return next(row for row in events if row["action"] == action and target in {"", row["target"]})


async def damage(place: Place, how: str, event: Row) -> None:
    match how:
        case "altered":
            await place.put(event, actor="nobody")
        case "altered with its MAC":
            await place.put(event, actor="nobody", mac="f" * 64)
        case "without what it told":
            await place.put(event, proofs=None)
        case "without its sum":
            await place.put(event, state=None)
        case _:
            await place.run("DELETE $id", id=event["id"])


async def working(kc: Keycairn) -> set[str]:
    return {token.name for token in await kc.tokens.list()} - {"first admin token"}


ALL = {*(f"t{number}" for number in range(TOKENS)), "last"}
HOW = ["altered", "altered with its MAC", "without what it told", "without its sum", "removed"]
WHERE = {
    "of nothing to do with it": ("credential.created", None),
    "of its own": ("token.created", "t3"),
    "of another record": ("token.created", "t4"),
    "of the change before": ("token.revoked", None),
}


@pytest.mark.parametrize("how", by_day(HOW, one_in=3))
@pytest.mark.parametrize("where", by_day(WHERE, one_in=4))
@pytest.mark.parametrize("record", ["forged", "removed"])
async def test_one_damaged_event_and_one_damaged_record_stop_nothing_else(
    place: Place, how: str, where: str, record: str
) -> None:
    action, name = WHERE[where]
    target = await row_of(place, "t3")
    ids = {row["name"]: name_of(row) for row in await place.rows("token")}
    of = ids[name] if name else ""
    await damage(place, how, await event_of(place, action=action, target=of))
    if record == "forged":
        await place.put(target, scopes=["admin"])
    else:
        await place.run("DELETE $id", id=target["id"])
    async with place.open() as kc:
        assert kc.vault.why_sealed is None
        left = await working(kc)
        assert "last" in left, "what the log tells of since the damage"
        assert "t3" not in left
        report = await kc.audit.verify()
        assert {FlawKind.ALTERED, FlawKind.MISSING} & {flaw.kind for flaw in report.flaws}
        named = {flaw.record for flaw in report.flaws if flaw.record}
        for event in await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED)):
            named |= {one for names in event.details.values() if isinstance(names, list) for one in names}
        if record == "forged" or where != "of its own" or how not in {"without what it told", "removed"}:
            assert ids["t3"] in named
        assert {ids[one] for one in ALL - left - {"t3"}} <= named
        await kc.tokens.create("more", (Scope.INVOKE,))
    async with place.open() as kc:
        assert await working(kc) == {*left, "more"}, "told once, and so from then on"
        assert len(await kc.audit.events(matching=EventFilter(action=Action.RECORDS_REFUSED))) == 1


def name_of(row: Row) -> str:
    return f"{row['id'].table_name}:{row['id'].id}"


@pytest.mark.parametrize("how", by_day(HOW[:3], one_in=3))
async def test_where_the_sums_tell_only_the_damaged_record_is_left_out(place: Place, how: str) -> None:
    await damage(place, how, await event_of(place, action="credential.created"))
    await place.put(await row_of(place, "t3"), scopes=["admin"])
    async with place.open() as kc:
        assert await working(kc) == ALL - {"t3"}
        assert len(await kc.store.all_credentials()) == 2


async def test_a_change_that_is_rolled_back_with_its_event_is_found_and_its_record_works_for_nobody(
    place: Place,
) -> None:
    """The revoked token put back, and the event of its revocation gone: the sum tells that something is wrong."""
    revoked = await row_of(place, "t1")
    async with place.open() as kc:
        await kc.tokens.create("after", (Scope.INVOKE,))
    await place.put(revoked, revoked=None, proof=await proof_before(place, revoked))
    await damage(place, "removed", await event_of(place, action="token.revoked"))
    async with place.open() as kc:
        assert kc.vault.why_sealed is None
        assert await kc.store.token(TokenId(name_of(revoked))) is None
        assert "after" in await working(kc)
    await accept_database(place.settings)
    async with place.open() as kc:
        assert {*await working(kc)} >= ALL - {"t1"}, "its owner says that what is there counts"


async def proof_before(place: Place, row: Row) -> str:
    """The proof that the row had before it was revoked, which its thief has kept."""
    async with place.open() as kc:
        token = await kc.store.token(TokenId(name_of(row)))
        assert token is not None
        keys = kc.vault.keyset
        return str(proven(replace(token, revoked=None), keys, primary_of(keys.record))[0].proof)


async def test_where_the_end_of_the_log_is_gone_nothing_can_be_told_and_nothing_opens(place: Place) -> None:
    events = sorted(await place.rows("event"), key=lambda row: row["seq"])
    await damage(place, "removed", events[-1])
    await place.run("DELETE $id", id=RecordID("token", (await row_of(place, "t3"))["id"].id))
    (place.settings.data_dir / "db.redo").unlink(missing_ok=True)
    async with place.open() as kc:
        assert "gaps" in str(kc.vault.why_sealed)
