"""Rotation with the real cipher and the real store, killed wherever a kill can hit."""

import asyncio
import contextlib
from pathlib import Path

import pytest
from tests.fakes import FakeClock, FakeEnvironment
from tests.house import FakeProvider, FakeRegistry, NoHttp, plain_spec

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.ids import UlidIds
from keycairn.adapters.memory import MemoryStore
from keycairn.adapters.surreal import open_surreal
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.change import Changeset, Reseal
from keycairn.domain.errors import StoreUnavailableError
from keycairn.domain.keyset import KeyState
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope
from keycairn.ports.store import Finish, Store

ROOT = parse_root_key(Secret("base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho="))
NEXT = parse_root_key(Secret("base64:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7gA="))


class Dying(MemoryStore):
    """Stops answering for good after so many commits, as a killed process does."""

    commits_left = 10_000

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        if self.commits_left <= 0:
            raise StoreUnavailableError
        self.commits_left -= 1
        await super().commit(changes, finish)


def keycairn_on(store: Store) -> tuple[Keycairn, FakeProvider]:
    provider = FakeProvider(plain_spec("openai"))
    keycairn = Keycairn(
        store=store,
        opener=AesGcmKeysets(),
        registry=FakeRegistry([provider]),
        http=NoHttp(),
        environment=FakeEnvironment(),
        clock=FakeClock(step=0.001),
        ids=UlidIds(),
    )
    return keycairn, provider


async def fill(keycairn: Keycairn, count: int) -> None:
    for number in range(count):
        await keycairn.credentials.create("openai", name=f"{number}", secrets={"api_key": Secret(f"sk-{number}")})


async def keys_by_name(keycairn: Keycairn) -> dict[str, str]:
    listed = await keycairn.credentials.list()
    accounts = {item.credential.name: await keycairn.credential_opener.open(item.credential) for item in listed}
    return {name: account.secrets["api_key"].reveal() for name, account in accounts.items()}


async def test_every_secret_is_resealed_under_a_new_key_and_the_old_one_retired() -> None:
    keycairn, _ = keycairn_on(MemoryStore())
    await keycairn.vault.unlock(ROOT)
    await fill(keycairn, 250)
    seen: list[int] = []

    status = await keycairn.rotation.rotate(progress=seen.append)

    assert (status.keys, status.secrets, status.pending) == ({1: KeyState.RETIRED, 2: KeyState.PRIMARY}, {2: 250}, 0)
    assert seen == [100, 200, 250]
    assert await keys_by_name(keycairn) == {str(n): f"sk-{n}" for n in range(250)}


@pytest.mark.parametrize("commits", range(9))
async def test_a_rotation_killed_at_any_commit_finishes_by_itself(commits: int) -> None:
    store = Dying()
    before, _ = keycairn_on(store)
    await before.vault.unlock(ROOT)
    await fill(before, 500)
    store.commits_left = commits
    with contextlib.suppress(StoreUnavailableError):
        await before.rotation.rotate()
    store.commits_left = 10_000

    after, _ = keycairn_on(store)
    await after.vault.unlock(ROOT)
    assert await keys_by_name(after) == {str(n): f"sk-{n}" for n in range(500)}
    resumed = await after.rotation.resume()

    status = await after.rotation.status()
    assert resumed == (0 < commits < 8)
    assert (status.pending, len(status.secrets)) == (0, 1)
    assert KeyState.DECRYPT_ONLY not in status.keys.values()
    assert await keys_by_name(after) == {str(n): f"sk-{n}" for n in range(500)}


async def test_edits_and_calls_go_on_during_a_rotation() -> None:
    keycairn, provider = keycairn_on(MemoryStore())
    await keycairn.vault.unlock(ROOT)
    await fill(keycairn, 120)
    credential = (await keycairn.credentials.list())[60].credential

    async def edit() -> None:
        for number in range(20):
            patch = CredentialPatch(secrets={"api_key": Secret(f"new-{number}")})
            await keycairn.credentials.update(credential.id, patch)
            report = await keycairn.probing.test(credential.id)
            assert report.success
            assert provider.keys[-1] == f"new-{number}"

    await asyncio.gather(edit(), keycairn.rotation.rotate(), keycairn.rotation.rotate())

    assert (await keys_by_name(keycairn))[credential.name] == "new-19"
    status = await keycairn.rotation.status()
    assert list(status.secrets) == [status.primary]


async def test_what_does_not_open_is_listed_and_stops_nobody() -> None:
    store = MemoryStore()
    keycairn, _ = keycairn_on(store)
    await keycairn.vault.unlock(ROOT)
    await fill(keycairn, 3)
    one, two = [item.credential for item in await keycairn.credentials.list()][:2]
    await store.commit((Reseal("default", one.id, dict(two.sealed), one.version),))

    status = await keycairn.rotation.rotate()

    await keycairn.credential_opener.sweep("default")
    status = await keycairn.rotation.status()
    assert status.secrets == {1: 1, 2: 2}
    assert status.keys[1] is KeyState.DECRYPT_ONLY
    assert [(item.credential, item.kid) for item in status.quarantined] == [(one.id, 1)]
    assert status.pending == 0

    await keycairn.credentials.update(one.id, CredentialPatch(secrets={"api_key": Secret("sk-again")}))
    assert await keycairn.rotation.resume()
    assert (await keycairn.rotation.status()).keys[1] is KeyState.RETIRED


async def test_a_new_root_key_opens_everything_and_the_old_one_nothing(tmp_path: Path) -> None:
    url = f"surrealkv://{tmp_path}/db"
    store = await open_surreal(url)
    keycairn, _ = keycairn_on(store)
    await keycairn.vault.unlock(ROOT)
    await fill(keycairn, 2)
    _, token = await keycairn.tokens.create("ci", [Scope.ADMIN])

    status = await keycairn.root_keys.change(NEXT, present=ROOT, now=True)

    assert len(status.slots) == 1
    await store.aclose()
    store = await open_surreal(url)
    keycairn, _ = keycairn_on(store)
    assert not await keycairn.vault.unlock(ROOT)
    assert await keycairn.vault.unlock(NEXT)
    assert await keys_by_name(keycairn) == {"0": "sk-0", "1": "sk-1"}
    assert (await keycairn.tokens.authenticate(token)).scopes
    await store.aclose()


@pytest.mark.parametrize("commits", [0, 1, 2])
async def test_a_root_key_change_killed_midway_leaves_one_key_that_opens(commits: int) -> None:
    store = Dying()
    keycairn, _ = keycairn_on(store)
    await keycairn.vault.unlock(ROOT)
    await fill(keycairn, 1)
    store.commits_left = commits
    with contextlib.suppress(StoreUnavailableError):
        await keycairn.root_keys.change(NEXT, present=ROOT, now=True)
    store.commits_left = 10_000

    opens = {name: await keycairn_on(store)[0].vault.unlock(key) for name, key in (("old", ROOT), ("new", NEXT))}
    assert opens == {"old": commits < 2, "new": commits > 0}
