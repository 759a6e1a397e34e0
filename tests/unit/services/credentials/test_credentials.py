import asyncio

import pytest
from msgspec.structs import replace
from tests.house import EMBEDDING, LANGUAGE, House

from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.models import NewModel
from keycairn.domain.audit import Action, Caller
from keycairn.domain.change import ReplaceCredential
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    CredentialNotFoundError,
    InvalidInputError,
    InvalidMigrationTargetError,
    KeycairnError,
    MissingFieldError,
    PreconditionFailedError,
    SealedError,
    SecretInPlainFieldError,
    SecretReentryRequiredError,
    StaleVersionError,
    UndeclaredFieldError,
    UndecryptableError,
    UnknownProviderError,
    UrlRefusedError,
)
from keycairn.domain.ids import CredentialId
from keycairn.domain.model import Slot
from keycairn.domain.sealed import SealedSecret
from keycairn.domain.secret import Secret

KEY = Secret("sk-first-0123456789")
NEW_KEY = Secret("sk-second-0123456789")
NOBODY = CredentialId("credential:NOBODY")


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


async def make(kc: Keycairn, provider: str = "openai", name: str = "Work", **settings: str | int) -> Credential:
    listed = await kc.credentials.create(provider, name=name, settings=settings, secrets={"api_key": KEY})
    return listed.credential


async def key_at_provider(house: House, kc: Keycairn, credential: Credential) -> str:
    await kc.probing.test(credential.id)
    return house.openai.keys[-1]


async def corrupt(house: House, credential: Credential) -> Credential:
    """Someone else's sealed secret where this record's should be."""
    twin = await make(house.keycairn, name="twin")
    broken = replace(credential, sealed=twin.sealed, version=credential.version + 1)
    await house.store.commit((ReplaceCredential(broken, expected=credential.version),))
    await house.keycairn.credentials.delete(twin.id)
    return broken


async def test_a_stored_key_is_sealed_and_reaches_the_provider(house: House, kc: Keycairn) -> None:
    credential = await make(kc)

    assert KEY.reveal() not in repr(credential)
    assert await key_at_provider(house, kc, credential) == KEY.reveal()


async def test_the_events_tell_what_happened_in_order(kc: Keycairn) -> None:
    credential = await make(kc)
    by = Caller(actor="token:T", source="192.0.2.1", request_id="r1")
    await kc.credentials.update(credential.id, CredentialPatch(name="Home", secrets={"api_key": NEW_KEY}), by=by)
    await kc.credentials.delete(credential.id)

    *_, created, updated, deleted = await kc.audit.events()
    assert [event.action for event in (created, updated, deleted)] == [
        Action.CREDENTIAL_CREATED,
        Action.CREDENTIAL_UPDATED,
        Action.CREDENTIAL_DELETED,
    ]
    assert (updated.actor, updated.source, updated.request_id) == ("token:T", "192.0.2.1", "r1")
    assert updated.details == {"fields": ["api_key", "name"]}


@pytest.mark.parametrize(
    ("provider", "name", "settings", "secrets", "error"),
    [
        ("nobody", "x", {}, {"api_key": KEY}, UnknownProviderError),
        ("openai", "x", {}, {}, MissingFieldError),
        ("openai", "x", {}, {"api_key": Secret("  ")}, MissingFieldError),
        ("openai", " ", {}, {"api_key": KEY}, InvalidInputError),
        ("openai", "a\x00b", {}, {"api_key": KEY}, InvalidInputError),
        ("openai", "x" * 201, {}, {"api_key": KEY}, InvalidInputError),
        ("openai", "x", {"region": "eu"}, {"api_key": KEY}, UndeclaredFieldError),
        ("openai", "x", {"api_key": "sk-in-the-clear"}, {"api_key": KEY}, UndeclaredFieldError),
        ("openai", "x", {}, {"api_key": KEY, "base_url": KEY}, UndeclaredFieldError),
        ("openai", "x", {"base_url": "ftp://example.com"}, {"api_key": KEY}, UrlRefusedError),
        ("openai", "x", {"num_ctx": -1}, {"api_key": KEY}, InvalidInputError),
        ("openai", "x", {"num_ctx": "many"}, {"api_key": KEY}, InvalidInputError),
        ("openai", f"my {KEY.reveal()}", {}, {"api_key": KEY}, SecretInPlainFieldError),
        ("openai", "x", {}, {"api_key": Secret("k" * 40_000)}, InvalidInputError),
    ],
)
async def test_bad_input_is_refused_by_name_and_nothing_is_stored(
    house: House,
    kc: Keycairn,
    provider: str,
    name: str,
    settings: dict[str, str | int],
    secrets: dict[str, Secret],
    error: type[KeycairnError],
) -> None:
    before = await house.store.revision()

    with pytest.raises(error) as refused:
        await kc.credentials.create(provider, name=name, settings=settings, secrets=secrets)

    assert KEY.reveal() not in f"{refused.value} {refused.value!r} {vars(refused.value)}"
    assert await house.store.revision() == before


@pytest.mark.parametrize("secrets", [{}, {"api_key": NEW_KEY}])
@pytest.mark.parametrize("text", [KEY.reveal(), f"  {KEY.reveal()} "])
async def test_a_stored_key_is_no_name_whether_it_is_sent_along_or_not(
    house: House, kc: Keycairn, text: str, secrets: dict[str, Secret]
) -> None:
    credential = await make(kc)
    before = await house.store.revision()
    with pytest.raises(SecretInPlainFieldError):
        await kc.credentials.update(credential.id, CredentialPatch(name=text, secrets=secrets))
    assert await house.store.revision() == before


async def test_a_rotated_key_is_used_by_the_very_next_call(house: House, kc: Keycairn) -> None:
    credential = await make(kc)
    await kc.credentials.update(credential.id, CredentialPatch(secrets={"api_key": NEW_KEY}))

    assert await key_at_provider(house, kc, credential) == NEW_KEY.reveal()


async def test_an_update_keeps_what_it_does_not_name_and_clears_what_it_sets_to_none(kc: Keycairn) -> None:
    credential = await make(kc, num_ctx=4096)

    renamed = await kc.credentials.update(credential.id, CredentialPatch(name="Home"))
    assert renamed.credential.settings == {"num_ctx": 4096}

    cleared = await kc.credentials.update(credential.id, CredentialPatch(settings={"num_ctx": None}))
    assert cleared.credential.settings == {}
    assert cleared.credential.name == "Home"
    assert cleared.credential.version == 3


async def test_an_update_that_changes_nothing_writes_nothing(house: House, kc: Keycairn) -> None:
    credential = await make(kc)
    before = await house.store.revision()

    same = await kc.credentials.update(credential.id, CredentialPatch(name="Work"))

    assert same.credential.version == 1
    assert await house.store.revision() == before


async def test_a_required_secret_cannot_be_cleared(kc: Keycairn) -> None:
    credential = await make(kc)

    with pytest.raises(MissingFieldError):
        await kc.credentials.update(credential.id, CredentialPatch(secrets={"api_key": None}))


async def test_a_stale_if_match_changes_nothing(kc: Keycairn) -> None:
    credential = await make(kc)
    await kc.credentials.update(credential.id, CredentialPatch(name="Home"), if_match=1)

    with pytest.raises(PreconditionFailedError):
        await kc.credentials.update(credential.id, CredentialPatch(name="Away"), if_match=1)
    with pytest.raises(PreconditionFailedError):
        await kc.credentials.delete(credential.id, if_match=1)

    assert (await kc.credentials.get(credential.id)).credential.name == "Home"


async def test_concurrent_updates_of_different_fields_are_all_kept(kc: Keycairn) -> None:
    credential = await make(kc)

    await asyncio.gather(
        kc.credentials.update(credential.id, CredentialPatch(name="Home")),
        kc.credentials.update(credential.id, CredentialPatch(settings={"num_ctx": 1})),
        kc.credentials.update(credential.id, CredentialPatch(modalities=(LANGUAGE,))),
    )

    after = (await kc.credentials.get(credential.id)).credential
    assert (after.name, after.settings, after.modalities, after.version) == ("Home", {"num_ctx": 1}, (LANGUAGE,), 4)


async def test_a_new_host_asks_for_the_key_again(house: House, kc: Keycairn) -> None:
    credential = await make(kc, base_url="https://one.example/v1")

    with pytest.raises(SecretReentryRequiredError) as refused:
        await kc.credentials.update(credential.id, CredentialPatch(settings={"base_url": "https://two.example/v1"}))
    assert refused.value.fields == {"api_key": "send this secret again"}
    with pytest.raises(SecretReentryRequiredError):
        await kc.credentials.update(credential.id, CredentialPatch(settings={"base_url": None}))

    moved = CredentialPatch(settings={"base_url": "https://two.example/v1"}, secrets={"api_key": NEW_KEY})
    await kc.credentials.update(credential.id, moved)
    assert await key_at_provider(house, kc, credential) == NEW_KEY.reveal()


async def test_another_path_on_the_same_host_keeps_the_key(house: House, kc: Keycairn) -> None:
    credential = await make(kc, base_url="https://one.example/v1")

    await kc.credentials.update(credential.id, CredentialPatch(settings={"base_url": "https://one.example/v2"}))

    assert await key_at_provider(house, kc, credential) == KEY.reveal()


async def test_listing_counts_models_and_orders_by_provider_and_age(kc: Keycairn) -> None:
    second = await make(kc, "openai", "b")
    first = await make(kc, "anthropic", "c")
    third = await make(kc, "openai", "a")
    await kc.probing.register(third.id, [NewModel("gpt-4o", LANGUAGE), NewModel("ada", EMBEDDING)])

    listed = await kc.credentials.list()
    assert [(item.credential.id, item.model_count) for item in listed] == [(first.id, 0), (second.id, 0), (third.id, 2)]
    assert [item.credential.id for item in await kc.credentials.list(provider="OpenAI")] == [second.id, third.id]


class TestAKeyThatDoesNotOpen:
    async def test_is_never_sent_but_reported_and_marked(self, house: House, kc: Keycairn) -> None:
        credential = await corrupt(house, await make(kc))

        report = await kc.probing.test(credential.id)

        assert not report.success
        assert "cannot be opened" in report.message
        assert house.openai.keys == []
        listed = await kc.credentials.list()
        assert listed[0].decryption_error
        assert listed[0].credential.has_api_key

    async def test_is_seen_in_the_list_by_its_form_before_anyone_uses_it(self, house: House, kc: Keycairn) -> None:
        credential = await make(kc)
        damaged = replace(credential, sealed={"api_key": SealedSecret("kc1:AAAA")}, version=2)
        await house.store.commit((ReplaceCredential(damaged, expected=1),))

        for listed in [*await kc.credentials.list(provider="openai"), await kc.credentials.get(credential.id)]:
            assert (listed.decryption_error or "").startswith("api_key: it is damaged")

    async def test_is_repaired_by_sending_it_again(self, house: House, kc: Keycairn) -> None:
        credential = await corrupt(house, await make(kc))
        await kc.credential_opener.sweep("default")
        assert (await kc.credentials.get(credential.id)).decryption_error

        repaired = await kc.credentials.update(credential.id, CredentialPatch(secrets={"api_key": NEW_KEY}))

        assert repaired.decryption_error is None
        assert (await kc.credentials.get(credential.id)).decryption_error is None
        assert await key_at_provider(house, kc, credential) == NEW_KEY.reveal()

    async def test_does_not_stand_in_the_way_of_a_rename_or_a_deletion(self, house: House, kc: Keycairn) -> None:
        credential = await corrupt(house, await make(kc))
        await kc.credential_opener.sweep("default")

        renamed = await kc.credentials.update(credential.id, CredentialPatch(name="broken"))
        assert renamed.decryption_error
        await kc.credentials.delete(credential.id)
        assert await kc.credentials.list() == []

    async def test_is_forgiven_when_the_sweep_finds_it_readable_again(self, house: House, kc: Keycairn) -> None:
        credential = await make(kc)
        cipher = kc.vault.cipher
        cipher.kids = frozenset({7})  # type: ignore[attr-defined]  # the fake forgets its key
        assert await kc.credential_opener.sweep("default") == 1
        cipher.kids = frozenset({1})  # type: ignore[attr-defined]
        assert await kc.credential_opener.sweep("default") == 0
        assert (await kc.credentials.get(credential.id)).decryption_error is None

    async def test_cannot_be_opened_by_renaming_the_record_it_was_copied_from(self, house: House, kc: Keycairn) -> None:
        broken = await corrupt(house, await make(kc))

        with pytest.raises(UndecryptableError):
            await kc.credential_opener.open(broken)


class TestDeleting:
    async def test_takes_the_models_along_and_clears_their_defaults(self, kc: Keycairn) -> None:
        credential = await make(kc)
        registered = await kc.probing.register(credential.id, [NewModel("gpt", LANGUAGE), NewModel("ada", EMBEDDING)])
        await kc.models.set_defaults({Slot.CHAT: registered.created[0].id})

        plan = await kc.credentials.delete(credential.id)

        assert {model.name for model in plan.deleted} == {"gpt", "ada"}
        assert plan.cleared == (Slot.CHAT,)
        assert await kc.models.list() == []
        assert (await kc.models.defaults()).slots == {}
        with pytest.raises(CredentialNotFoundError):
            await kc.credentials.get(credential.id)

    async def test_hands_the_models_over_and_keeps_what_both_have_once(self, kc: Keycairn) -> None:
        old, new = await make(kc, name="old"), await make(kc, name="new")
        both, only = (await kc.probing.register(old.id, [NewModel("a", LANGUAGE), NewModel("b", LANGUAGE)])).created
        kept = (await kc.probing.register(new.id, [NewModel("a", LANGUAGE)])).created[0]
        await kc.models.set_defaults({Slot.CHAT: both.id, Slot.TOOLS: only.id})

        plan = await kc.credentials.delete(old.id, migrate_to=new.id)

        assert ([m.id for m in plan.moved], [m.id for m in plan.merged]) == ([only.id], [both.id])
        assert {model.id for model in await kc.credentials.linked_models(new.id)} == {kept.id, only.id}
        assert (await kc.models.defaults()).slots == {Slot.CHAT: kept.id, Slot.TOOLS: only.id}

    async def test_refuses_itself_another_provider_and_nobody_as_target(self, kc: Keycairn) -> None:
        credential, other = await make(kc), await make(kc, "anthropic")

        for target in (credential.id, other.id, NOBODY):
            with pytest.raises(InvalidMigrationTargetError):
                await kc.credentials.delete(credential.id, migrate_to=target)

        assert len(await kc.credentials.list()) == 2

    async def test_shows_its_impact_without_doing_it(self, house: House, kc: Keycairn) -> None:
        credential = await make(kc)
        await kc.probing.register(credential.id, [NewModel("gpt", LANGUAGE)])
        before = await house.store.revision()

        plan = await kc.credentials.delete(credential.id, dry_run=True)

        assert [model.name for model in plan.deleted] == ["gpt"]
        assert await house.store.revision() == before

    async def test_races_with_registering_without_leaving_an_orphan(self, kc: Keycairn) -> None:
        credential = await make(kc)

        async def register(number: int) -> None:
            await kc.probing.register(credential.id, [NewModel(f"m{number}", LANGUAGE)])

        results = await asyncio.gather(
            *(register(n) for n in range(5)),
            kc.credentials.delete(credential.id),
            *(register(n) for n in range(5, 10)),
            return_exceptions=True,
        )

        assert all(
            result is None or isinstance(result, KeycairnError) for result in results if result is not results[5]
        )
        assert await kc.models.list() == []


async def test_a_sealed_vault_stores_no_key(house: House) -> None:
    kc = await house.open(root_key=None)

    with pytest.raises(SealedError, match="KEYCAIRN_ROOT_KEY"):
        await make(kc)
    assert await kc.credentials.list() == []


async def test_a_deletion_planned_before_models_moved_in_is_planned_anew() -> None:
    house = House()
    kc = await house.open()
    source, target = [
        (await kc.credentials.create("openai", name=name, secrets={"api_key": Secret("sk-0123456789abcd")})).credential
        for name in ("source", "target")
    ]
    (model,) = (await kc.probing.register(source.id, [NewModel("gpt-4o", LANGUAGE)])).created
    await kc.models.set_defaults({Slot.CHAT: model.id})
    planned = await kc.credentials.delete(target.id, dry_run=True)

    await kc.credentials.delete(source.id, migrate_to=target.id)
    with pytest.raises(StaleVersionError):
        await house.store.commit(planned.changes)
    await kc.credentials.delete(target.id)
    assert (await kc.models.defaults()).slots == {}
