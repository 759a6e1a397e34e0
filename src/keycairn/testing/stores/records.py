"""What every store promises of single records and changes. Each test runs on each of them."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.samples import THEN, WORKSPACE, a_check, a_credential, a_keyset, a_model, a_token, an_event
from tests.stores import accounts, get, put

from keycairn.domain.change import (
    AddCredential,
    AddModel,
    Append,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    ExpectNoCredential,
    MarkBroken,
    PutDefaults,
    PutFingerprints,
    PutKeyset,
    PutToken,
    RecordCheck,
    RelinkModels,
    ReplaceCredential,
    ReplaceModel,
    Reseal,
)
from keycairn.domain.errors import (
    DuplicateError,
    InvalidInputError,
    StaleVersionError,
)
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.keyset import KeyState
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Slot
from keycairn.domain.sealed import SealedSecret
from keycairn.ports.store import Store

HOSTILE = [
    "x'; DELETE credential; --",
    'a"b`c⟩d⟨e',
    "$workspace",
    "credential:other",
    "日本語 ünï \U0001f511",
    "tab\tnewline\n\x7f\u202eend",
    "",
    "{id} {{ THROW 'x' }}",
    "can be retried",
    "An error occurred: keycairn:stale",
]


async def test_credential_comes_back_exactly(store: Store) -> None:
    odd = {text: text for text in HOSTILE}
    credential = a_credential(
        name=HOSTILE[0],
        settings={**odd, "port": 2**63 - 1, "negative": -(2**63)},
        sealed={text: SealedSecret(f"kc1:{text}") for text in HOSTILE},
        fingerprints={text: f"{number:064x}" for number, text in enumerate(HOSTILE)},
        extra={**odd, "nested": {"null": None, "list": [None, 1, 1.0, True, {"": []}], "huge": 2**70, "float": 0.1}},
        broken=odd,
        limits=Limits(concurrent=1, requests_per_minute=2, tokens_per_day=2**40),
        last_check=a_check(message=HOSTILE[4]),
        updated=THEN + timedelta(microseconds=1),
        version=7,
    )
    bare = a_credential(modalities=(), settings={}, sealed={})
    await put(store, credential, bare)
    assert await get(store, credential) == credential
    assert await get(store, bare) == bare
    assert sorted(await store.credentials(WORKSPACE), key=lambda c: c.id) == [credential, bare]


async def test_other_records_come_back_exactly(store: Store) -> None:
    [account] = await accounts(store, "c-_9")
    model = a_model(name=HOSTILE[1], missing_since=THEN, version=3, credential=account)
    unlinked = a_model(priority=2**20, weight=0, provider_model=HOSTILE[1], context_length=2**40)
    token = a_token(name=HOSTILE[2], expires=THEN, revoked=THEN)
    event = an_event(details={"count": 3, "names": HOSTILE, "": "x"}, target=HOSTILE[0], source="::1", request_id="r")
    defaults = Defaults(slots={Slot.CHAT: model.id, Slot.TOOLS: unlinked.id}, version=1)
    keyset = a_keyset(keys={1: KeyState.DECRYPT_ONLY, 2: KeyState.PRIMARY})
    await store.commit(
        (
            AddModel(model),
            AddModel(unlinked),
            PutToken(token),
            Append(event),
            PutDefaults(defaults, 0),
            PutKeyset(keyset, 0),
        )
    )
    assert await store.model(WORKSPACE, model.id) == model
    assert await store.model(WORKSPACE, unlinked.id) == unlinked
    assert await store.token(token.id) == token
    assert list(await store.events(WORKSPACE)) == [event]
    assert await store.defaults(WORKSPACE) == defaults
    assert await store.keyset() == keyset


async def test_hostile_text_is_data(store: Store) -> None:
    other = a_credential()
    await put(store, other)
    for text in HOSTILE:
        credential = a_credential(provider="p-" + text, name=text, workspace=text)
        model = a_model(provider="p-" + text, name=text, workspace=text, credential=credential.id)
        await put(store, credential, model)
        assert list(await store.credentials(text)) == [credential]
        assert await store.credential(text, CredentialId(f"credential:{text}")) is None
        assert await store.credential(text, CredentialId(text)) is None
        assert list(await store.models(text, provider="p-" + text, name=text)) == [model]
        assert await store.providers_in_use(text) == {"p-" + text}
        assert dict(await store.model_counts(text)) == {credential.id: 1}
        with pytest.raises(DuplicateError):
            await put(store, replace(model, id=ModelId("model:again")))
        with pytest.raises(StaleVersionError):
            await store.commit((DeleteModel(text, ModelId(text)),))
        assert list(await store.credentials(WORKSPACE)) == [other]


async def test_nul_is_refused_in_what_is_looked_up_and_finds_nothing(store: Store) -> None:
    for change in (
        AddCredential(a_credential(provider="a\0b")),
        AddCredential(a_credential(workspace="a\0b")),
        AddCredential(a_credential(name="a\0b")),
        AddModel(a_model(name="a\0b")),
        PutToken(a_token(name="a\0b")),
        Append(an_event(target="a\0b")),
        ExpectNoCredential(WORKSPACE, "a\0b"),
    ):
        with pytest.raises(InvalidInputError):
            await store.commit((change,))
    credential = a_credential(settings={"a\0b": "a\0b"}, extra={"a\0b": "\0"})
    await put(store, credential)
    assert await get(store, credential) == credential
    await store.commit((MarkBroken(WORKSPACE, credential.id, {"api_key": "\0"}, 1),))
    assert (await get(store, credential)).broken == {"api_key": "\0"}
    assert list(await store.credentials("a\0b")) == []
    assert list(await store.credentials(WORKSPACE, provider="a\0b")) == []
    assert list(await store.models(WORKSPACE, name="a\0b")) == []
    assert list(await store.unlinked_models(WORKSPACE, "a\0b")) == []
    assert await store.credential(WORKSPACE, CredentialId("credential:a\0b")) is None


async def test_replacing_a_credential_needs_its_version(store: Store) -> None:
    old = a_credential(extra={"a": 1}, last_check=a_check())
    await put(store, old)
    new = replace(old, name="new", provider="groq", extra={}, last_check=None, version=2)
    for expected, credential in ((2, new), (1, replace(new, id=CredentialId("credential:gone")))):
        with pytest.raises(StaleVersionError):
            await store.commit((ReplaceCredential(credential, expected),))
    assert await get(store, old) == old
    await store.commit((ReplaceCredential(new, 1),))
    assert list(await store.credentials(WORKSPACE, provider="groq")) == [new]
    assert list(await store.credentials(WORKSPACE, provider="openai")) == []


async def test_deleting_a_credential_needs_its_version(store: Store) -> None:
    credential = a_credential(version=4)
    await put(store, credential)
    with pytest.raises(StaleVersionError):
        await store.commit((DeleteCredential(WORKSPACE, credential.id, 3),))
    await store.commit((DeleteCredential(WORKSPACE, credential.id, 4),))
    assert await store.credential(WORKSPACE, credential.id) is None
    with pytest.raises(StaleVersionError):
        await store.commit((DeleteCredential(WORKSPACE, credential.id, 4),))


async def test_an_id_is_taken_once(store: Store) -> None:
    credential, model, event = a_credential(), a_model(), an_event()
    await store.commit((AddCredential(credential), AddModel(model), Append(event)))
    for change in (
        AddCredential(replace(credential, name="other", workspace="other")),
        AddModel(replace(model, name="other", workspace="other")),
        Append(replace(event, actor="other", workspace="other")),
    ):
        with pytest.raises(DuplicateError):
            await store.commit((change,))


async def test_recording_a_check_is_no_edit(store: Store) -> None:
    credential = a_credential(version=3)
    await put(store, credential)
    check = a_check(message=HOSTILE[0])
    gone = CredentialId("credential:gone")
    await store.commit((RecordCheck(WORKSPACE, credential.id, check), RecordCheck(WORKSPACE, gone, check)))
    assert await get(store, credential) == replace(credential, last_check=check)
    assert await store.credential(WORKSPACE, gone) is None


async def test_marking_broken_holds_for_one_version(store: Store) -> None:
    credential = a_credential(version=3)
    await put(store, credential)
    gone = CredentialId("credential:gone")
    await store.commit(
        (MarkBroken(WORKSPACE, credential.id, {"a": "b"}, 2), MarkBroken(WORKSPACE, gone, {"a": "b"}, 1))
    )
    assert await get(store, credential) == credential
    await store.commit((MarkBroken(WORKSPACE, credential.id, {"api_key": "damaged"}, 3),))
    assert await get(store, credential) == replace(credential, broken={"api_key": "damaged"})
    await store.commit((MarkBroken(WORKSPACE, credential.id, {}, 3),))
    assert await get(store, credential) == credential


@pytest.mark.parametrize("link", [None, CredentialId("credential:one")])
async def test_models_are_unique_within_their_credential(store: Store, link: CredentialId | None) -> None:
    _, two = await accounts(store, "one", "two")
    model = a_model(credential=link)
    await put(store, model)
    for different in (
        {"name": "other"},
        {"type": Modality.EMBEDDING},
        {"provider": "groq"},
        {"workspace": "other", "credential": None},
        {"credential": two},
        {"provider_model": "own"},
        {"provider_model": "own-too"},
    ):
        await put(store, replace(model, id=a_model().id, **different))
    for same in ({"version": 9}, {"provider_model": model.name}):
        with pytest.raises(DuplicateError):
            await put(store, replace(model, id=a_model().id, **same))
    other = a_model(credential=link)
    await put(store, other)
    with pytest.raises(DuplicateError):
        await store.commit((ReplaceModel(replace(other, name=model.name, version=2), 1),))
    assert await store.model(WORKSPACE, other.id) == other


async def test_replacing_a_model_needs_its_version(store: Store) -> None:
    [account] = await accounts(store, "one")
    model = a_model(missing_since=THEN, credential=account)
    await put(store, model)
    new = replace(model, missing_since=None, credential=None, version=2)
    with pytest.raises(StaleVersionError):
        await store.commit((ReplaceModel(new, 2),))
    await store.commit((ReplaceModel(new, 1),))
    assert await store.model(WORKSPACE, model.id) == new
    assert dict(await store.model_counts(WORKSPACE)) == {}
    await put(store, replace(model, id=a_model().id))


async def test_deleting_a_model_that_is_gone_is_stale(store: Store) -> None:
    model = a_model()
    await put(store, model)
    await store.commit((DeleteModel(WORKSPACE, model.id),))
    assert await store.model(WORKSPACE, model.id) is None
    with pytest.raises(StaleVersionError):
        await store.commit((DeleteModel(WORKSPACE, model.id),))
    await put(store, model)


async def test_relinking_moves_every_model(store: Store) -> None:
    source, target, other = a_credential(), a_credential(), a_credential()
    models = [a_model(credential=source.id) for _ in range(3)]
    kept = a_model(credential=other.id)
    await put(store, source, target, other, *models, kept)
    await store.commit((RelinkModels(WORKSPACE, source.id, target.id),))
    moved = await store.models(WORKSPACE, credential=target.id)
    assert [replace(model, credential=source.id, version=1) for model in moved] == models
    assert dict(await store.model_counts(WORKSPACE)) == {target.id: 3, other.id: 1}
    await store.commit((RelinkModels(WORKSPACE, source.id, target.id),))
    await put(store, replace(models[0], id=a_model().id))
    with pytest.raises(DuplicateError):
        await store.commit((RelinkModels(WORKSPACE, source.id, target.id),))
    assert dict(await store.model_counts(WORKSPACE)) == {target.id: 3, other.id: 1, source.id: 1}


async def test_relinking_makes_an_older_edit_of_the_model_stale(store: Store) -> None:
    one, two = await accounts(store, "one", "two")
    model = a_model(credential=one)
    await put(store, model)
    await store.commit((RelinkModels(WORKSPACE, one, two),))
    with pytest.raises(StaleVersionError):
        await store.commit((ReplaceModel(replace(model, version=2), 1),))


async def test_deleting_the_models_of_a_credential(store: Store) -> None:
    one, two = await accounts(store, "one", "two")
    kept = a_model(credential=two), a_model()
    await put(store, a_model(credential=one), a_model(credential=one), *kept)
    for _ in range(2):
        await store.commit((DeleteModelsOf(WORKSPACE, one),))
        assert list(await store.models(WORKSPACE)) == list(kept)
        assert dict(await store.model_counts(WORKSPACE)) == {two: 1}


async def test_defaults_follow_their_version(store: Store) -> None:
    await put(store, model := a_model())
    first = Defaults(slots={Slot.CHAT: model.id}, version=1)
    with pytest.raises(StaleVersionError):
        await store.commit((PutDefaults(first, 1),))
    await store.commit((PutDefaults(first, 0),))
    with pytest.raises(StaleVersionError):
        await store.commit((PutDefaults(first, 0),))
    await store.commit((PutDefaults(replace(first, slots={}, version=2), 1),))
    assert await store.defaults(WORKSPACE) == Defaults(version=2)


async def test_keyset_follows_its_generation(store: Store) -> None:
    with pytest.raises(StaleVersionError):
        await store.commit((PutKeyset(a_keyset(), 1),))
    await store.commit((PutKeyset(a_keyset(), 0),))
    with pytest.raises(StaleVersionError):
        await store.commit((PutKeyset(a_keyset(install_id="other"), 0),))
    await store.commit((PutKeyset(a_keyset(generation=2), 1),))
    assert await store.keyset() == a_keyset(generation=2)


async def test_tokens_are_overwritten_and_ordered(store: Store) -> None:
    first, second = a_token(), a_token()
    await store.commit((PutToken(second), PutToken(first)))
    assert list(await store.tokens(WORKSPACE)) == [first, second]
    await store.commit((PutToken(replace(first, revoked=THEN)),))
    assert await store.token(first.id) == replace(first, revoked=THEN)


async def test_resealing_is_no_edit_and_passes_over_what_was_edited_meanwhile(store: Store) -> None:
    credential, theirs = a_credential(), a_credential(workspace="theirs")
    await put(store, credential, theirs)
    new = {"api_key": SealedSecret("kc1:" + "B" * 200)}
    gone = CredentialId("credential:gone")
    await store.commit(
        (
            Reseal(WORKSPACE, credential.id, new, 1),
            Reseal(WORKSPACE, theirs.id, new, 1),
            Reseal("theirs", theirs.id, new, 2),
            Reseal(WORKSPACE, gone, new, 1),
        )
    )
    assert await get(store, credential) == replace(credential, sealed=new)
    assert await get(store, theirs) == theirs


async def test_a_tokens_limits_are_kept(store: Store) -> None:
    token = a_token(limits=Limits(concurrent=3, tokens_per_day=2**40))

    await store.commit((PutToken(token),))

    assert await store.token(token.id) == token


async def test_fingerprinting_is_no_edit_and_passes_over_what_was_edited_meanwhile(store: Store) -> None:
    one, two = a_credential(), a_credential(version=2)
    await put(store, one, two)
    await store.commit(
        tuple(PutFingerprints(WORKSPACE, credential.id, {"api_key": "aa"}, expected=1) for credential in (one, two))
    )
    assert await get(store, one) == replace(one, fingerprints={"api_key": "aa"})
    assert await get(store, two) == two
    assert await store.with_same_secret(WORKSPACE, {"aa"}) == [await get(store, one)]
    await store.commit((PutFingerprints(WORKSPACE, one.id, {}, expected=1),))
    assert await get(store, one) == one
    assert await store.with_same_secret(WORKSPACE, {"aa"}) == []
