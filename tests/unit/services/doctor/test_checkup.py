"""Finding what is broken, and mending what can be mended."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.house import House
from tests.samples import a_credential, a_model

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.backups.backups import Backups
from keycairn.app.services.backups.file import records_in
from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.doctor.findings import Finding
from keycairn.app.services.doctor.repair import Repair
from keycairn.domain.audit import IN_PROCESS, Action, Head
from keycairn.domain.change import AddCredential, AddModel, Append, MarkBroken, Reseal
from keycairn.domain.credential import Credential
from keycairn.domain.errors import BackupFileError, SealedError
from keycairn.domain.ids import CredentialId
from keycairn.domain.model import Model, Slot
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret
from keycairn.domain.state import key_for

ROOT = parse_root_key(Secret("base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho="))


async def furnished(tmp_path: Path) -> tuple[House, Keycairn]:
    house = House(keysets=AesGcmKeysets(), backup_dir=tmp_path / "backups")
    kc = await house.open(ROOT)
    for name in ("one", "two"):
        made = await kc.credentials.create("openai", name=name, secrets={"api_key": Secret(f"sk-{name}")})
        await house.store.commit((AddModel(a_model(name=f"gpt-{name}", credential=made.credential.id)),))
    return house, kc


def damaged(house: House, *records: Credential | Model, gone: Model | None = None) -> None:
    """Records that no commit would have left like that."""
    assert isinstance(house.store, MemoryStore)
    for record in records:
        house.store.state.put(record)
    if gone is not None:
        house.store.state.absorb({key_for(gone): None})


async def credentials_of(kc: Keycairn) -> list[Credential]:
    return [item.credential for item in await kc.credentials.list()]


async def models_of(house: House) -> list[Model]:
    return list(await house.store.models("default"))


async def spoil(house: House, kc: Keycairn) -> Credential:
    """Give one credential the sealed secret of another."""
    one, two = await credentials_of(kc)
    event = kc.journal.event(IN_PROCESS, Action.SECRETS_RESEALED, one.id)
    await kc.journal.commit((Reseal("default", one.id, dict(two.sealed), one.version), event))
    return one


def by_code(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.code: finding for finding in findings}


async def test_all_well_says_so(tmp_path: Path) -> None:
    _, kc = await furnished(tmp_path)
    findings = await kc.checkup.report()
    assert [finding.code for finding in findings] == ["encryption", "records", "audit"]
    assert not any(finding.broken or finding.what_to_do for finding in findings)
    assert (await kc.repair.fix()).backup is None


async def test_a_checkup_changes_nothing(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    await spoil(house, kc)
    before = await house.store.revision()
    await kc.checkup.report()
    assert await house.store.revision() == before


async def test_secrets_that_do_not_open_are_listed_by_key_and_noted_by_a_fix(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    broken = await spoil(house, kc)

    found = by_code(await kc.checkup.report())
    assert (found["secret_unreadable"].records, found["secret_unreadable"].key) == ((broken.id,), 1)
    assert "api_key" in found["secret_unreadable"].found
    assert (found["key_unreadable"].subject, found["key_unreadable"].records) == ("data key 1", (broken.id,))
    assert found["marks_stale"].fixable

    repaired = await kc.repair.fix()
    assert "marks_stale" not in by_code(repaired.findings)
    assert (await kc.credentials.get(broken.id)).credential.broken

    await kc.credentials.update(broken.id, CredentialPatch(secrets={"api_key": Secret("sk-again")}))
    assert "secret_unreadable" not in by_code(await kc.checkup.report())


async def test_a_mark_on_a_secret_that_opens_is_taken_away(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    one, _ = await credentials_of(kc)
    await house.store.commit((MarkBroken("default", one.id, {"api_key": "wrongly"}, one.version),))
    await kc.repair.fix()
    assert not (await kc.credentials.get(one.id)).credential.broken


async def test_a_model_whose_credential_is_gone_is_unlinked_and_kept(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    orphan = a_model(name="gpt-orphan", credential=CredentialId("credential:gone"))
    elsewhere = a_credential(workspace="other", sealed={})
    stray = a_model(name="gpt-stray", credential=elsewhere.id)
    damaged(house, orphan, elsewhere, stray)
    found = [finding for finding in await kc.checkup.report() if finding.code == "link_dangling"]
    assert {finding.records for finding in found} == {(orphan.id,), (stray.id,)}

    repaired = await kc.repair.fix()

    assert len(repaired.done) == 2
    assert "link_dangling" not in by_code(repaired.findings)
    assert by_code(repaired.findings)["models_unlinked"].records == (orphan.id, stray.id)
    kept = {model.id: model for model in await models_of(house)}
    assert kept[orphan.id].credential is None
    assert len(kept) == 4


async def test_a_model_that_cannot_be_unlinked_is_left_and_listed(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    orphan = a_model(credential=CredentialId("credential:gone"))
    twin = a_model(name=orphan.name)
    damaged(house, orphan, twin)
    repaired = await kc.repair.fix()
    assert repaired.done == ()
    assert by_code(repaired.findings)["link_dangling"].records == (orphan.id,)


async def test_a_default_that_points_to_nothing_is_cleared_and_others_stay(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    first, second = await models_of(house)
    await kc.models.set_defaults({Slot.CHAT: first.id, Slot.TOOLS: second.id})
    damaged(house, gone=first)
    assert by_code(await kc.checkup.report())["default_dangling"].subject == Slot.CHAT

    repaired = await kc.repair.fix()

    assert repaired.done == ("cleared default_chat_model",)
    assert dict((await house.store.defaults("default")).slots) == {Slot.TOOLS: second.id}


async def test_models_that_are_missing_are_mentioned(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    await house.store.commit((AddModel(a_model(name="old", missing_since=house.clock.now())),))
    found = by_code(await kc.checkup.report())
    assert not found["models_missing"].broken
    assert "old" in found["models_missing"].found


async def test_a_credential_without_its_plugin_is_listed(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    stranger = a_credential(provider="vanished", sealed={})
    await house.store.commit((AddCredential(stranger),))
    assert by_code(await kc.checkup.report())["provider_unknown"].records == (stranger.id,)


async def test_a_gap_in_the_audit_log_is_broken_and_cannot_be_fixed(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    head = await house.store.head()
    assert head is not None
    event = kc.journal.event(IN_PROCESS, Action.TOKEN_CREATED, "token:x").event
    forged = replace(event, seq=head.seq + 2, mac="0" * 64)
    await house.store.commit((Append(forged),), lambda draft: draft.put(Head(forged.seq, forged.mac)))
    found = [finding for finding in await kc.checkup.report() if finding.code.startswith("audit_")]
    assert found
    assert any(finding.broken for finding in found)
    assert not any(finding.fixable for finding in found)


async def test_a_fix_writes_a_backup_of_what_was_before_it(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    orphan = a_model(credential=CredentialId("credential:gone"))
    damaged(house, orphan)
    repaired = await kc.repair.fix()
    assert repaired.backup is not None
    assert orphan in records_in(Path(repaired.backup))
    events = await house.store.events("default")
    assert [event.action for event in events][-2:] == [Action.STORE_BACKED_UP, Action.STORE_REPAIRED]
    assert (await kc.audit.verify()).intact


async def test_without_a_backup_nothing_is_changed(tmp_path: Path) -> None:
    house, kc = await furnished(tmp_path)
    damaged(house, a_model(credential=CredentialId("credential:gone")))
    before = await house.store.revision()
    nowhere = Backups(house.store, kc.journal, house.clock)
    repair = Repair(house.store, kc.checkup, nowhere, kc.credential_opener, kc.rotation, kc.journal, house.clock)
    with pytest.raises(BackupFileError):
        await repair.fix()
    assert await house.store.revision() == before


async def test_a_sealed_keycairn_cannot_tell(tmp_path: Path) -> None:
    house, _ = await furnished(tmp_path)
    sealed = House(store=house.store).keycairn
    with pytest.raises(SealedError):
        await sealed.checkup.report()
