"""Two instances on one real database server whose changes meet: what a store promises of one holds of both."""

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.nights import by_day
from tests.samples import WORKSPACE, a_credential, a_model, an_event
from tests.servers.surreal_server import PASSWORD, USER, needs_server, shared_url
from tests.stores import a_database

from keycairn.adapters.surreal import open_surreal
from keycairn.domain.change import (
    AddCredential,
    AddModel,
    Append,
    Changeset,
    DeleteCredential,
    DeleteModel,
    ExpectModel,
    ExpectNoCredential,
    ReplaceCredential,
    Reseal,
)
from keycairn.domain.errors import ConflictError
from keycairn.domain.sealed import SealedSecret
from keycairn.ports.store import Store
from keycairn.testing.stores.suite import get, put

pytestmark = [
    needs_server,
    pytest.mark.parametrize("meetings", by_day([10, 1000], one_in=2)),
    pytest.mark.timeout(1200),
]

Instances = tuple[Store, Store]
_names = count()


@pytest.fixture
async def instances(tmp_path: Path) -> AsyncIterator[Instances]:
    """Two stores that share nothing but the server, as those of two processes do."""
    async with a_database() as namespace:
        one, other = [
            await open_surreal(
                shared_url(), namespace=namespace, user=USER, password=PASSWORD, anchor_file=tmp_path / name / "anchor"
            )
            for name in _folders(tmp_path, "one", "other")
        ]
        yield one, other
        await one.aclose()
        await other.aclose()


def _folders(parent: Path, *names: str) -> tuple[str, ...]:
    for name in names:
        (parent / name).mkdir()
    return names


async def meet(instances: Instances, *changesets: Changeset) -> list[bool]:
    """Commit one changeset on each instance at about the same moment; which of them were taken."""

    async def commit(store: Store, changes: Changeset) -> bool:
        await asyncio.sleep(random.uniform(0, 0.004))  # noqa: S311  # to meet at ever another point
        try:
            await store.commit((*changes, Append(an_event())))
        except ConflictError:
            return False
        return True

    return list(await asyncio.gather(*map(commit, instances, changesets)))


async def test_no_update_is_lost(instances: Instances, meetings: int) -> None:
    credential = a_credential(name="0")
    await put(instances[0], credential)
    taken = 0

    async def increment(store: Store) -> None:
        nonlocal taken
        for _ in range(meetings):
            now = await get(store, credential)
            later = replace(now, name=str(int(now.name) + 1), version=now.version + 1)
            try:
                await store.commit((ReplaceCredential(later, expected=now.version), Append(an_event())))
            except ConflictError:
                continue
            taken += 1

    await asyncio.gather(*map(increment, instances))
    assert taken >= meetings
    assert (await get(instances[0], credential)).name == str(taken)


async def test_two_that_rest_on_what_the_other_removes_are_not_both_taken(instances: Instances, meetings: int) -> None:
    for _ in range(meetings):
        left, right = a_model(), a_model()
        await put(instances[0], left, right)
        taken = await meet(
            instances,
            (ExpectModel(WORKSPACE, left.id), DeleteModel(WORKSPACE, right.id)),
            (ExpectModel(WORKSPACE, right.id), DeleteModel(WORKSPACE, left.id)),
        )
        assert sorted(taken) == [False, True]


async def test_the_first_account_of_a_provider_is_made_once(instances: Instances, meetings: int) -> None:
    for _ in range(meetings):
        provider = f"provider{next(_names)}"
        expected = ExpectNoCredential(WORKSPACE, provider)
        taken = await meet(
            instances,
            (expected, AddCredential(a_credential(provider=provider))),
            (expected, AddCredential(a_credential(provider=provider))),
        )
        assert sorted(taken) == [False, True]
        assert len(await instances[0].credentials(WORKSPACE, provider=provider)) == 1


async def test_what_must_be_unique_is_there_once(instances: Instances, meetings: int) -> None:
    for _ in range(meetings):
        name = f"model-{next(_names)}"
        taken = await meet(instances, (AddModel(a_model(name=name)),), (AddModel(a_model(name=name)),))
        assert sorted(taken) == [False, True]
        assert len(await instances[1].models(WORKSPACE, name=name)) == 1


async def test_no_model_is_left_at_an_account_that_is_deleted(instances: Instances, meetings: int) -> None:
    for _ in range(meetings):
        credential = a_credential()
        await put(instances[0], credential)
        model = a_model(credential=credential.id)
        await meet(
            instances,
            (DeleteCredential(WORKSPACE, credential.id, expected=credential.version),),
            (AddModel(model),),
        )
        account = await instances[0].credential(WORKSPACE, credential.id)
        linked = await instances[0].models(WORKSPACE, credential=credential.id)
        assert (account is None) != bool(linked)


async def test_sealing_anew_undoes_no_edit(instances: Instances, meetings: int) -> None:
    before, edited, resealed = ({"api_key": SealedSecret("kc1:" + letter * 200)} for letter in "ABC")
    for _ in range(meetings):
        credential = a_credential(sealed=before)
        await put(instances[0], credential)
        edit = replace(credential, sealed=edited, version=credential.version + 1)
        taken = await meet(
            instances,
            (ReplaceCredential(edit, expected=credential.version),),
            (Reseal(WORKSPACE, credential.id, sealed=resealed, expected=credential.version),),
        )
        assert taken == [True, True]
        assert (await get(instances[1], credential)).sealed == edited


async def test_of_two_imports_of_the_same_accounts_one_is_there_whole(instances: Instances, meetings: int) -> None:
    for _ in range(meetings):
        accounts = [a_credential() for _ in range(5)]
        whose = [tuple(AddCredential(replace(each, name=name)) for each in accounts) for name in ("one", "other")]
        taken = await meet(instances, whose[0], tuple(reversed(whose[1])))
        assert sorted(taken) == [False, True]
        names = {(await get(instances[0], each)).name for each in accounts}
        assert names == {"one" if taken[0] else "other"}
