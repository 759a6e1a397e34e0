"""After every kind of change, what a store answers is what a store opened anew reads from the database."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec.structs import replace
from tests.samples import (
    THEN,
    WORKSPACE,
    a_check,
    a_credential,
    a_key_rotation,
    a_keyset,
    a_model,
    a_token,
    a_usage_key,
    an_event,
)
from tests.servers.surreal_rpc import surreal_rpc
from tests.servers.surreal_server import PASSWORD, USER, needs_server, shared_url
from tests.stores import a_database, a_store

from keycairn.adapters.surreal import SurrealStore, open_surreal
from keycairn.domain.audit import Head
from keycairn.domain.change import (
    AddCredential,
    AddModel,
    AddUsage,
    Append,
    Change,
    Changeset,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    Discard,
    DropEvent,
    DropKeyRotation,
    DropToken,
    DropUsage,
    ExpectCredential,
    ExpectModel,
    ExpectNoCredential,
    MarkBroken,
    PutDefaults,
    PutFingerprints,
    PutKeyRotation,
    PutKeyset,
    PutToken,
    RecordCheck,
    RecordUse,
    RelinkModels,
    ReplaceCredential,
    ReplaceModel,
    Reseal,
    Touch,
)
from keycairn.domain.draft import Draft
from keycairn.domain.ids import ModelId, key_of
from keycairn.domain.keyset import KeyState
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Slot
from keycairn.domain.reach import Reach
from keycairn.domain.sealed import join
from keycairn.domain.usage import Usage
from keycairn.ports.store import Position, Store

MANY = 1600
"""More records than are absorbed in one turn."""

ONE = a_credential(fingerprints={"api_key": "same"})
TWO = a_credential(provider="groq", fingerprints={"api_key": "same"}, workspace=WORKSPACE)
FAR = a_credential(workspace="b", provider="groq")
LINKED = [a_model(credential=ONE.id, name=f"n{number}") for number in range(3)]
LOOSE = a_model(provider="groq", type=Modality.EMBEDDING)
CROWD = [a_model(credential=TWO.id, provider="groq", name=f"many-{number}") for number in range(MANY)]
ROTATION = a_key_rotation(ONE.id)
TOKEN, EVENT, KEY = a_token(), an_event(seq=1, mac="1" * 64), a_usage_key()
SEALED = join(bytes([2]) + (2).to_bytes(4, "big") + bytes(32 + 32 + 64 + 16))
USAGE = Usage(requests=3, input_tokens=5, last_used=THEN)

WALK: tuple[Changeset, ...] = (
    (PutKeyset(a_keyset(), expected=0),),
    (AddCredential(ONE), AddCredential(TWO), AddCredential(FAR), Append(EVENT)),
    (*map(AddModel, LINKED), AddModel(LOOSE), PutToken(TOKEN)),
    (PutToken(replace(TOKEN, reach=Reach(credentials=(ONE.id,))), expected=TOKEN),),
    (PutDefaults(Defaults(workspace=WORKSPACE, slots={Slot.CHAT: LINKED[0].id}, version=1), expected=0),),
    (PutKeyRotation(ROTATION, expected=0),),
    (PutKeyRotation(replace(ROTATION, key_id="key_2", version=2), expected=1),),
    (ReplaceCredential(replace(ONE, name="New", created=THEN - timedelta(days=1), version=2), expected=1),),
    (RecordCheck(WORKSPACE, ONE.id, a_check()), MarkBroken(WORKSPACE, TWO.id, {"api_key": "lost"}, 1)),
    (PutFingerprints(WORKSPACE, TWO.id, {"api_key": "other"}, 1),),
    (PutKeyset(a_keyset(generation=2, keys={1: KeyState.DECRYPT_ONLY, 2: KeyState.PRIMARY}), expected=1),),
    (Reseal(WORKSPACE, TWO.id, {"api_key": SEALED}, 1),),
    (
        ReplaceModel(replace(LOOSE, name="other", type=Modality.LANGUAGE, version=2), expected=1),
        ExpectModel(WORKSPACE, LOOSE.id),
    ),
    (ReplaceModel(replace(LOOSE, name="other", credential=TWO.id, version=3), expected=2),),
    (DeleteModel(WORKSPACE, LINKED[2].id),),
    (RelinkModels(WORKSPACE, ONE.id, TWO.id), ExpectCredential(WORKSPACE, TWO.id)),
    tuple(map(AddModel, CROWD)),
    (RelinkModels(WORKSPACE, TWO.id, ONE.id),),
    (RecordUse(TOKEN.id, THEN), AddUsage(KEY, USAGE), AddUsage(KEY, USAGE)),
    (Touch("model", key_of(CROWD[0].id)), ExpectNoCredential(WORKSPACE, "mistral")),
    (Discard("credential", key_of(FAR.id)),),
    (DropKeyRotation(ROTATION.id, expected=2),),
    (
        PutDefaults(Defaults(workspace=WORKSPACE, slots={}, version=2), expected=1),
        DeleteModelsOf(WORKSPACE, ONE.id),
        DeleteCredential(WORKSPACE, ONE.id, 2),
    ),
    (DropToken(TOKEN.id), DropUsage(KEY), DropEvent(EVENT.id)),
)


def test_the_walk_passes_every_kind_of_change() -> None:
    assert {type(change) for changes in WALK for change in changes} == set(get_args(Change))


async def test_after_every_kind_of_change_the_read_model_is_what_a_store_opened_anew_reads(tmp_path: Path) -> None:
    url = await prepared(tmp_path)
    store = await open_surreal(url)
    for changes in WALK:
        await store.commit(changes, link)
        answered = await answers(store)
        await store.aclose()
        store = await open_surreal(url)
        assert await answers(store) == answered, [type(change).__name__ for change in changes]
    await store.aclose()


@pytest.mark.parametrize("engine", ["ws", pytest.param("server", marks=[needs_server, pytest.mark.night])])
async def test_another_instance_follows_every_kind_of_change(engine: str) -> None:
    async with AsyncExitStack() as stack:
        if engine == "ws":
            url: str = (await stack.enter_async_context(surreal_rpc())).url
            opened = partial(open_surreal, url)
        else:
            namespace = await stack.enter_async_context(a_database())
            opened = partial(open_surreal, shared_url(), namespace=namespace, user=USER, password=PASSWORD)
        one, other = await opened(), await opened()
        assert isinstance(other, SurrealStore)
        for number, changes in enumerate(WALK):
            await one.commit(changes, link)
            await other._follower.advance()
            if engine == "server" or number % 8 == 0:
                followed, told = await answers(other), await answers(one)
                assert _of_all(followed) == _of_all(told), [type(change).__name__ for change in changes]
        followed = await answers(other)
        anew = await opened()
        assert _of_all(await answers(anew)) == _of_all(followed)
        for store in (one, other, anew):
            await store.aclose()


def _of_all(answered: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without what a process knows for itself: what it had acknowledged, and when its own callers used a token."""
    *singles, _, token, rotation = answered["singles"]
    return {**answered, "singles": [*singles, token and replace(token, last_used=None), rotation]}


async def prepared(folder: Path) -> str:
    async with a_store("surrealkv", folder):
        return f"surrealkv://{folder}/surrealkv/db"


def link(draft: Draft) -> None:
    """As the audit chain does: the head moves with each event."""
    for event in draft.appended:
        draft.put(Head(event.seq, event.mac))


async def answers(store: Store) -> Mapping[str, Any]:
    """All that a store can be asked."""
    async with store.snapshot() as records:
        found: dict[str, Any] = {"records": [record async for record in records]}
    for workspace in (WORKSPACE, "b"):
        for provider in (None, "openai", "groq"):
            listed = await store.credentials(workspace, provider=provider)
            found[f"{workspace} {provider}"] = listed
            for one in listed:
                place = Position(one.provider, one.created, one.id)
                found[f"after {one.id} of {provider}"] = await store.credentials(
                    workspace, provider=provider, after=place
                )
            for type in (None, Modality.LANGUAGE, Modality.EMBEDDING):
                models = await store.models(workspace, provider=provider, type=type, limit=None)
                found[f"{workspace} {provider} {type} models"] = models
            found[f"{workspace} {provider} unlinked"] = await store.unlinked_models(workspace, provider or "openai")
        for name in ("n0", "other", "many-7"):
            found[f"{workspace} {name}"] = await store.models(workspace, name=name)
        for credential in (ONE.id, TWO.id):
            found[f"{workspace} of {credential}"] = await store.models(workspace, credential=credential, limit=None)
        found[f"{workspace} same"] = [await store.with_same_secret(workspace, [mark]) for mark in ("same", "other")]
        found[f"{workspace} counts"] = dict(await store.model_counts(workspace))
        found[f"{workspace} providers"] = await store.providers_in_use(workspace)
        found[f"{workspace} defaults"] = await store.defaults(workspace)
        found[f"{workspace} tokens"] = await store.tokens(workspace)
        found[f"{workspace} events"] = await store.events(workspace)
        found[f"{workspace} usage"] = dict(await store.usage(workspace, since=THEN.date(), until=KEY.day))
        found[f"{workspace} model"] = await store.model(workspace, ModelId(LOOSE.id))
        found[f"{workspace} credential"] = await store.credential(workspace, TWO.id)
    singles = (
        store.keyset(),
        store.head(),
        store.any_sealed(),
        store.all_tokens(),
        store.all_credentials(),
        store.key_rotations(),
        store.chain(),
    )
    found["singles"] = await asyncio.gather(
        *singles, store.event_count(), store.acknowledged(), store.token(TOKEN.id), store.key_rotation(ROTATION.id)
    )
    return found
