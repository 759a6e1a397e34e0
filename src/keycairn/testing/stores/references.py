"""No commit leaves a model at a credential that is not there, or a default at a model that is not."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from keycairn.domain.change import (
    AddCredential,
    AddModel,
    Change,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    PutDefaults,
    RelinkModels,
    ReplaceModel,
)
from keycairn.domain.credential import Credential
from keycairn.domain.errors import StaleVersionError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.model import Defaults, Model, Slot
from keycairn.ports.store import Store
from keycairn.testing.stores.samples import WORKSPACE, a_credential, a_model
from keycairn.testing.stores.suite import StoreSuite, with_store

GONE = CredentialId("credential:gone")


Changes = Callable[[Credential, Model, Model], tuple[Change, ...]]


def chat(model: ModelId | None, *, expected: int = 1) -> PutDefaults:
    """Make the model the default for chats, or leave none."""
    slots = {} if model is None else {Slot.CHAT: model}
    return PutDefaults(Defaults(workspace=WORKSPACE, slots=slots, version=expected + 1), expected=expected)


def linked(model: Model, credential: CredentialId | None) -> ReplaceModel:
    """Link the model to the credential, or to none."""
    return ReplaceModel(replace(model, credential=credential, version=model.version + 1), expected=model.version)


DANGLING: dict[str, Changes] = {
    "a new model of no credential": lambda *_: (AddModel(a_model(name="n", credential=GONE)),),
    "a model linked to no credential": lambda _, __, loose: (linked(loose, GONE),),
    "a model linked elsewhere to no credential": lambda _, model, __: (linked(model, GONE),),
    "models handed to no credential": lambda account, *_: (RelinkModels(WORKSPACE, account.id, GONE),),
    "a credential gone without its models": lambda account, *_: (DeleteCredential(WORKSPACE, account.id, 1),),
    "a model made for a credential that goes": lambda account, *_: (
        AddModel(a_model(name="n", credential=account.id)),
        DeleteCredential(WORKSPACE, account.id, 1),
        DeleteModelsOf(WORKSPACE, account.id),
        chat(None),
    ),
    "a model linked back to a credential that goes": lambda account, _, loose: (
        DeleteCredential(WORKSPACE, account.id, 1),
        DeleteModelsOf(WORKSPACE, account.id),
        linked(loose, account.id),
        chat(None),
    ),
    "a default gone": lambda _, model, __: (DeleteModel(WORKSPACE, model.id),),
    "a default gone with its credential": lambda account, *_: (
        DeleteCredential(WORKSPACE, account.id, 1),
        DeleteModelsOf(WORKSPACE, account.id),
    ),
    "a default gone, and others stored as they are": lambda _, model, __: (
        DeleteModel(WORKSPACE, model.id),
        chat(model.id),
    ),
    "a default that is no model": lambda *_: (chat(ModelId("model:gone")),),
    "a default of another table": lambda account, *_: (chat(ModelId(account.id)),),
}


SOUND: dict[str, Changes] = {
    "a credential with its models and the default": lambda account, *_: (
        chat(None),
        DeleteModelsOf(WORKSPACE, account.id),
        DeleteCredential(WORKSPACE, account.id, 1),
    ),
    "models handed to a new credential": lambda account, *_: (
        RelinkModels(WORKSPACE, account.id, (new := a_credential()).id),
        DeleteCredential(WORKSPACE, account.id, 1),
        AddCredential(new),
    ),
    "a model in the place of the default": lambda account, model, _: (
        DeleteModel(WORKSPACE, model.id),
        AddModel(new := a_model(name=model.name, credential=account.id)),
        chat(new.id),
    ),
    "a model unlinked": lambda _, model, __: (linked(model, None),),
    "a model linked": lambda account, _, loose: (linked(loose, account.id),),
}


async def furnished(store: Store) -> tuple[Credential, Model, Model]:
    """An account with a model that is a default, and a model that is linked to nothing."""
    account = a_credential()
    model, loose = a_model(name="m", credential=account.id), a_model(name="loose")
    await store.commit((AddCredential(account), AddModel(model), AddModel(loose), chat(model.id, expected=0)))
    return account, model, loose


async def everything(store: Store) -> list[object]:
    """All that is stored."""
    async with store.snapshot() as records:
        return [record async for record in records]


class ReferenceConformance(StoreSuite):
    @pytest.mark.parametrize("changes", DANGLING.values(), ids=DANGLING.keys())
    @with_store
    async def test_a_commit_that_would_leave_something_dangling_is_refused_whole(
        self, store: Store, changes: Changes
    ) -> None:
        there = await furnished(store)
        before = await everything(store)
        with pytest.raises(StaleVersionError):
            await store.commit(changes(*there))
        assert await everything(store) == before

    @pytest.mark.parametrize("changes", SOUND.values(), ids=SOUND.keys())
    @with_store
    async def test_a_commit_that_leaves_nothing_dangling_is_taken(self, store: Store, changes: Changes) -> None:
        await store.commit(changes(*await furnished(store)))

    @with_store
    async def test_what_dangled_before_can_be_edited_and_repaired(self, store: Store) -> None:
        dangling = a_model(name="d", credential=GONE)
        chosen = Defaults(workspace=WORKSPACE, slots={Slot.CHAT: ModelId("model:gone")}, version=1)
        await store.restore([dangling, chosen])
        edited = replace(dangling, priority=3, version=2)
        await store.commit((ReplaceModel(edited, expected=1), chat(ModelId("model:gone"))))
        await store.commit((linked(edited, None), chat(None, expected=2)))
        assert await store.model(WORKSPACE, dangling.id) == replace(edited, credential=None, version=3)

    @with_store
    async def test_a_default_of_one_workspace_cannot_name_a_model_of_another(self, store: Store) -> None:
        account, model, _ = await furnished(store)
        slots = {Slot.CHAT: model.id}
        with pytest.raises(StaleVersionError):
            await store.commit((PutDefaults(Defaults(workspace="other", slots=slots, version=1), expected=0),))
        with pytest.raises(StaleVersionError):
            await store.commit((AddModel(a_model(name="o", workspace="other", credential=account.id)),))
