"""What every store promises of edits: which version they need, and what is no edit."""

import pytest
from msgspec.structs import replace

from keycairn.domain.change import (
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    MarkBroken,
    PutFingerprints,
    RecordCheck,
    RelinkModels,
    ReplaceCredential,
    ReplaceModel,
    Reseal,
)
from keycairn.domain.errors import (
    DuplicateError,
    StaleVersionError,
)
from keycairn.domain.ids import CredentialId
from keycairn.domain.modality import Modality
from keycairn.domain.sealed import SealedSecret
from keycairn.ports.store import Store
from keycairn.testing.stores.records import HOSTILE
from keycairn.testing.stores.samples import THEN, WORKSPACE, a_check, a_credential, a_model
from keycairn.testing.stores.suite import StoreSuite, accounts, get, put, with_store


class EditConformance(StoreSuite):
    @with_store
    async def test_replacing_a_credential_needs_its_version(self, store: Store) -> None:
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

    @with_store
    async def test_deleting_a_credential_needs_its_version(self, store: Store) -> None:
        credential = a_credential(version=4)
        await put(store, credential)
        with pytest.raises(StaleVersionError):
            await store.commit((DeleteCredential(WORKSPACE, credential.id, 3),))
        await store.commit((DeleteCredential(WORKSPACE, credential.id, 4),))
        assert await store.credential(WORKSPACE, credential.id) is None
        with pytest.raises(StaleVersionError):
            await store.commit((DeleteCredential(WORKSPACE, credential.id, 4),))

    @with_store
    async def test_recording_a_check_is_no_edit(self, store: Store) -> None:
        credential = a_credential(version=3)
        await put(store, credential)
        check = a_check(message=HOSTILE[0])
        gone = CredentialId("credential:gone")
        await store.commit((RecordCheck(WORKSPACE, credential.id, check), RecordCheck(WORKSPACE, gone, check)))
        assert await get(store, credential) == replace(credential, last_check=check)
        assert await store.credential(WORKSPACE, gone) is None

    @with_store
    async def test_marking_broken_holds_for_one_version(self, store: Store) -> None:
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
    @with_store
    async def test_models_are_unique_within_their_credential(self, store: Store, link: CredentialId | None) -> None:
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

    @with_store
    async def test_replacing_a_model_needs_its_version(self, store: Store) -> None:
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

    @with_store
    async def test_deleting_a_model_that_is_gone_is_stale(self, store: Store) -> None:
        model = a_model()
        await put(store, model)
        await store.commit((DeleteModel(WORKSPACE, model.id),))
        assert await store.model(WORKSPACE, model.id) is None
        with pytest.raises(StaleVersionError):
            await store.commit((DeleteModel(WORKSPACE, model.id),))
        await put(store, model)

    @with_store
    async def test_relinking_moves_every_model(self, store: Store) -> None:
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

    @with_store
    async def test_relinking_makes_an_older_edit_of_the_model_stale(self, store: Store) -> None:
        one, two = await accounts(store, "one", "two")
        model = a_model(credential=one)
        await put(store, model)
        await store.commit((RelinkModels(WORKSPACE, one, two),))
        with pytest.raises(StaleVersionError):
            await store.commit((ReplaceModel(replace(model, version=2), 1),))

    @with_store
    async def test_deleting_the_models_of_a_credential(self, store: Store) -> None:
        one, two = await accounts(store, "one", "two")
        kept = a_model(credential=two), a_model()
        await put(store, a_model(credential=one), a_model(credential=one), *kept)
        for _ in range(2):
            await store.commit((DeleteModelsOf(WORKSPACE, one),))
            assert list(await store.models(WORKSPACE)) == list(kept)
            assert dict(await store.model_counts(WORKSPACE)) == {two: 1}

    @with_store
    async def test_resealing_is_no_edit_and_passes_over_what_was_edited_meanwhile(self, store: Store) -> None:
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

    @with_store
    async def test_fingerprinting_is_no_edit_and_passes_over_what_was_edited_meanwhile(self, store: Store) -> None:
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
