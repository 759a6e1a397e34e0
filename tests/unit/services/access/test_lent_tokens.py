"""No token makes one that may more, or works longer, than itself; nor do its children, and theirs."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fakes import NOON
from tests.house import House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.access.tokens import DEEPEST
from keycairn.domain.audit import IN_PROCESS, Caller
from keycairn.domain.change import PutToken
from keycairn.domain.errors import AuthenticationError, BeyondMakerError, ForbiddenError, InvalidInputError
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.token import Scope, Token

LATER = NOON + timedelta(hours=5)
SOME = st.none() | st.integers(1, 3)
LIMITS = st.builds(Limits, **dict.fromkeys(Limits.__struct_fields__, SOME))
ENDS = st.none() | st.integers(1, 3).map(lambda hours: LATER + timedelta(hours=hours))
SCOPES = st.lists(st.sampled_from([Scope.ADMIN, Scope.ADMIN, Scope.INVOKE, Scope.AUDIT_READ]), min_size=1, max_size=2)
WORKSPACES = st.sampled_from([None, None, "default", "theirs", "others"])
WISHES = st.lists(st.tuples(SCOPES, ENDS, LIMITS, WORKSPACES, st.integers(0, 5)), min_size=1, max_size=8)
Wish = tuple[list[Scope], datetime | None, Limits, str | None, int]


def by(token: Token) -> Caller:
    return Caller(actor=token.id, workspace=token.workspace)


def exceeds(child: Token, maker: Token) -> bool:
    """The law, written down a second time."""
    for mine, theirs in [(child.expires, maker.expires)] + [
        (getattr(child.limits, name), getattr(maker.limits, name)) for name in Limits.__struct_fields__
    ]:
        if theirs is not None and (mine is None or mine > theirs):
            return True
    if Scope.ADMIN not in maker.scopes and not set(child.scopes) <= set(maker.scopes):
        return True
    return child.workspace != maker.workspace and (maker.workspace != "default" or maker.limits != NO_LIMITS)


@settings(max_examples=150, deadline=None)
@given(WISHES)
def test_whatever_is_asked_for_no_token_exceeds_any_it_descends_from(wishes: Sequence[Wish]) -> None:
    async def play() -> None:
        kc = await House().open()
        made: list[Token] = []
        lines: dict[str, list[Token]] = {}
        for scopes, expires, limits, workspace, number in wishes:
            maker = made[number % len(made)] if made else None
            try:
                token, _ = await kc.tokens.create(
                    "t",
                    scopes,
                    expires=expires,
                    limits=limits,
                    workspace=workspace,
                    by=by(maker) if maker else IN_PROCESS,
                )
            except ForbiddenError:
                continue
            made.append(token)
            lines[token.id] = [*lines[maker.id], maker] if maker else []
            stored = await kc.store.token(token.id)
            assert stored is not None
            assert token == replace(stored, proof="")
            assert not [one for one in lines[token.id] if exceeds(token, one)]

    asyncio.run(play())


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


async def lent(kc: Keycairn, **bounds: object) -> Token:
    token, _ = await kc.tokens.create("lent", [Scope.ADMIN], **{"expires": LATER, **bounds})  # type: ignore[arg-type]
    return token


async def test_what_is_not_asked_for_is_as_the_maker_has_it(kc: Keycairn) -> None:
    maker = await lent(kc, limits=Limits(concurrent=2, tokens_per_day=100))
    child, _ = await kc.tokens.create("c", [Scope.ADMIN], limits=Limits(concurrent=1), by=by(maker))
    assert (child.expires, child.maker) == (LATER, maker.id)
    assert child.limits == Limits(concurrent=1, tokens_per_day=100)


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ({"expires": LATER + timedelta(seconds=1)}, "expires"),
        *(({"limits": Limits(**{name: 11})}, f"limits.{name}") for name in Limits.__struct_fields__),
        ({"workspace": "theirs"}, "workspace"),
    ],
    ids=str,
)
async def test_what_goes_beyond_the_maker_is_refused_by_name(kc: Keycairn, wish: dict[str, object], named: str) -> None:
    maker = await lent(kc, limits=Limits(**dict.fromkeys(Limits.__struct_fields__, 10)))
    before = await kc.store.revision()
    with pytest.raises(BeyondMakerError, match=named):
        await kc.tokens.create("c", [Scope.INVOKE], by=by(maker), **wish)  # type: ignore[arg-type]
    assert await kc.store.revision() == before


async def test_an_end_alone_may_be_lent_to_another_workspace(kc: Keycairn) -> None:
    child, _ = await kc.tokens.create("c", [Scope.ADMIN], workspace="theirs", by=by(await lent(kc)))
    assert (child.workspace, child.expires) == ("theirs", LATER)


async def test_a_maker_without_bounds_bounds_nothing(kc: Keycairn) -> None:
    maker, _ = await kc.tokens.create("free", [Scope.ADMIN])
    child, text = await kc.tokens.create("c", [Scope.ADMIN], by=by(maker))
    assert (child.expires, child.limits, child.maker) == (None, NO_LIMITS, maker.id)
    await kc.tokens.revoke(maker.id)
    assert (await kc.tokens.authenticate(text)).actor == child.id, "nothing was lent to it"


@pytest.mark.parametrize("bounds", [{"expires": LATER}, {"expires": None, "limits": Limits(concurrent=1)}], ids=str)
async def test_what_a_lent_token_made_ends_with_it(kc: Keycairn, bounds: dict[str, object]) -> None:
    maker = await lent(kc, **bounds)
    child, first = await kc.tokens.create("c", [Scope.ADMIN], by=by(maker))
    _, second = await kc.tokens.create("g", [Scope.INVOKE], by=by(child))
    for text in (first, second):
        await kc.tokens.authenticate(text)
    await kc.tokens.revoke(maker.id)
    for text in (first, second):
        with pytest.raises(AuthenticationError):
            await kc.tokens.authenticate(text)
    with pytest.raises(AuthenticationError):  # a request under way when its token was revoked
        await kc.tokens.create("late", [Scope.ADMIN], by=by(child))


async def test_a_token_of_nobody_makes_none(kc: Keycairn) -> None:
    with pytest.raises(AuthenticationError):
        await kc.tokens.create("c", [Scope.INVOKE], by=Caller(actor="token:NOBODY"))


async def test_what_is_lent_is_lent_on_a_few_times_only(kc: Keycairn) -> None:
    maker = await lent(kc)
    for _ in range(DEEPEST):
        maker, text = await kc.tokens.create("c", [Scope.ADMIN], by=by(maker))
        await kc.tokens.authenticate(text)
    with pytest.raises(InvalidInputError):
        await kc.tokens.create("c", [Scope.ADMIN], by=by(maker))


async def test_tokens_that_name_each_other_as_makers_open_nothing(kc: Keycairn) -> None:
    one = await lent(kc)
    other, text = await kc.tokens.create("c", [Scope.ADMIN], by=by(one))
    await kc.store.commit((PutToken(replace(one, maker=other.id)),))
    with pytest.raises(AuthenticationError):
        await kc.tokens.authenticate(text)
