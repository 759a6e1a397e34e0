"""Retired data keys: what still needs one is healed, and they are forgotten only when nothing does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.fakes import NOON
from tests.house import plain_spec
from tests.instances import ROOT, add, check_all, instance, key_of
from tests.interposed import Interposed
from tests.stores import a_store

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.backups import Restore
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.audit import Action
from keycairn.domain.change import Reseal
from keycairn.domain.credential import Credential, seal_context
from keycairn.domain.errors import InvalidInputError, KeyNeededError, StoreFullError, UnreadableRecordError
from keycairn.domain.ids import CredentialId
from keycairn.domain.keyset import KeyState
from keycairn.domain.modality import Modality
from keycairn.domain.sealed import UNOPENED, SealedSecret, kid_of
from keycairn.domain.secret import Secret
from keycairn.ports.store import Store

OPENER = AesGcmKeysets()


@asynccontextmanager
async def left_behind(engine: str, folder: Path, broken: dict[str, str]) -> AsyncIterator[tuple[Store, CredentialId]]:
    """A database in which a secret is sealed with a key that is retired, as earlier versions could leave one."""
    first = OPENER.open(OPENER.create(ROOT, NOON, proves=False), ROOT)
    retired = first.with_new_key().with_key_state(2, KeyState.PRIMARY).with_key_state(1, KeyState.RETIRED)
    bare = Credential(
        id=CredentialId("credential:01KDWE9G000000000000000001"),
        provider="openai",
        name="one",
        modalities=(Modality.LANGUAGE,),
        broken=broken,
        created=NOON,
        updated=NOON,
    )
    context = seal_context(plain_spec("openai"), bare, "api_key")
    credential = replace(bare, sealed={"api_key": first.cipher.seal(Secret("sk-1"), context)})
    async with a_store(engine, folder) as store:
        await store.restore([retired.record, credential])
        yield store, credential.id


async def kid(store: Store, id: CredentialId) -> int | None:
    found = await store.credential("default", id)
    assert found is not None
    return kid_of(found.sealed["api_key"])


async def by_use(keycairn: Keycairn, id: CredentialId) -> None:
    credential = (await keycairn.credentials.get(id)).credential
    assert (await keycairn.credential_opener.open(credential)).secrets["api_key"].reveal() == "sk-1"


async def by_sweep(keycairn: Keycairn, id: CredentialId) -> None:
    assert await keycairn.credential_opener.sweep() == 0


async def by_rotation(keycairn: Keycairn, id: CredentialId) -> None:
    await keycairn.rotation.rotate()


async def by_doctor(keycairn: Keycairn, id: CredentialId) -> None:
    found = {finding.code: finding for finding in await keycairn.checkup.report()}
    assert (found["key_retired"].records, found["key_retired"].broken) == ((id,), False)
    assert "secret_unreadable" not in found
    done = await keycairn.repair.fix()
    assert "sealed anew what retired data keys still sealed" in done.done
    assert "key_retired" not in {finding.code for finding in done.findings}


async def by_rename_and_use(keycairn: Keycairn, id: CredentialId) -> None:
    """An edit that sends no key leaves the secret as it is, retired key or not."""
    await keycairn.credentials.update(id, CredentialPatch(name="two"))
    await by_use(keycairn, id)


HEALERS = (by_use, by_sweep, by_rotation, by_doctor, by_rename_and_use)


@pytest.mark.parametrize("marked", [{}, {"api_key": "its data key 1 is retired"}], ids=["unmarked", "marked"])
@pytest.mark.parametrize("healer", HEALERS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("engine", ["memory", "surrealkv"])
async def test_what_a_retired_key_seals_is_sealed_anew(
    engine: str, healer: Callable[[Keycairn, CredentialId], Awaitable[None]], marked: dict[str, str], tmp_path: Path
) -> None:
    async with left_behind(engine, tmp_path, marked) as (store, id):
        keycairn = await instance(store, backup_dir=tmp_path)
        assert await kid(store, id) == 1

        await healer(keycairn, id)

        assert (await kid(store, id) or 0) > 1
        name = "two" if healer is by_rename_and_use else "one"
        await check_all(keycairn, {name: "sk-1"})


async def test_what_a_use_healed_is_noted() -> None:
    async with left_behind("memory", Path(), {"api_key": "its data key 1 is retired"}) as (store, id):
        keycairn = await instance(store)
        credential = (await keycairn.credentials.get(id)).credential

        account = await keycairn.credential_opener.open(credential)

        assert account.secrets["api_key"].reveal() == "sk-1"
        assert (await keycairn.credentials.get(id)).broken == {}
        healed = [event for event in await store.events("default") if event.action is Action.SECRETS_RESEALED]
        assert (healed[-1].target, healed[-1].outcome, healed[-1].details) == (id, "repaired", {"secrets": ["api_key"]})


async def test_a_use_that_cannot_be_written_down_still_gets_its_secret() -> None:
    async with left_behind("memory", Path(), {}) as (store, id):
        interposed = Interposed(store)
        keycairn = await instance(interposed.as_store)

        async def full() -> None:
            raise StoreFullError("There is no room.")

        interposed.before = full
        assert await key_of(keycairn, id) == "sk-1"
        assert not interposed.waiting
        assert await kid(store, id) == 1
        assert await key_of(keycairn, id) == "sk-1"
        assert await kid(store, id) == 2


async def test_a_key_is_forgotten_after_a_checkpoint_and_named_backups(tmp_path: Path) -> None:
    async with a_store("surrealkv", tmp_path) as store:
        keycairn = await instance(store, backup_dir=tmp_path / "backups")
        id = await add(keycairn)
        saved = await keycairn.backups.save()
        await keycairn.rotation.rotate()
        (tmp_path / "backups" / "keycairn-20200101T000000Z.backup.gz").write_bytes(b"damaged")
        (tmp_path / "backups" / "of somebody else").write_bytes(b"")

        plan = await keycairn.retired_keys.forget(1, dry_run=True)
        assert keycairn.vault.keyset.record.keys == {1: KeyState.RETIRED, 2: KeyState.PRIMARY}
        done = await keycairn.retired_keys.forget(1)

        assert (plan.key, plan.dry_run, plan.records) == (1, True, 1)
        assert (done.key, done.dry_run, done.records) == (1, False, 1)
        assert [(backup.file, backup.secrets) for backup in done.backups] == [
            (str(tmp_path / "backups" / "keycairn-20200101T000000Z.backup.gz"), None),
            (saved.file, 1),
        ]
        assert timedelta(seconds=done.backups[0].age) > timedelta(days=365)
        assert (await keycairn.rotation.status()).keys == {2: KeyState.PRIMARY}
        event = (await store.events("default"))[-1]
        assert (event.action, event.target) == (Action.KEY_FORGOTTEN, "key:1")
        assert event.details["backups"] == [Path(backup.file).name for backup in done.backups]
        await check_all(keycairn, {"one": "sk-1"})
        assert await key_of(await instance(store), id) == "sk-1"

        restored = MemoryStore()
        await Restore(Path(saved.file)).into(restored)
        await check_all(await instance(restored), {"one": "sk-1"})


async def test_a_forgotten_key_is_not_made_again_and_the_others_stay() -> None:
    store = MemoryStore()
    keycairn = await instance(store)
    await add(keycairn)
    for _ in range(3):
        await keycairn.rotation.rotate()
    await keycairn.retired_keys.forget(2)
    status = await keycairn.rotation.rotate()
    assert list(status.keys) == [1, 3, 4, 5]
    await check_all(keycairn, {"one": "sk-1"})


@pytest.mark.parametrize("kid", [2, 3, 0, -1])
async def test_a_key_that_is_not_retired_is_not_forgotten(kid: int) -> None:
    keycairn = await instance(MemoryStore())
    await keycairn.rotation.rotate()
    before = await keycairn.store.keyset()
    with pytest.raises(InvalidInputError, match=f"data key {kid}|Data key {kid}"):
        await keycairn.retired_keys.forget(kid)
    assert await keycairn.store.keyset() == before


async def test_a_key_that_a_secret_still_needs_is_not_forgotten_until_that_is_healed() -> None:
    async with left_behind("memory", Path(), {}) as (store, id):
        keycairn = await instance(store)
        with pytest.raises(KeyNeededError, match=id):
            await keycairn.retired_keys.forget(1)
        await keycairn.credential_opener.sweep()
        await keycairn.retired_keys.forget(1)
        await check_all(keycairn, {"one": "sk-1"})


@pytest.mark.parametrize("text", ["a byte changed", "no sealed secret", "of another record"])
async def test_no_key_is_forgotten_while_a_secret_does_not_open_at_all(text: str) -> None:
    store = MemoryStore()
    keycairn = await instance(store)
    one, two = await add(keycairn), await add(keycairn, "two", "sk-2")
    await keycairn.rotation.rotate()
    sealed = (await keycairn.credentials.get(one)).credential.sealed["api_key"]
    other = (await keycairn.credentials.get(two)).credential.sealed["api_key"]
    damaged = {
        "a byte changed": SealedSecret(sealed[:-8] + ("A" if sealed[-8] != "A" else "B") + sealed[-7:]),
        "no sealed secret": SealedSecret("sk-plain"),
        "of another record": other,
    }[text]
    await store.commit((Reseal("default", one, {"api_key": damaged}, 1),))

    with pytest.raises(KeyNeededError, match=one):
        await keycairn.retired_keys.forget(1)
    await keycairn.credentials.update(one, CredentialPatch(secrets={"api_key": Secret("sk-1")}))
    await keycairn.retired_keys.forget(1)
    assert await key_of(keycairn, one) == "sk-1"


class HidingOne(Interposed):
    def unreadable(self) -> list[UnreadableRecordError]:
        return [UnreadableRecordError("credential", "hidden", "its proof is not that of its content")]


async def test_no_key_is_forgotten_while_a_record_cannot_be_read() -> None:
    keycairn = await instance(HidingOne(MemoryStore()).as_store)
    await keycairn.rotation.rotate()
    with pytest.raises(KeyNeededError, match="credential:hidden"):
        await keycairn.retired_keys.forget(1)


async def test_what_never_opened_since_it_was_imported_needs_no_key() -> None:
    store = MemoryStore()
    keycairn = await instance(store)
    id = await add(keycairn)
    await keycairn.rotation.rotate()
    await store.commit((Reseal("default", id, {"api_key": UNOPENED}, 1),))
    assert (await keycairn.retired_keys.forget(1)).records == 1


async def test_another_instance_may_rotate_or_forget_in_between() -> None:
    store = MemoryStore()
    first = await instance(store)
    interposed = Interposed(store)
    second = await instance(interposed.as_store)
    await add(first)
    await second.rotation.rotate()

    interposed.before = first.rotation.rotate
    await second.retired_keys.forget(1)

    assert second.vault.keyset.record.keys == {2: KeyState.RETIRED, 3: KeyState.PRIMARY}
    await check_all(second, {"one": "sk-1"})
    await check_all(first, {"one": "sk-1"})

    await second.rotation.rotate()

    async def forget() -> None:
        await first.retired_keys.forget(2)

    interposed.before = forget
    with pytest.raises(InvalidInputError, match="no data key 2"):
        await second.retired_keys.forget(2)
    await check_all(second, {"one": "sk-1"})
