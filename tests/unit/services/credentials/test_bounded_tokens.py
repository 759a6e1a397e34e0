"""What becomes of tokens that are bounded to a credential which is deleted."""

import pytest
from tests.house import LANGUAGE, House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.models import NewModel
from keycairn.domain.audit import Action
from keycairn.domain.ids import CredentialId
from keycairn.domain.reach import Reach
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope, Token


@pytest.fixture
async def kc() -> Keycairn:
    return await House().open()


async def account(kc: Keycairn, name: str, provider: str = "openai") -> CredentialId:
    secrets = {"api_key": Secret(f"sk-{name}-0123456789")}
    id = (await kc.credentials.create(provider, name=name, secrets=secrets)).credential.id
    await kc.probing.register(id, [NewModel("gpt-4o", LANGUAGE)])
    return id


async def token(kc: Keycairn, **reach: tuple[str, ...]) -> Token:
    return (await kc.tokens.create("app", [Scope.INVOKE], reach=Reach(**reach)))[0]  # type: ignore[arg-type]  # ids are texts


async def reaches(kc: Keycairn) -> list[Reach]:
    return [one.reach for one in await kc.tokens.list()]


async def test_tokens_follow_the_models_in_the_same_commit(kc: Keycairn) -> None:
    gone, heir, third = await account(kc, "one"), await account(kc, "two"), await account(kc, "three")
    alone = await token(kc, credentials=(gone,))
    both = await token(kc, credentials=(third, gone, heir), models=("gpt-4o",))
    await token(kc, credentials=(third,))
    await token(kc)
    before = await kc.store.revision()
    planned = await kc.credentials.delete(gone, migrate_to=heir, dry_run=True)
    assert await kc.store.revision() == before

    done = await kc.credentials.delete(gone, migrate_to=heir)

    assert [one.id for one in done.followed] == [one.id for one in planned.followed] == [alone.id, both.id]
    assert done.stranded == ()
    assert await reaches(kc) == [
        Reach(credentials=(heir,)),
        Reach(credentials=(third, heir), models=("gpt-4o",)),
        Reach(credentials=(third,)),
        Reach(),
    ]
    changed = [event.target for event in await kc.audit.events() if event.action is Action.TOKEN_UPDATED]
    assert changed == [alone.id, both.id]


async def test_who_may_not_give_out_tokens_moves_none(kc: Keycairn) -> None:
    gone, heir = await account(kc, "one"), await account(kc, "two")
    bound = await token(kc, credentials=(gone,))
    done = await kc.credentials.delete(gone, migrate_to=heir, redirect_tokens=False)
    assert (done.followed, [one.id for one in done.stranded]) == ((), [bound.id])
    assert await reaches(kc) == [Reach(credentials=(gone,))]


async def test_those_that_reach_nothing_any_more_are_named(kc: Keycairn) -> None:
    gone, other = await account(kc, "one"), await account(kc, "two", "anthropic")
    stranded = [await token(kc, credentials=(gone,)), await token(kc, providers=("openai",))]
    await token(kc, credentials=(gone, other))
    await token(kc, providers=("openai", "anthropic"))
    await token(kc, models=("gpt-*",))
    dead = await token(kc, credentials=(gone,))
    await kc.tokens.revoke(dead.id)
    planned = await kc.credentials.delete(gone, dry_run=True)
    assert [one.id for one in planned.stranded] == [one.id for one in stranded]
    assert (await kc.credentials.delete(gone)).stranded == planned.stranded

    found = [one for one in await kc.checkup.report() if one.code == "token_reaches_nothing"]
    assert [one.records[0] for one in found] == [one.id for one in stranded]
    assert all(one.what_to_do and not one.broken for one in found)


async def test_a_revoked_token_is_not_brought_back_by_a_deletion_that_was_under_way(kc: Keycairn) -> None:
    gone, heir = await account(kc, "one"), await account(kc, "two")
    bound = await token(kc, credentials=(gone,))
    planned = await kc.credentials.delete(gone, migrate_to=heir, dry_run=True)
    await kc.tokens.revoke(bound.id)
    assert planned.followed
    assert (await kc.credentials.delete(gone, migrate_to=heir)).followed == ()
    [stored] = await kc.tokens.list()
    assert stored.revoked


async def test_a_name_that_no_model_has_any_more_is_noted(kc: Keycairn) -> None:
    id = await account(kc, "one")
    bound = await token(kc, credentials=(id,), models=("gpt-4o",))
    assert not [one for one in await kc.checkup.report() if one.code == "token_reaches_nothing"]
    [model] = await kc.models.list()
    await kc.models.delete(model.id)
    [found] = [one for one in await kc.checkup.report() if one.code == "token_reaches_nothing"]
    assert found.records == (bound.id,)
