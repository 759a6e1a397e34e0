"""What every store promises of single records and changes. Each test runs on each of them."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from keycairn.domain.change import (
    AddCredential,
    AddModel,
    Append,
    DeleteModel,
    DropKeyRotation,
    ExpectNoCredential,
    MarkBroken,
    PutDefaults,
    PutKeyRotation,
    PutKeyset,
    PutToken,
)
from keycairn.domain.errors import (
    DuplicateError,
    InvalidInputError,
    StaleVersionError,
)
from keycairn.domain.ids import CredentialId, ModelId, key_of
from keycairn.domain.keyset import KeyState
from keycairn.domain.limits import Limits
from keycairn.domain.model import Defaults, Slot
from keycairn.domain.sealed import SealedSecret
from keycairn.domain.state import key_for
from keycairn.ports.store import Store
from keycairn.testing.stores.samples import (
    THEN,
    WORKSPACE,
    a_check,
    a_credential,
    a_key_rotation,
    a_keyset,
    a_model,
    a_token,
    an_event,
)
from keycairn.testing.stores.suite import StoreSuite, accounts, get, put, with_store

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


class RecordConformance(StoreSuite):
    @with_store
    async def test_credential_comes_back_exactly(self, store: Store) -> None:
        odd = {text: text for text in HOSTILE}
        credential = a_credential(
            name=HOSTILE[0],
            settings={**odd, "port": 2**63 - 1, "negative": -(2**63)},
            sealed={text: SealedSecret(f"kc1:{text}") for text in HOSTILE},
            fingerprints={text: f"{number:064x}" for number, text in enumerate(HOSTILE)},
            extra={
                **odd,
                "nested": {"null": None, "list": [None, 1, 1.0, True, {"": []}], "huge": 2**70, "float": 0.1},
            },
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

    @with_store
    async def test_other_records_come_back_exactly(self, store: Store) -> None:
        [account] = await accounts(store, "c-_9")
        model = a_model(name=HOSTILE[1], missing_since=THEN, version=3, credential=account)
        unlinked = a_model(priority=2**20, weight=0, provider_model=HOSTILE[1], context_length=2**40)
        token = a_token(name=HOSTILE[2], expires=THEN, revoked=THEN)
        event = an_event(
            details={"count": 3, "names": HOSTILE, "": "x"}, target=HOSTILE[0], source="::1", request_id="r"
        )
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

    @with_store
    async def test_hostile_text_is_data(self, store: Store) -> None:
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

    @with_store
    async def test_nul_is_refused_in_what_is_looked_up_and_finds_nothing(self, store: Store) -> None:
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

    @with_store
    async def test_an_id_is_taken_once(self, store: Store) -> None:
        credential, model, event = a_credential(), a_model(), an_event()
        await store.commit((AddCredential(credential), AddModel(model), Append(event)))
        for change in (
            AddCredential(replace(credential, name="other", workspace="other")),
            AddModel(replace(model, name="other", workspace="other")),
            Append(replace(event, actor="other", workspace="other")),
        ):
            with pytest.raises(DuplicateError):
                await store.commit((change,))

    @with_store
    async def test_defaults_follow_their_version(self, store: Store) -> None:
        await put(store, model := a_model())
        first = Defaults(slots={Slot.CHAT: model.id}, version=1)
        with pytest.raises(StaleVersionError):
            await store.commit((PutDefaults(first, 1),))
        await store.commit((PutDefaults(first, 0),))
        with pytest.raises(StaleVersionError):
            await store.commit((PutDefaults(first, 0),))
        await store.commit((PutDefaults(replace(first, slots={}, version=2), 1),))
        assert await store.defaults(WORKSPACE) == Defaults(version=2)

    @with_store
    async def test_keyset_follows_its_generation(self, store: Store) -> None:
        with pytest.raises(StaleVersionError):
            await store.commit((PutKeyset(a_keyset(), 1),))
        await store.commit((PutKeyset(a_keyset(), 0),))
        with pytest.raises(StaleVersionError):
            await store.commit((PutKeyset(a_keyset(install_id="other"), 0),))
        await store.commit((PutKeyset(a_keyset(generation=2), 1),))
        assert await store.keyset() == a_keyset(generation=2)

    @with_store
    async def test_tokens_are_overwritten_and_ordered(self, store: Store) -> None:
        first, second = a_token(), a_token()
        await store.commit((PutToken(second), PutToken(first)))
        assert list(await store.tokens(WORKSPACE)) == [first, second]
        await store.commit((PutToken(replace(first, revoked=THEN)),))
        assert await store.token(first.id) == replace(first, revoked=THEN)

    @with_store
    async def test_a_tokens_limits_are_kept(self, store: Store) -> None:
        token = a_token(limits=Limits(concurrent=3, tokens_per_day=2**40))

        await store.commit((PutToken(token),))

        assert await store.token(token.id) == token

    @with_store
    async def test_key_rotations_come_back_exactly_and_follow_their_version(self, store: Store) -> None:
        one, two = await accounts(store, "one", "two")
        first, second = a_key_rotation(one), a_key_rotation(two, workspace="other")
        await store.commit((PutKeyRotation(second, 0), PutKeyRotation(first, 0)))
        assert list(await store.key_rotations()) == [first, second]
        with pytest.raises(StaleVersionError):
            await store.commit((PutKeyRotation(replace(first, version=2), 0),))
        await store.commit((PutKeyRotation(edited := replace(first, key_id="key_2", version=2), 1),))
        assert await store.key_rotation(first.id) == edited
        with pytest.raises(StaleVersionError):
            await store.commit((DropKeyRotation(first.id, 1),))
        await store.commit((DropKeyRotation(first.id, 2),))
        assert await store.key_rotation(first.id) is None
        assert list(await store.key_rotations()) == [second]

    @with_store
    async def test_what_is_refused_is_in_no_answer_and_is_told_as_unreadable(self, store: Store) -> None:
        kept, refused = a_credential(), a_credential()
        model = a_model()
        await put(store, kept, refused, model)
        left_out = {("credential", key_of(refused.id)): "it was changed", ("model", key_of(model.id)): "it was changed"}
        store.trust(lambda record: left_out.get(key_for(record)), learn_nothing, left_out)
        assert await store.credential(WORKSPACE, refused.id) is None
        assert list(await store.credentials(WORKSPACE)) == [kept]
        assert list(await store.all_credentials()) == [kept]
        assert list(await store.models(WORKSPACE)) == []
        told = {(error.kind, error.key) for error in store.unreadable()}
        assert told == set(left_out)


async def learn_nothing(_: frozenset[int]) -> None:
    """Data keys are all known."""
