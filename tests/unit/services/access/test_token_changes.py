"""A token is changed while it is in use, and never becomes more than who changes or lent it may."""

from datetime import timedelta

import pytest
from msgspec import UNSET
from tests.house import House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.access import TokenPatch
from keycairn.domain.audit import Action, Caller
from keycairn.domain.change import PutToken
from keycairn.domain.errors import BeyondMakerError, InvalidInputError, StaleVersionError, TokenNotFoundError
from keycairn.domain.ids import CredentialId
from keycairn.domain.limits import Limits
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope, Token


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


async def account(kc: Keycairn, name: str = "Work") -> CredentialId:
    made = await kc.credentials.create("openai", name=name, secrets={"api_key": Secret(f"sk-{name}-0123456789")})
    return made.credential.id


async def test_a_changed_token_keeps_its_text_and_has_its_new_bounds(house: House, kc: Keycairn) -> None:
    first, second = await account(kc), await account(kc, "Home")
    made, text = await kc.tokens.create("app", [Scope.INVOKE], reach=Reach(credentials=(first,)))
    end = house.clock.now() + timedelta(days=1)
    patch = TokenPatch(
        name=" new ", expires=end, limits=Limits(requests_per_minute=5), reach=Reach(credentials=(second,))
    )

    changed = await kc.token_changes.update(made.id, patch)

    assert (changed.name, changed.expires, changed.limits.requests_per_minute) == ("new", end, 5)
    assert (await kc.tokens.authenticate(text)).reach == Reach(credentials=(second,))
    event = (await kc.audit.events())[-1]
    assert (event.action, event.target) == (Action.TOKEN_UPDATED, made.id)
    assert event.details == {"fields": ["name", "expires", "limits", "reach"]}
    before = await house.store.revision()
    assert (await kc.token_changes.update(made.id, TokenPatch(name="new"))).reach == changed.reach
    assert await house.store.revision() == before
    freed = await kc.token_changes.update(made.id, TokenPatch(expires=None, reach=EVERYWHERE))
    assert (freed.expires, freed.reach, freed.limits) == (None, EVERYWHERE, changed.limits)


@pytest.mark.parametrize(
    "patch",
    [
        TokenPatch(name=""),
        TokenPatch(name="sk-proj-0123456789abcdefghijklmnopqrstuvwxyz0123456789abcd"),
        TokenPatch(reach=Reach(credentials=())),
        TokenPatch(reach=Reach(credentials=(CredentialId("credential:01J9ZK3V6Q8M2T4B7N5R0XWYCE"),))),
        TokenPatch(reach=Reach(models=("default:chat",))),
        TokenPatch(limits=Limits(concurrent=-1)),
    ],
    ids=lambda patch: next(name for name in patch.__struct_fields__ if getattr(patch, name) is not UNSET),
)
async def test_what_no_new_token_may_have_no_changed_one_gets(kc: Keycairn, patch: TokenPatch) -> None:
    made, _ = await kc.tokens.create("app", [Scope.INVOKE])
    before = await kc.tokens.list()
    with pytest.raises(InvalidInputError):
        await kc.token_changes.update(made.id, patch)
    assert await kc.tokens.list() == before


async def test_an_end_that_has_passed_is_refused_and_an_administrator_stays_unbounded(
    house: House, kc: Keycairn
) -> None:
    made, _ = await kc.tokens.create("chief", [Scope.ADMIN])
    for patch in (TokenPatch(expires=house.clock.now()), TokenPatch(reach=Reach(providers=("openai",)))):
        with pytest.raises(InvalidInputError):
            await kc.token_changes.update(made.id, patch)


async def test_it_becomes_no_more_than_who_lent_it_or_changes_it_may(house: House, kc: Keycairn) -> None:
    chief, _ = await kc.tokens.create("chief", [Scope.ADMIN], limits=Limits(requests_per_minute=10))
    lent, _ = await kc.tokens.create("lent", [Scope.INVOKE], by=Caller(actor=chief.id))
    free, _ = await kc.tokens.create("free", [Scope.INVOKE])
    wide = TokenPatch(limits=Limits(requests_per_minute=11))
    for token, by in ((lent, Caller(actor="in-process")), (free, Caller(actor=chief.id))):
        with pytest.raises(BeyondMakerError):
            await kc.token_changes.update(token.id, wide, by=by)
    await kc.token_changes.update(lent.id, TokenPatch(limits=Limits(requests_per_minute=9)))


async def test_a_revoked_token_stays_revoked_whatever_was_under_way(house: House, kc: Keycairn) -> None:
    made, _ = await kc.tokens.create("app", [Scope.INVOKE])
    revoked = await kc.tokens.revoke(made.id)
    with pytest.raises(InvalidInputError, match="revoked"):
        await kc.token_changes.update(made.id, TokenPatch(name="new"))
    with pytest.raises(StaleVersionError):  # what was worked out before it was revoked
        await kc.journal.commit((PutToken(made, expected=made),))
    [stored] = await kc.tokens.list()
    assert stored.revoked == revoked.revoked


async def test_its_use_meanwhile_does_not_stand_in_the_way(house: House, kc: Keycairn) -> None:
    made, text = await kc.tokens.create("app", [Scope.INVOKE])
    await kc.tokens.authenticate(text)
    await kc.audit_counters.flush()
    await kc.journal.commit((PutToken(made, expected=made),))


async def test_another_workspaces_token_is_as_none(kc: Keycairn) -> None:
    made: Token
    made, _ = await kc.tokens.create("app", [Scope.INVOKE])
    with pytest.raises(TokenNotFoundError):
        await kc.token_changes.update(made.id, TokenPatch(name="x"), by=Caller(actor="admin-token", workspace="b"))
