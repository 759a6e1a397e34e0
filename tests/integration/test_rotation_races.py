"""A write and a rotation that cross: every way to write, on this instance and on one with an old keyset."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.instances import NEXT, ROOT, Arriving, add, check_all, instance, key_of
from tests.interposed import Interposed
from tests.stores import a_store

from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.keys.rotation import ATTEMPTS
from keycairn.domain.change import Changeset, PutKeyset, ReplaceCredential, Reseal
from keycairn.domain.errors import SealedError
from keycairn.domain.ids import CredentialId
from keycairn.domain.keyset import Keyset, KeyState
from keycairn.domain.sealed import kid_of
from keycairn.domain.secret import Secret

Writer = Callable[[Keycairn, CredentialId], Awaitable[dict[str, str]]]
"""Writes something, and gives the keys there are then, by the name of their credential."""


async def rename(keycairn: Keycairn, id: CredentialId) -> dict[str, str]:
    await keycairn.credentials.update(id, CredentialPatch(name="renamed"))
    return {"renamed": "sk-1"}


async def send(keycairn: Keycairn, id: CredentialId) -> dict[str, str]:
    await keycairn.credentials.update(id, CredentialPatch(secrets={"api_key": Secret("sk-2")}))
    return {"one": "sk-2"}


async def resettle(keycairn: Keycairn, id: CredentialId) -> dict[str, str]:
    await keycairn.credentials.update(id, CredentialPatch(settings={"num_ctx": 4096}))
    return {"one": "sk-1"}


async def create(keycairn: Keycairn, _: CredentialId) -> dict[str, str]:
    await add(keycairn, "two", "sk-2")
    return {"one": "sk-1", "two": "sk-2"}


async def arrive(keycairn: Keycairn, _: CredentialId) -> dict[str, str]:
    report = await keycairn.importer.run(Arriving("credential:arrived00001", "sk-3"))
    assert len(report.created) == 1
    return {"one": "sk-1", "arrived": "sk-3"}


async def migrate(keycairn: Keycairn, _: CredentialId) -> dict[str, str]:
    done = await keycairn.environment.migrate()
    assert [entry.provider for entry in done.entries if entry.credential] == ["anthropic"]
    return {"one": "sk-1", "anthropic": "sk-environment"}


async def sweep(keycairn: Keycairn, _: CredentialId) -> dict[str, str]:
    assert await keycairn.credential_opener.sweep() == 0
    return {"one": "sk-1"}


async def use(keycairn: Keycairn, id: CredentialId) -> dict[str, str]:
    assert await key_of(keycairn, id) == "sk-1"
    return {"one": "sk-1"}


async def rotate(keycairn: Keycairn, _: CredentialId) -> dict[str, str]:
    await keycairn.rotation.rotate()
    return {"one": "sk-1"}


WRITERS = (rename, send, resettle, create, arrive, migrate, sweep, use, rotate)


@pytest.mark.parametrize("writer", WRITERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize(("engine", "key"), [("memory", "retired"), ("memory", "forgotten"), ("ws", "forgotten")])
async def test_an_instance_with_an_old_keyset_goes_on_with_the_new_one(
    engine: str, key: str, writer: Writer, tmp_path: Path
) -> None:
    async with a_store(engine, tmp_path) as store:
        first, second = await instance(store), await instance(store)
        id = await add(first)
        await first.rotation.rotate()
        if key == "forgotten":
            await first.retired_keys.forget(1)

        expected = await writer(second, id)

        for keycairn in (first, second):
            await check_all(keycairn, expected)


@pytest.mark.parametrize("key", ["retired", "forgotten"])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("writer", WRITERS, ids=lambda each: each.__name__)
async def test_a_rotation_that_overtakes_a_write_is_made_good(writer: Writer, times: int, key: str) -> None:
    store = MemoryStore()
    first = await instance(store)
    id = await add(first)
    interposed = Interposed(store)
    second = await instance(interposed.as_store)

    async def overtake() -> None:
        for kid in range(1, times + 1):
            await first.rotation.rotate()
            if key == "forgotten":
                await first.retired_keys.forget(kid)

    interposed.before = overtake
    expected = await writer(second, id)

    if not interposed.waiting:  # a use writes nothing
        assert (await first.rotation.status()).primary > times
    for keycairn in (first, second):
        await check_all(keycairn, expected)


async def test_an_edit_that_sends_no_secret_leaves_it_as_it_was_sealed_meanwhile() -> None:
    store = MemoryStore()
    first = await instance(store)
    id = await add(first)
    interposed = Interposed(store)
    second = await instance(interposed.as_store)
    interposed.before = first.rotation.rotate

    await second.credentials.update(id, CredentialPatch(name="renamed", settings={"num_ctx": 4096}))

    edits = [change for changes in interposed.asked for change in changes if isinstance(change, ReplaceCredential)]
    assert {edit.kept for edit in edits} == {frozenset({"api_key"})}
    assert all(edit is edits[0] for edit in edits), "it was not worked out anew"
    stored = (await first.credentials.get(id)).credential
    assert (stored.name, stored.settings, kid_of(stored.sealed["api_key"])) == ("renamed", {"num_ctx": 4096}, 2)


def retires(changes: Changeset) -> bool:
    return any(isinstance(change, PutKeyset) and KeyState.RETIRED in change.keyset.keys.values() for change in changes)


@pytest.mark.parametrize("times", [1, ATTEMPTS - 1, ATTEMPTS])
async def test_a_key_that_is_still_used_is_retired_after_resealing_again_or_by_the_next_rotation(times: int) -> None:
    store = MemoryStore()
    late = [await instance(store) for _ in range(times)]
    interposed = Interposed(store)
    keycairn = await instance(interposed.as_store)
    expected = {}

    async def seal_with_the_old_key() -> None:
        name = f"{len(late)}"
        expected[name] = f"sk-{name}"
        await add(late.pop(), name, expected[name])
        interposed.before = seal_with_the_old_key if late else None

    interposed.before, interposed.when = seal_with_the_old_key, retires
    with capture_logs() as logs:
        status = await keycairn.rotation.rotate()

    assert late == []
    told = [entry["keys"] for entry in logs if "keys" in entry]
    if times < ATTEMPTS:
        assert (status.keys, told) == ({1: KeyState.RETIRED, 2: KeyState.PRIMARY}, [])
    else:
        assert (status.keys, told) == ({1: KeyState.DECRYPT_ONLY, 2: KeyState.PRIMARY}, [[1]])
        status = await keycairn.rotation.rotate()
        assert status.keys == {1: KeyState.RETIRED, 2: KeyState.PRIMARY}
    await check_all(keycairn, expected)


class SlowToOpen(Interposed):
    """Gives the keyset of a moment ago, as it is after the time that a passphrase takes."""

    async def keyset(self) -> Keyset | None:
        found = await self._store.keyset()
        before, self.before = self.before, None
        if before is not None:
            await before()
        return found


@pytest.mark.parametrize("key", ["retired", "forgotten"])
@pytest.mark.parametrize("engine", ["memory", "ws"])
async def test_an_instance_starts_while_another_one_rotates(engine: str, key: str, tmp_path: Path) -> None:
    async with a_store(engine, tmp_path) as store:
        first = await instance(store)
        await add(first)
        slow = SlowToOpen(store)

        async def rotate_meanwhile() -> None:
            await first.rotation.rotate()
            if key == "forgotten":
                await first.retired_keys.forget(1)

        slow.before = rotate_meanwhile
        second = await instance(slow.as_store)

        assert not slow.waiting
        for keycairn in (first, second):
            await check_all(keycairn, {"one": "sk-1"})


async def test_a_secret_that_does_not_open_stops_no_later_rotation() -> None:
    store = MemoryStore()
    keycairn = await instance(store)
    one, two = await add(keycairn, "one", "sk-1"), await add(keycairn, "two", "sk-2")
    moved = (await keycairn.credentials.get(two)).credential
    before = (await keycairn.credentials.get(one)).credential
    await store.commit((Reseal("default", one, dict(moved.sealed), before.version),))

    for _ in range(3):
        status = await keycairn.rotation.rotate()

    assert status.keys == {
        1: KeyState.DECRYPT_ONLY,
        2: KeyState.RETIRED,
        3: KeyState.RETIRED,
        4: KeyState.PRIMARY,
    }
    assert status.secrets == {1: 1, 4: 1}


async def test_an_instance_whose_root_key_was_dropped_says_so_and_marks_nothing() -> None:
    store = MemoryStore()
    first, second = await instance(store), await instance(store)
    id = await add(first)
    await first.root_keys.change(NEXT, present=ROOT, now=True)
    await first.rotation.rotate()

    stale = (await second.credentials.get(id)).credential
    with pytest.raises(SealedError, match="newest root key"):
        await second.credential_opener.open(stale)
    with pytest.raises(SealedError, match="newest root key"):
        await second.credentials.create("openai", name="two", secrets={"api_key": Secret("sk-2")})

    assert await key_of(first, id) == "sk-1"
