"""Backups out of every engine into every other, with the real cipher."""

import gzip
import resource
import stat
from contextlib import suppress
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Never

import pytest
from tests.canary import scan
from tests.fakes import NOON, FakeClock, FakeEnvironment
from tests.house import FakeProvider, FakeRegistry, NoHttp, plain_spec
from tests.samples import a_credential
from tests.servers.surreal_server import needs_server
from tests.stores import ENGINES, a_store

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.ids import UlidIds
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.backups import Backups, Restore, Schedule, examine, records_in
from keycairn.app.services.backups.rekeyed import RekeyedBackup
from keycairn.app.services.models import NewModel
from keycairn.domain.audit import Action
from keycairn.domain.change import Changeset, Reseal
from keycairn.domain.credential import Credential, seal_context
from keycairn.domain.errors import (
    AuthenticationError,
    BackupFileError,
    ConflictError,
    DamagedBackupError,
    RestoreMismatchError,
    SealedError,
    StoreNotEmptyError,
    StoreUnavailableError,
    UndecryptableError,
    WrongRootKeyError,
)
from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.domain.record import Record
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope
from keycairn.ports.store import Finish, Store

ROOT = parse_root_key(Secret("base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho="))
OTHER = parse_root_key(Secret("base64:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7gA="))
KEY = "sk-canary/4f9A7c2E+81b6D05x"
OPENER = AesGcmKeysets()
REGISTRY = FakeRegistry([FakeProvider(plain_spec("openai"))])

NEAR = (*ENGINES[:3], pytest.param("server", marks=(needs_server, pytest.mark.night)))


def keycairn_on(store: Store, clock: FakeClock | None = None) -> Keycairn:
    return Keycairn(
        store=store,
        opener=OPENER,
        registry=REGISTRY,
        http=NoHttp(),
        environment=FakeEnvironment(),
        clock=clock or FakeClock(step=0.001),
        ids=UlidIds(),
    )


def backups_of(keycairn: Keycairn, folder: Path | None = None) -> Backups:
    return Backups(keycairn.store, keycairn.journal, keycairn.clock, folder)


async def furnished(store: Store) -> tuple[Keycairn, Secret]:
    """Accounts, models, a default and a token, whose text is given."""
    keycairn = keycairn_on(store)
    await keycairn.vault.unlock(ROOT)
    for number in range(3):
        made = await keycairn.credentials.create(
            "openai", name=f"{number}", secrets={"api_key": Secret(f"{KEY}{number}")}
        )
        await keycairn.probing.register(made.credential.id, [NewModel(f"gpt-{number}", Modality.LANGUAGE)])
    await keycairn.models.auto_assign()
    _, token = await keycairn.tokens.create("ci", [Scope.ADMIN])
    return keycairn, token


async def keys_of(keycairn: Keycairn) -> dict[str, str]:
    listed = await keycairn.credentials.list()
    accounts = {item.credential.name: await keycairn.credential_opener.open(item.credential) for item in listed}
    return {name: account.secrets["api_key"].reveal() for name, account in accounts.items()}


def resident() -> float:
    """MiB this process holds, the engine included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


async def stored(store: Store) -> list[Record]:
    async with store.snapshot() as records:
        return [record async for record in records]


@pytest.fixture
async def backup(tmp_path: Path) -> Path:
    keycairn, _ = await furnished(MemoryStore())
    file = tmp_path / "backup.gz"
    await backups_of(keycairn).save(file=file)
    return file


@pytest.mark.parametrize("source", NEAR)
@pytest.mark.parametrize("target", NEAR)
async def test_a_backup_moves_everything_to_any_engine(source: str, target: str, tmp_path: Path) -> None:
    file = tmp_path / "all.gz"
    async with a_store(source, tmp_path / "source") as store:
        keycairn, token = await furnished(store)
        saved = await backups_of(keycairn).save(file=file)
        left = await stored(store)

    async with a_store(target, tmp_path / "target") as store:
        restore = Restore(file)
        contents = await restore.examine(OPENER, ROOT)
        await restore.into(store)
        restored = await restore.compare(store, contents, OPENER, REGISTRY, ROOT)

        assert await stored(store) == left
        assert (restored.records, restored.opened, restored.broken) == (saved.records, 3, 0)
        keycairn = keycairn_on(store)
        assert await keycairn.vault.unlock(ROOT)
        assert await keys_of(keycairn) == {str(n): f"{KEY}{n}" for n in range(3)}
        assert (await keycairn.provisioning.provision(Slot.CHAT)).model.startswith("gpt-")
        assert (await keycairn.tokens.authenticate(token)).scopes == (Scope.ADMIN,)
        assert (await keycairn.audit.verify()).flaws == ()


async def test_a_backup_is_on_record_and_in_itself(backup: Path) -> None:
    events = [record for record in records_in(backup) if getattr(record, "action", None) is Action.STORE_BACKED_UP]
    assert len(events) == 1


async def test_a_backup_holds_no_key_in_any_form_and_is_its_owners_alone(backup: Path) -> None:
    keys = [f"{KEY}{n}" for n in range(3)]
    assert scan(backup.read_bytes(), *keys) == []
    assert scan(gzip.decompress(backup.read_bytes()), *keys, ROOT.material.reveal()) == []
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert [file.name for file in backup.parent.iterdir()] == ["backup.gz"]


async def test_a_damaged_file_is_refused_before_anything_is_written(backup: Path) -> None:
    whole = backup.read_bytes()
    for place in range(0, len(whole), 97):
        backup.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedBackupError):
            await Restore(backup).examine(OPENER)
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        backup.write_bytes(whole[:length])
        with pytest.raises(DamagedBackupError):
            await Restore(backup).examine(OPENER)


async def test_a_file_damaged_between_the_two_passes_leaves_the_store_empty(backup: Path) -> None:
    store = MemoryStore()
    restore = Restore(backup)
    await restore.examine(OPENER, ROOT)
    backup.write_bytes(backup.read_bytes()[:-200])
    with pytest.raises(DamagedBackupError):
        await restore.into(store)
    assert await stored(store) == []


async def test_a_wrong_root_key_is_refused_before_anything_is_written(backup: Path) -> None:
    with pytest.raises(WrongRootKeyError):
        await Restore(backup).examine(OPENER, OTHER)


async def test_without_a_root_key_it_is_restored_sealed(backup: Path) -> None:
    store, restore = MemoryStore(), Restore(backup)
    contents = await restore.examine(OPENER)
    await restore.into(store)
    restored = await restore.compare(store, contents, OPENER, REGISTRY, None)
    assert (restored.opened, restored.broken) == (None, None)
    assert not await keycairn_on(store).vault.unlock(OTHER)


async def test_a_store_in_use_is_left_as_it_is(backup: Path) -> None:
    keycairn, _ = await furnished(MemoryStore())
    before = await stored(keycairn.store)
    with pytest.raises(StoreNotEmptyError):
        await Restore(backup).into(keycairn.store)
    assert await stored(keycairn.store) == before


async def test_what_does_not_arrive_is_noticed(backup: Path) -> None:
    store, restore = MemoryStore(), Restore(backup)
    contents = await restore.examine(OPENER, ROOT)
    await restore.into(store)
    [one, *_] = await store.all_credentials()
    await store.commit((Reseal("default", one.id, {}, one.version),))
    with pytest.raises(RestoreMismatchError, match="credential"):
        await restore.compare(store, contents, OPENER, REGISTRY, ROOT)


async def test_the_former_backup_stays_when_the_next_one_fails(backup: Path) -> None:
    class Failing(MemoryStore):
        async def keyset(self) -> None:
            raise StoreUnavailableError

    before = backup.read_bytes()
    keycairn = keycairn_on(Failing())
    with pytest.raises(StoreUnavailableError):
        await backups_of(keycairn).save_unrecorded(backup)
    with pytest.raises(BackupFileError):
        await backups_of(keycairn).save_unrecorded(backup.parent / "missing" / "x")
    assert backup.read_bytes() == before
    assert [file.name for file in backup.parent.iterdir()] == ["backup.gz"]


async def test_a_sealed_service_hands_out_nothing(tmp_path: Path) -> None:
    keycairn, _ = await furnished(MemoryStore())
    sealed = keycairn_on(keycairn.store)
    await sealed.vault.unlock(OTHER)
    with pytest.raises(SealedError):
        await backups_of(sealed).save(file=tmp_path / "x")
    with pytest.raises(SealedError):
        await backups_of(sealed).spool()


async def test_a_store_others_write_to_all_the_time_gives_up_with_a_reason(tmp_path: Path) -> None:
    class Busy(MemoryStore):
        def snapshot(self) -> Never:
            raise ConflictError

    keycairn = keycairn_on(Busy())
    backups = Backups(keycairn.store, keycairn.journal, keycairn.clock, pause=0)
    with pytest.raises(ConflictError, match="all the time"):
        await backups.save_unrecorded(tmp_path / "x")


async def test_another_root_key_opens_a_handed_over_backup_and_ours_does_not(backup: Path, tmp_path: Path) -> None:
    target = tmp_path / "theirs.gz"
    handed = await RekeyedBackup(OPENER, REGISTRY).rewrite(
        backup, target, own=ROOT, other=OTHER, now=NOON, progress=lambda _: None
    )
    assert (handed.secrets, handed.broken) == (3, 0)
    assert handed.counts == {"keyset": 1, "credential": 3, "model": 3, "defaults": 1}
    ours, theirs = examine(backup).keyset, examine(target).keyset
    assert ours is not None
    assert theirs is not None
    assert ours.install_id != theirs.install_id
    with pytest.raises(WrongRootKeyError):
        await Restore(target).examine(OPENER, ROOT)

    store, restore = MemoryStore(), Restore(target)
    contents = await restore.examine(OPENER, OTHER)
    await restore.into(store)
    restored = await restore.compare(store, contents, OPENER, REGISTRY, OTHER)
    assert (restored.opened, restored.broken) == (3, 0)
    keycairn = keycairn_on(store)
    assert await keycairn.vault.unlock(OTHER)
    assert await keys_of(keycairn) == {str(n): f"{KEY}{n}" for n in range(3)}
    assert (await keycairn.provisioning.provision(Slot.CHAT)).model.startswith("gpt-")


async def test_their_keys_open_nothing_of_ours_and_our_tokens_nothing_of_theirs(backup: Path, tmp_path: Path) -> None:
    target = tmp_path / "theirs.gz"
    await RekeyedBackup(OPENER, REGISTRY).rewrite(
        backup, target, own=ROOT, other=OTHER, now=NOON, progress=lambda _: None
    )
    ours, theirs = ({r.id: r for r in records_in(f) if isinstance(r, Credential)} for f in (backup, target))
    keyset = examine(target).keyset
    assert keyset is not None
    cipher = OPENER.open(keyset, OTHER).cipher
    assert ours.keys() == theirs.keys()
    _, token = await furnished(MemoryStore())
    receiver = MemoryStore()
    await Restore(target).into(receiver)
    theirs_open = keycairn_on(receiver)
    assert await theirs_open.vault.unlock(OTHER)
    with pytest.raises(AuthenticationError):
        await theirs_open.tokens.authenticate(token)
    for credential in ours.values():
        with pytest.raises(UndecryptableError):
            cipher.open(credential.sealed["api_key"], seal_context(REGISTRY.get("openai").spec, credential, "api_key"))


async def test_backups_come_when_due_and_only_so_many_are_kept(tmp_path: Path) -> None:
    clock = FakeClock(step=0.001)
    keycairn = keycairn_on(MemoryStore(), clock)
    await keycairn.vault.unlock(ROOT)
    backups, folder = backups_of(keycairn), tmp_path / "backups"
    schedule = Schedule(folder=folder, every=timedelta(hours=6), keep=3)
    (folder).mkdir()
    mine = folder / "keycairn-notes.backup.gz"
    mine.write_text("not a scheduled one")
    (folder / "keycairn-20250101T000000Z.backup.gz.part").write_text("cut off")

    assert backups.due_in(schedule) <= timedelta(0)
    for _ in range(5):
        await backups.rotate(schedule)
        assert timedelta(hours=5) < backups.due_in(schedule) <= timedelta(hours=6)
        clock.tick(6 * 3600)
        assert backups.due_in(schedule) <= timedelta(0)

    kept = sorted(file for file in folder.iterdir() if file != mine)
    assert len(kept) == 3
    assert all(examine(file).trailer.records for file in kept)
    assert mine.exists()


async def test_the_oldest_stay_when_the_new_one_fails(tmp_path: Path) -> None:
    class Breaking(MemoryStore):
        broken = False

        async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
            if self.broken:
                raise StoreUnavailableError
            await super().commit(changes, finish)

    clock, store = FakeClock(step=0.001), Breaking()
    keycairn = keycairn_on(store, clock)
    await keycairn.vault.unlock(ROOT)
    backups, schedule = backups_of(keycairn), Schedule(folder=tmp_path / "b", keep=2)
    for _ in range(2):
        await backups.rotate(schedule)
        clock.tick(100_000)
    before = sorted(schedule.folder.iterdir())
    store.broken = True
    with suppress(StoreUnavailableError):
        await backups.rotate(schedule)
    assert sorted(schedule.folder.iterdir()) == before


@pytest.mark.night
async def test_ten_thousand_records_pass_in_bounded_memory(tmp_path: Path) -> None:
    async with a_store("surrealkv", tmp_path) as store, a_store("surrealkv", tmp_path / "target") as target:
        credentials = [a_credential() for _ in range(10_000)]
        await store.restore(sorted(credentials, key=attrgetter("id")))
        file, backups = tmp_path / "big.gz", backups_of(keycairn_on(store))
        before = resident()
        saved = await backups.save_unrecorded(file)
        restore = Restore(file)
        contents = await restore.examine(OPENER)
        await restore.into(target)
        await restore.compare(target, contents, OPENER, REGISTRY, None)
        assert saved.records == contents.trailer.records == 10_000
        assert resident() - before < 150
