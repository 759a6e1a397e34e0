"""What every store promises. Each test runs on each of them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from msgspec.structs import replace
from tests.samples import THEN, WORKSPACE, a_check, a_credential, a_keyset, a_model, a_token, an_event

from keycairn.domain.change import (
    AddUsage,
    Append,
    Change,
    CreateCredential,
    CreateModel,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    ExpectCredential,
    ExpectModel,
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
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    ConflictError,
    DuplicateError,
    InvalidInputError,
    StaleVersionError,
    StoreUnavailableError,
)
from keycairn.domain.ids import CredentialId, EventId, ModelId, TokenId
from keycairn.domain.keyset import KeyState
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model, Slot
from keycairn.domain.sealed import SealedSecret
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import Position, Store

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


async def put(store: Store, *records: Credential | Model) -> None:
    await store.commit(tuple(CreateCredential(r) if isinstance(r, Credential) else CreateModel(r) for r in records))


async def get(store: Store, credential: Credential) -> Credential:
    found = await store.credential(credential.workspace, credential.id)
    assert found is not None
    return found


async def test_empty_store_answers_nothing(store: Store) -> None:
    assert await store.credential(WORKSPACE, CredentialId("credential:none")) is None
    assert await store.model(WORKSPACE, ModelId("model:none")) is None
    assert await store.token(TokenId("token:none")) is None
    assert list(await store.credentials(WORKSPACE)) == []
    assert list(await store.models(WORKSPACE)) == []
    assert dict(await store.model_counts(WORKSPACE)) == {}
    assert list(await store.unlinked_models(WORKSPACE, "openai")) == []
    assert await store.providers_in_use(WORKSPACE) == frozenset()
    assert await store.defaults(WORKSPACE) == Defaults(workspace=WORKSPACE)
    assert await store.keyset() is None
    assert not await store.any_sealed()
    assert list(await store.tokens(WORKSPACE)) == []
    assert list(await store.events(WORKSPACE)) == []
    await store.commit(())
    await store.ping()


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
    model = a_model(name=HOSTILE[1], missing_since=THEN, version=3, credential=CredentialId("credential:c-_9"))
    unlinked = a_model(priority=2**20, weight=0)
    token = a_token(name=HOSTILE[2], expires=THEN, revoked=THEN)
    event = an_event(details={"count": 3, "names": HOSTILE, "": "x"}, target=HOSTILE[0], source="::1", request_id="r")
    defaults = Defaults(slots={Slot.CHAT: model.id, Slot.TOOLS: unlinked.id}, version=1)
    keyset = a_keyset(keys={1: KeyState.DECRYPT_ONLY, 2: KeyState.PRIMARY})
    await store.commit(
        (
            CreateModel(model),
            CreateModel(unlinked),
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
        CreateCredential(a_credential(provider="a\0b")),
        CreateCredential(a_credential(workspace="a\0b")),
        CreateCredential(a_credential(name="a\0b")),
        CreateModel(a_model(name="a\0b")),
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


async def test_id_of_another_table_finds_nothing(store: Store) -> None:
    model = a_model(id=ModelId("model:same"))
    await put(store, model)
    assert await store.model(WORKSPACE, ModelId("credential:same")) is None


async def test_workspaces_are_apart(store: Store) -> None:
    mine, theirs = a_credential(), a_credential(workspace="theirs")
    models = a_model(credential=mine.id), a_model(credential=theirs.id, workspace="theirs")
    await put(store, mine, theirs, *models)
    await store.commit((PutToken(a_token()), Append(an_event()), PutDefaults(Defaults(version=1), 0)))
    assert await store.credential(WORKSPACE, theirs.id) is None
    assert await store.model(WORKSPACE, models[1].id) is None
    assert list(await store.credentials("theirs")) == [theirs]
    assert list(await store.models("theirs")) == [models[1]]
    assert dict(await store.model_counts("theirs")) == {theirs.id: 1}
    assert list(await store.tokens("theirs")) == []
    assert list(await store.events("theirs")) == []
    assert (await store.defaults("theirs")).version == 0
    for change in (
        ReplaceCredential(replace(theirs, workspace=WORKSPACE), 1),
        DeleteCredential(WORKSPACE, theirs.id, 1),
        ReplaceModel(replace(models[1], workspace=WORKSPACE), 1),
        DeleteModel(WORKSPACE, models[1].id),
        ExpectCredential(WORKSPACE, theirs.id),
        ExpectModel(WORKSPACE, models[1].id),
    ):
        with pytest.raises(StaleVersionError):
            await store.commit((change,))
    await store.commit(
        (
            RecordCheck(WORKSPACE, theirs.id, a_check()),
            MarkBroken(WORKSPACE, theirs.id, {"api_key": "no"}, 1),
            RelinkModels(WORKSPACE, theirs.id, mine.id),
            DeleteModelsOf(WORKSPACE, theirs.id),
            ExpectNoCredential("empty", "openai"),
        )
    )
    assert list(await store.credentials("theirs")) == [theirs]
    assert list(await store.models("theirs")) == [models[1]]


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
    await store.commit((CreateCredential(credential), CreateModel(model), Append(event)))
    for change in (
        CreateCredential(replace(credential, name="other", workspace="other")),
        CreateModel(replace(model, name="other", workspace="other")),
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
    model = a_model(credential=link)
    await put(store, model)
    for different in (
        {"name": "other"},
        {"type": Modality.EMBEDDING},
        {"provider": "groq"},
        {"workspace": "other"},
        {"credential": CredentialId("credential:two")},
    ):
        await put(store, replace(model, id=a_model().id, **different))
    with pytest.raises(DuplicateError):
        await put(store, replace(model, id=a_model().id, version=9))
    other = a_model(credential=link)
    await put(store, other)
    with pytest.raises(DuplicateError):
        await store.commit((ReplaceModel(replace(other, name=model.name, version=2), 1),))
    assert await store.model(WORKSPACE, other.id) == other


async def test_replacing_a_model_needs_its_version(store: Store) -> None:
    model = a_model(missing_since=THEN, credential=CredentialId("credential:one"))
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
    await put(store, *models, kept)
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
    model = a_model(credential=CredentialId("credential:one"))
    await put(store, model)
    await store.commit((RelinkModels(WORKSPACE, CredentialId("credential:one"), CredentialId("credential:two")),))
    with pytest.raises(StaleVersionError):
        await store.commit((ReplaceModel(replace(model, version=2), 1),))


async def test_deleting_the_models_of_a_credential(store: Store) -> None:
    one, two = CredentialId("credential:one"), CredentialId("credential:two")
    kept = a_model(credential=two), a_model()
    await put(store, a_model(credential=one), a_model(credential=one), *kept)
    for _ in range(2):
        await store.commit((DeleteModelsOf(WORKSPACE, one),))
        assert list(await store.models(WORKSPACE)) == list(kept)
        assert dict(await store.model_counts(WORKSPACE)) == {two: 1}


async def test_defaults_follow_their_version(store: Store) -> None:
    first = Defaults(slots={Slot.CHAT: ModelId("model:a")}, version=1)
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


async def test_expectations_write_nothing(store: Store) -> None:
    credential, model = a_credential(version=2), a_model()
    await put(store, credential, model)
    await store.commit(
        (
            ExpectCredential(WORKSPACE, credential.id),
            ExpectCredential(WORKSPACE, credential.id, 2),
            ExpectModel(WORKSPACE, model.id),
            ExpectNoCredential(WORKSPACE, "groq"),
        )
    )
    for broken in (
        ExpectCredential(WORKSPACE, credential.id, 1),
        ExpectCredential(WORKSPACE, CredentialId("credential:gone")),
        ExpectModel(WORKSPACE, ModelId("model:gone")),
        ExpectNoCredential(WORKSPACE, "openai"),
    ):
        with pytest.raises(StaleVersionError):
            await store.commit((broken,))
    assert await get(store, credential) == credential


async def test_a_later_change_sees_the_earlier_ones(store: Store) -> None:
    source, target = a_credential(), a_credential(provider="groq")
    await store.commit(
        (
            CreateCredential(source),
            CreateCredential(target),
            ExpectCredential(WORKSPACE, source.id, 1),
            CreateModel(model := a_model(credential=source.id)),
            ExpectModel(WORKSPACE, model.id),
            DeleteCredential(WORKSPACE, source.id, 1),
            ReplaceCredential(replace(target, version=2), 1),
        )
    )
    assert list(await store.credentials(WORKSPACE)) == [replace(target, version=2)]
    with pytest.raises(DuplicateError):
        await store.commit((CreateModel(a := a_model()), CreateModel(replace(a, id=a_model().id))))


async def test_a_scan_sees_what_was_before_the_changeset(store: Store) -> None:
    source, target = a_credential(), a_credential(provider="groq")
    await put(store, source, target)
    await store.commit(
        (
            CreateModel(fresh := a_model(credential=source.id)),
            CreateModel(other := a_model(credential=target.id)),
            DeleteModelsOf(WORKSPACE, target.id),
            RelinkModels(WORKSPACE, source.id, target.id),
        )
    )
    assert {m.id: m.credential for m in await store.models(WORKSPACE)} == {fresh.id: source.id, other.id: target.id}
    await store.commit((ExpectNoCredential(WORKSPACE, "new"), CreateCredential(a_credential(provider="new"))))
    with pytest.raises(StaleVersionError):
        await store.commit((ExpectNoCredential(WORKSPACE, "new"), CreateCredential(a_credential(provider="new"))))


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


async def test_the_credentials_of_all_workspaces_are_walked_once_in_order(store: Store) -> None:
    credentials = [a_credential(workspace=f"w{number % 3}") for number in range(7)]
    await put(store, *credentials)
    walked: list[Credential] = []
    while page := await store.all_credentials(after=walked[-1].id if walked else None, limit=3):
        walked += page
    assert walked == sorted(credentials, key=lambda credential: credential.id)


@pytest.mark.parametrize("count", [5, 700])
async def test_moving_models_misses_none_beside_one_deleted_in_the_same_changeset(store: Store, count: int) -> None:
    source, target = a_credential(), a_credential()
    models = [a_model(name=f"m{number}", credential=source.id) for number in range(count)]
    await put(store, source, target, *models)
    await store.commit(
        (
            DeleteModel(WORKSPACE, models[0].id),
            DeleteModel(WORKSPACE, models[2].id),
            RelinkModels(WORKSPACE, source.id, target.id),
        )
    )
    assert dict(await store.model_counts(WORKSPACE)) == {target.id: count - 2}
    await store.commit((DeleteModel(WORKSPACE, models[1].id), DeleteModelsOf(WORKSPACE, target.id)))
    assert list(await store.models(WORKSPACE)) == []


async def test_one_failing_change_undoes_all(store: Store) -> None:
    before, model = a_credential(), a_model(credential=CredentialId("credential:one"))
    await put(store, before, model)
    changes: list[Change] = [
        CreateCredential(a_credential()),
        ReplaceCredential(replace(before, name="after", version=2), 1),
        CreateModel(a_model()),
        RelinkModels(WORKSPACE, CredentialId("credential:one"), before.id),
        PutDefaults(Defaults(version=1), 0),
        PutKeyset(a_keyset(), 0),
        PutToken(a_token()),
        Append(an_event()),
    ]
    stale, duplicate = ExpectModel(WORKSPACE, ModelId("model:gone")), CreateModel(replace(model, name="other"))
    for position in range(len(changes) + 1):
        for failing, error in ((stale, StaleVersionError), (duplicate, DuplicateError)):
            with pytest.raises(error):
                await store.commit((*changes[:position], failing, *changes[position:]))
        assert list(await store.credentials(WORKSPACE)) == [before]
        assert list(await store.models(WORKSPACE)) == [model]
        assert dict(await store.model_counts(WORKSPACE)) == {CredentialId("credential:one"): 1}
        assert (await store.defaults(WORKSPACE)).version == 0
        assert await store.keyset() is None
        assert list(await store.tokens(WORKSPACE)) == []
        assert list(await store.events(WORKSPACE)) == []


async def test_any_sealed_looks_into_every_workspace(store: Store) -> None:
    await put(store, a_credential(sealed={}))
    assert not await store.any_sealed()
    await put(store, a_credential(workspace="other"))
    assert await store.any_sealed()


async def test_model_filters_all_hold(store: Store) -> None:
    one = CredentialId("credential:one")
    wanted = a_model(credential=one, name="m", type=Modality.EMBEDDING, provider="groq")
    for different in ({"name": "x"}, {"type": Modality.LANGUAGE}, {"provider": "x"}, {"credential": None}):
        await put(store, replace(wanted, id=a_model().id, **different))
    await put(store, wanted)
    filters = {"name": "m", "type": Modality.EMBEDDING, "provider": "groq", "credential": one}
    assert list(await store.models(WORKSPACE, **filters)) == [wanted]
    assert list(await store.models(WORKSPACE, **filters, after=wanted.id)) == []
    for name in filters:
        rest = {key: value for key, value in filters.items() if key != name}
        assert len(await store.models(WORKSPACE, **rest)) == 2
    assert [m.credential for m in await store.unlinked_models(WORKSPACE, "groq")] == [None]


async def credential_pages(store: Store, limit: int, provider: str | None) -> AsyncIterator[Credential]:
    after = None
    while page := await store.credentials(WORKSPACE, provider=provider, after=after, limit=limit):
        assert len(page) <= limit
        for credential in page:
            yield credential
        after = Position(page[-1].provider, page[-1].created, page[-1].id)


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_pages_of_credentials_give_each_once_in_order(store: Store, limit: int) -> None:
    credentials = [
        a_credential(provider=provider, created=THEN + timedelta(microseconds=moment))
        for provider in ("openai", "azure", "open", "open-ai", "openai_compatible", "openai-2")
        for moment in (10, 0, 0, 0)
    ]
    await put(store, *credentials)
    await put(store, a_credential(workspace="other"))
    credentials.sort(key=lambda c: (c.provider, c.created, c.id))
    assert [c async for c in credential_pages(store, limit, None)] == credentials
    for provider in ("open", "openai", "none"):
        expected = [c for c in credentials if c.provider == provider]
        assert [c async for c in credential_pages(store, limit, provider)] == expected


async def test_a_page_begins_after_a_record_that_is_gone(store: Store) -> None:
    first, second, third = a_credential(), a_credential(), a_credential()
    await put(store, first, third)
    after = Position(second.provider, second.created, second.id)
    assert list(await store.credentials(WORKSPACE, after=after)) == [third]
    assert list(await store.credentials(WORKSPACE, provider="zzz", after=after)) == []
    assert list(await store.credentials(WORKSPACE, provider="aaa", after=after)) == []


@pytest.mark.parametrize("filters", [{}, {"provider": "openai"}, {"credential": CredentialId("credential:one")}])
async def test_pages_of_models_give_each_once_in_order(store: Store, filters: dict[str, str]) -> None:
    models = [a_model(credential=CredentialId("credential:one")) for _ in range(10)]
    await put(store, *reversed(models))
    await put(store, a_model(workspace="other"))
    seen: list[Model] = []
    after = None
    while page := await store.models(WORKSPACE, **filters, after=after, limit=3):
        seen += page
        after = page[-1].id
    assert seen == models
    assert list(await store.models(WORKSPACE, **filters, limit=None)) == models


async def test_pages_of_events_give_each_once_in_order(store: Store) -> None:
    events = [an_event() for _ in range(7)]
    await store.commit(tuple(Append(event) for event in reversed(events)))
    await store.commit((Append(an_event(workspace="other")),))
    seen: list[EventId] = []
    after = None
    while page := await store.events(WORKSPACE, after=after, limit=3):
        seen += [event.id for event in page]
        after = page[-1].id
    assert seen == [event.id for event in events]


async def test_no_page_is_larger_than_the_most(store: Store) -> None:
    await store.commit(tuple(Append(an_event()) for _ in range(1001)))
    assert len(await store.events(WORKSPACE, limit=5000)) == 1000


async def test_every_commit_changes_the_revision(store: Store) -> None:
    seen = {await store.revision()}
    for _ in range(3):
        await store.commit((Append(an_event()),))
        seen.add(await store.revision())
    assert len(seen) == 4
    assert await store.revision() == await store.revision()


async def increment(store: Store, id: CredentialId) -> None:
    while True:
        old = await store.credential(WORKSPACE, id)
        assert old is not None
        new = replace(old, version=old.version + 1, settings={"count": int(old.settings["count"]) + 1})
        try:
            await store.commit((ReplaceCredential(new, old.version), Append(an_event())))
        except ConflictError:
            continue
        return


async def test_concurrent_writers_lose_no_update(store: Store) -> None:
    credential = a_credential(settings={"count": 0})
    await put(store, credential)
    await asyncio.gather(*(increment(store, credential.id) for _ in range(50)))
    found = await get(store, credential)
    assert (found.settings["count"], found.version) == (50, 51)
    assert len(await store.events(WORKSPACE)) == 50


async def test_of_two_writers_that_expect_nothing_one_wins(store: Store) -> None:
    for number in range(10):
        provider = f"p{number}"
        outcomes = await asyncio.gather(
            *(
                store.commit(
                    (ExpectNoCredential(WORKSPACE, provider), CreateCredential(a_credential(provider=provider)))
                )
                for _ in range(4)
            ),
            return_exceptions=True,
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] + ["StaleVersionError"] * 3
        assert len(await store.credentials(WORKSPACE, provider=provider)) == 1


async def test_readers_never_see_half_a_changeset(store: Store) -> None:
    one, two = CredentialId("credential:one"), CredentialId("credential:two")
    await put(store, *(a_model(credential=one) for _ in range(20)))
    done = asyncio.Event()

    async def read() -> int:
        reads = 0
        while not done.is_set():
            counts = dict(await store.model_counts(WORKSPACE))
            assert sorted(counts.values()) == [20], counts
            assert {model.credential for model in await store.models(WORKSPACE)} in ({one}, {two})
            reads += 1
            await asyncio.sleep(0)
        return reads

    readers = [asyncio.create_task(read()) for _ in range(4)]
    for _ in range(10):
        await store.commit((RelinkModels(WORKSPACE, one, two),))
        await store.commit((RelinkModels(WORKSPACE, two, one),))
    done.set()
    assert min(await asyncio.gather(*readers)) > 0


async def test_a_cancelled_commit_is_whole_or_nothing(store: Store) -> None:
    for turn in range(30):
        model, event = a_model(), an_event()
        task = asyncio.create_task(store.commit((CreateModel(model), Append(event))))
        await asyncio.sleep(turn % 10 / 5000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.commit((Append(an_event(workspace="later")),))
        written = await store.model(WORKSPACE, model.id)
        events = {found.id for found in await store.events(WORKSPACE)}
        assert (written is not None) == (event.id in events)


async def test_a_closed_store_says_so(store: Store) -> None:
    commits = [asyncio.create_task(store.commit((Append(an_event()),))) for _ in range(5)]
    await asyncio.sleep(0)
    await store.aclose()
    await store.aclose()
    for outcome in await asyncio.gather(*commits, return_exceptions=True):
        assert outcome is None or isinstance(outcome, StoreUnavailableError)
    with pytest.raises(StoreUnavailableError):
        await store.credentials(WORKSPACE)
    with pytest.raises(StoreUnavailableError):
        await store.commit((Append(an_event()),))
    with pytest.raises(StoreUnavailableError):
        await store.ping()
    with pytest.raises(StoreUnavailableError):
        await store.revision()


def a_key(day: date = date(2026, 1, 2), **fields: str) -> UsageKey:
    given = {"workspace": WORKSPACE, "token": "token:T1", "credential": "credential:C1", "model": "model:M1", **fields}
    return UsageKey(day=day, **given)


async def test_usage_adds_up_by_key(store: Store) -> None:
    later = THEN + timedelta(seconds=5)
    await store.commit((AddUsage(a_key(), Usage(requests=2, input_tokens=10, output_tokens=3, last_used=later)),))
    await store.commit(
        (
            AddUsage(a_key(), Usage(requests=1, failed=1, input_tokens=5, last_used=THEN)),
            AddUsage(a_key(), Usage(requests=1)),
            AddUsage(a_key(model=""), Usage(requests=7)),
        )
    )

    found = await store.usage(WORKSPACE, since=date(2026, 1, 2), until=date(2026, 1, 2))

    assert found == {
        a_key(): Usage(requests=4, failed=1, input_tokens=15, output_tokens=3, last_used=later),
        a_key(model=""): Usage(requests=7),
    }


async def test_usage_is_asked_for_by_day_and_workspace(store: Store) -> None:
    days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]
    await store.commit(tuple(AddUsage(a_key(day), Usage(requests=1)) for day in days))
    await store.commit((AddUsage(a_key(workspace="other"), Usage(requests=1)),))

    found = await store.usage(WORKSPACE, since=days[1], until=days[2])

    assert sorted(key.day for key in found) == days[1:3]
    assert not await store.usage("nobody", since=days[0], until=days[-1])


async def test_a_tokens_limits_are_kept(store: Store) -> None:
    token = a_token(limits=Limits(concurrent=3, tokens_per_day=2**40))

    await store.commit((PutToken(token),))

    assert await store.token(token.id) == token


async def test_counting_usage_leaves_the_revision_as_it_is(store: Store) -> None:
    before = await store.revision()

    await store.commit((AddUsage(a_key(), Usage(requests=1)),))
    counted = await store.revision()
    await store.commit((AddUsage(a_key(), Usage(requests=1)), PutToken(a_token())))

    assert counted == before
    assert await store.revision() != before


async def test_twins_share_a_fingerprint_and_a_workspace(store: Store) -> None:
    one = a_credential(fingerprints={"api_key": "aa", "other": "bb"})
    two = a_credential(fingerprints={"token": "aa"}, created=THEN + timedelta(seconds=1))
    apart = a_credential(fingerprints={"api_key": "cc"})
    bare = a_credential()
    elsewhere = a_credential(workspace="other", fingerprints={"api_key": "aa"})
    await put(store, two, one, apart, bare, elsewhere)

    assert await store.twins(WORKSPACE, {"aa"}) == [one, two]
    assert await store.twins(WORKSPACE, {"aa", "bb", "dd"}) == [one, two]
    assert await store.twins("other", {"aa", "cc"}) == [elsewhere]
    assert [await store.twins(WORKSPACE, wanted) for wanted in ((), {"dd"}, {"a"})] == [[], [], []]

    await store.commit((ReplaceCredential(replace(two, fingerprints={}, version=2), expected=1),))
    await store.commit((DeleteCredential(WORKSPACE, apart.id, 1),))
    assert await store.twins(WORKSPACE, {"aa", "cc"}) == [one]


async def test_fingerprinting_is_no_edit_and_passes_over_what_was_edited_meanwhile(store: Store) -> None:
    one, two = a_credential(), a_credential(version=2)
    await put(store, one, two)
    await store.commit(
        tuple(PutFingerprints(WORKSPACE, credential.id, {"api_key": "aa"}, expected=1) for credential in (one, two))
    )
    assert await get(store, one) == replace(one, fingerprints={"api_key": "aa"})
    assert await get(store, two) == two
    assert await store.twins(WORKSPACE, {"aa"}) == [await get(store, one)]
    await store.commit((PutFingerprints(WORKSPACE, one.id, {}, expected=1),))
    assert await get(store, one) == one
    assert await store.twins(WORKSPACE, {"aa"}) == []
