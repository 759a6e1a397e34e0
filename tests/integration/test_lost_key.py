"""A lost root key costs the keys, and nothing else."""

from base64 import b64encode
from pathlib import Path

import pytest
from msgspec.structs import replace

from keycairn.app import CredentialPatch, Modality, NewModel, Secret, Settings, Slot, open_keycairn
from keycairn.app.lost_key import begin_anew
from keycairn.app.offline import restore_backup
from keycairn.app.services.audit import FlawKind
from keycairn.app.services.backups import records_in
from keycairn.app.services.keys.lost_root_key import WHY
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    AuthenticationError,
    NothingLostError,
    SettingsError,
    StoreLockedError,
    UndecryptableError,
    WrongRootKeyProofError,
)
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.token import Scope


def a_root_key(first: int) -> RootKey:
    return parse_root_key(Secret("base64:" + b64encode(bytes((first + n * n) % 256 for n in range(32))).decode()))


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    """Of a database with two accounts, a model each, a default, and a token."""
    settings = Settings(data_dir=tmp_path / "data", env_file=None, external_plugins=False)
    async with open_keycairn(settings) as kc:
        for name in ("one", "two"):
            made = await kc.credentials.create(
                "openai", name=name, secrets={"api_key": Secret(f"sk-{name}-0123456789")}
            )
            await kc.probing.register(made.credential.id, [NewModel(f"gpt-{name}", Modality.LANGUAGE)])
        await kc.models.auto_assign()
    return settings


async def test_while_the_root_key_opens_the_keyset_nothing_is_replaced(settings: Settings) -> None:
    async with open_keycairn(settings) as kc:
        before = await kc.store.keyset()
    with pytest.raises(NothingLostError):
        await begin_anew(settings)
    with pytest.raises(NothingLostError):  # another one is set, but the right one lies in the data folder
        await begin_anew(replace(settings, root_key=a_root_key(1)))
    async with open_keycairn(settings) as kc:
        assert await kc.store.keyset() == before
    assert not (settings.data_dir / "backups").exists()


async def test_nothing_is_made_anew_where_nothing_is_stored(tmp_path: Path) -> None:
    with pytest.raises(NothingLostError):
        await begin_anew(Settings(data_dir=tmp_path))
    with pytest.raises(SettingsError):
        await begin_anew(Settings(database_url="mem://"))


async def test_a_service_that_runs_is_left_alone(settings: Settings) -> None:
    async with open_keycairn(settings):
        (settings.data_dir / "root-key").unlink()
        with pytest.raises(StoreLockedError):
            await begin_anew(settings)


@pytest.mark.parametrize("how", ["gone", "another", "damaged", "set"])
async def test_metadata_models_and_links_survive_and_a_key_sent_again_heals(settings: Settings, how: str) -> None:
    file = settings.data_dir / "root-key"
    former = file.read_text()
    match how:
        case "gone" | "set":
            file.unlink()
        case "another":
            file.write_text("base64:" + a_root_key(7).material.reveal())
        case "damaged":
            file.write_text("base64:nonsense")
    given = replace(settings, root_key=a_root_key(3)) if how == "set" else settings

    begun = await begin_anew(given)

    assert (begun.credentials, begun.tokens) == (2, 1)
    assert (begun.root_key_file is None) == (how == "set")
    assert Path(begun.backup).parent == settings.data_dir / "backups"
    kept = [record for record in records_in(Path(begun.backup)) if isinstance(record, Credential)]
    async with open_keycairn(given) as kc:
        assert kc.vault.why_sealed is None
        listed = [item.credential for item in await kc.credentials.list()]
        assert {c.id for c in listed} == {c.id for c in kept}
        assert all(credential.broken == {"api_key": WHY} for credential in listed)
        assert len(await kc.store.models("default")) == 2
        chat = (await kc.store.defaults("default")).slots[Slot.CHAT]
        with pytest.raises(UndecryptableError):
            await kc.provisioning.provision(Slot.CHAT)

        model = await kc.store.model("default", chat)
        assert model is not None
        assert model.credential is not None
        await kc.credentials.update(
            model.credential, CredentialPatch(secrets={"api_key": Secret("sk-again-0123456789")})
        )

        assert (await kc.provisioning.provision(Slot.CHAT)).config["api_key"] == "sk-again-0123456789"
        healed = (await kc.credentials.get(model.credential)).credential
        assert (healed.broken, healed.decryption_error) == ({}, None)
        flaws = (await kc.audit.verify()).flaws
        assert {flaw.kind for flaw in flaws} == {FlawKind.UNPROVEN}
        findings = await kc.checkup.report()
        assert [finding.code for finding in findings if finding.broken] == ["secret_unreadable"]
    assert former not in "".join(f.read_text() for f in settings.data_dir.glob("root-key"))
    with pytest.raises(NothingLostError):
        await begin_anew(given)


async def test_former_tokens_open_nothing_and_the_new_one_does(settings: Settings) -> None:
    async with open_keycairn(settings) as kc:
        _, former = await kc.tokens.create("ci", [Scope.ADMIN])
    first = Secret((settings.data_dir / "first-token").read_text().strip())
    (settings.data_dir / "root-key").unlink()
    begun = await begin_anew(settings)
    assert begun.token_file is not None
    async with open_keycairn(settings) as kc:
        for token in (former, first):
            with pytest.raises(AuthenticationError):
                await kc.tokens.authenticate(token)
        new = Secret(Path(begun.token_file).read_text().strip())
        assert (await kc.tokens.authenticate(new)).scopes == (Scope.ADMIN,)


async def test_going_on_with_a_key_of_ones_own_gives_nobody_a_secret(settings: Settings) -> None:
    """Whoever takes the true root key away and goes on with his own gets the accounts' names, and nothing they hold."""
    file = settings.data_dir / "root-key"
    true_key = parse_root_key(Secret(file.read_text()))
    file.unlink()
    begun = await begin_anew(replace(settings, root_key=a_root_key(3)))
    async with open_keycairn(replace(settings, root_key=a_root_key(3))) as kc:
        for listed in await kc.credentials.list():
            with pytest.raises(UndecryptableError):
                await kc.credential_opener.open(listed.credential)
        await kc.rotation.rotate()
        with pytest.raises(WrongRootKeyProofError):
            await kc.root_keys.change(a_root_key(4), present=true_key)
    elsewhere = replace(settings, data_dir=settings.data_dir.parent / "elsewhere", root_key=true_key)
    restored, _ = await restore_backup(elsewhere, Path(begun.backup))
    assert (restored.opened, restored.broken) == (2, 0), "the backup that was made first, and the true key"


async def test_the_former_key_file_is_kept_aside(settings: Settings) -> None:
    (settings.data_dir / "root-key").write_text("base64:" + a_root_key(9).material.reveal())
    await begin_anew(settings)
    [aside] = settings.data_dir.glob("root-key.lost-*")
    assert aside.read_text() == "base64:" + a_root_key(9).material.reveal()
