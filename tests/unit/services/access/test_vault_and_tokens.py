from datetime import timedelta

import pytest
from tests.fakes import NOON
from tests.house import House

from keycairn.app.keycairn import Keycairn
from keycairn.domain.audit import Caller
from keycairn.domain.errors import AuthenticationError, InvalidInputError, SealedError, TokenNotFoundError
from keycairn.domain.rootkey import RootKey, RootKeyForm
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope, carries

WRONG = RootKey(RootKeyForm.PASSPHRASE, Secret("a wrong root key entirely"))


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


async def test_a_wrong_root_key_leaves_everything_as_it_is_and_says_so(house: House, kc: Keycairn) -> None:
    await kc.credentials.create("openai", name="Work", secrets={"api_key": Secret("sk-1")})
    before = await house.store.revision()
    again = House(store=house.store, ids=house.ids)

    await again.open(WRONG)

    assert "KEYCAIRN_ROOT_KEY" in (again.keycairn.vault.why_sealed or "")
    with pytest.raises(SealedError):
        again.keycairn.vault.cipher  # noqa: B018  # reading it is the act
    assert await house.store.revision() == before
    assert [item.credential.name for item in await again.keycairn.credentials.list()] == ["Work"]


async def test_the_right_root_key_opens_the_same_keyset_again(house: House, kc: Keycairn) -> None:
    created = await kc.credentials.create("openai", name="Work", secrets={"api_key": Secret("sk-1")})
    again = House(store=house.store, ids=house.ids)
    await again.open()
    await again.keycairn.probing.test(created.credential.id)
    assert again.openai.keys == ["sk-1"]


async def test_a_token_is_shown_once_and_works_until_revoked(kc: Keycairn) -> None:
    token, text = await kc.tokens.create("ci", [Scope.MODELS_READ])
    assert text.reveal() not in repr((token, text))
    principal = await kc.tokens.authenticate(text)
    assert (principal.actor, principal.scopes) == (token.id, (Scope.MODELS_READ,))

    await kc.tokens.revoke(token.id)
    await kc.tokens.revoke(token.id.removeprefix("token:"))
    with pytest.raises(AuthenticationError):
        await kc.tokens.authenticate(text)


async def test_an_expired_token_is_refused(house: House, kc: Keycairn) -> None:
    _, text = await kc.tokens.create("ci", [Scope.INVOKE], expires=NOON + timedelta(hours=1))
    await kc.tokens.authenticate(text)
    house.clock.tick(3600)
    with pytest.raises(AuthenticationError):
        await kc.tokens.authenticate(text)


@pytest.mark.parametrize("change", [lambda t: "", lambda t: t[:-1], lambda t: t[:40] + "0" + t[41:], lambda t: t + " "])
async def test_anything_but_the_token_itself_is_refused(kc: Keycairn, change: object) -> None:
    _, text = await kc.tokens.create("ci", [Scope.ADMIN])
    with pytest.raises(AuthenticationError):
        await kc.tokens.authenticate(Secret(change(text.reveal())))  # type: ignore[operator]


async def test_the_first_token_is_made_once(kc: Keycairn) -> None:
    kept: list[Secret] = []
    assert await kc.tokens.first(kept.append)
    assert (await kc.tokens.authenticate(kept[0])).scopes == (Scope.ADMIN,)
    assert not await kc.tokens.first(kept.append)
    assert len(kept) == 1


async def test_the_first_token_is_kept_before_it_exists(kc: Keycairn) -> None:
    def keep(_: Secret) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011  # our own
        await kc.tokens.first(keep)
    assert await kc.tokens.list() == []


async def test_looking_whether_a_token_is_good_is_no_use_of_it(kc: Keycairn) -> None:
    token, text = await kc.tokens.create("ci", [Scope.ADMIN])
    assert await kc.tokens.holds(text)
    assert not await kc.tokens.holds(Secret(text.reveal() + "0"))
    await kc.audit_counters.flush()
    assert (await kc.tokens.list())[0].last_used is None
    await kc.tokens.revoke(token.id)
    assert not await kc.tokens.holds(text)


async def test_a_fixed_admin_token_works_even_while_sealed() -> None:
    house = House(admin_token="a" * 40)
    kc = await house.open(root_key=None)
    assert (await kc.tokens.authenticate(Secret("a" * 40))).scopes == (Scope.ADMIN,)
    assert not await kc.tokens.first(lambda _: None)
    with pytest.raises(SealedError):
        await kc.tokens.authenticate(Secret("b" * 40))


async def test_a_token_of_another_workspace_cannot_be_revoked_or_seen(kc: Keycairn) -> None:
    token, _ = await kc.tokens.create("ci", [Scope.INVOKE])
    elsewhere = Caller(actor="x", workspace="other")
    with pytest.raises(TokenNotFoundError):
        await kc.tokens.revoke(token.id, by=elsewhere)
    assert await kc.tokens.list(workspace="other") == []


async def test_a_token_needs_a_name_a_scope_and_a_future(kc: Keycairn) -> None:
    with pytest.raises(InvalidInputError):
        await kc.tokens.create(" ", [Scope.INVOKE])
    with pytest.raises(InvalidInputError):
        await kc.tokens.create("x", [])
    with pytest.raises(InvalidInputError):
        await kc.tokens.create("x", [Scope.INVOKE], expires=NOON - timedelta(hours=1))


def test_admin_includes_every_scope_and_no_other_includes_another() -> None:
    assert all(carries((Scope.ADMIN,), scope) for scope in Scope)
    for scope in set(Scope) - {Scope.ADMIN}:
        assert [other for other in Scope if carries((scope,), other)] == [scope]
