import asyncio
import json
from pathlib import Path
from shutil import rmtree

import pytest
from tests.canary import scan
from tests.shell import KEY, Shell

from keycairn.app import open_keycairn, read_settings
from keycairn.app.services.backups import examine
from keycairn.domain.change import Discard
from keycairn.domain.ids import key_of
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

OTHER = "base64:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7gA="


def moved(shell: Shell, folder: str = "elsewhere", *, root_key: bool = True) -> dict[str, str]:
    """The variables of another, empty installation."""
    data = shell.folder / folder
    given = {"KEYCAIRN_ROOT_KEY_FILE": str(shell.data / "root-key")} if root_key else {}
    return {"KEYCAIRN_DATA_DIR": str(data), **given}


async def backed_up(shell: Shell, *options: str) -> Path:
    file = shell.folder / "all.backup.gz"
    told = await shell.read("backup", str(file), *options)
    assert told["file"] == str(file)
    return file


async def test_a_backup_is_restored_elsewhere_and_works(stocked: Shell) -> None:
    before = await stocked.read("status")
    account = before["credentials"][0]["id"]
    await stocked.read("credential", "policy", account, "--every", "90")
    file = await backed_up(stocked)
    assert scan(file.read_bytes(), KEY) == []

    restored = await stocked.read("restore", str(file), **moved(stocked))

    assert (restored["opened"], restored["broken"]) == (1, 0)
    assert restored["records"] == examine(file).trailer.records
    after = await stocked.read("status", **moved(stocked))
    assert [c["id"] for c in after["credentials"]] == [c["id"] for c in before["credentials"]]
    assert "came with a backup, and rests" in after["key_warnings"][account]
    assert restored["into"] == str(stocked.folder / "elsewhere")
    assert Path(restored["token_file"]) == stocked.folder / "elsewhere/first-token"
    assert (await stocked.run("test", "--all", **moved(stocked))).exit_code == 0
    assert (await stocked.run("doctor", **moved(stocked))).exit_code == 0
    async with open_keycairn(read_settings({**stocked.variables, **moved(stocked)} | {"OPENAI_API_KEY": ""})) as kc:
        token = await kc.tokens.authenticate(Secret(Path(restored["token_file"]).read_text().strip()))
        assert token.scopes == (Scope.ADMIN,)  # a way in for the commands beside the service
        assert (await kc.audit.verify()).flaws == ()
        assert [event.action.value for event in await kc.audit.events()].count("store.restored") == 1


@pytest.mark.night
async def test_people_are_told_what_happened(stocked: Shell) -> None:
    file = stocked.folder / "x.backup.gz"
    written = (await stocked.run("backup", str(file))).stdout
    assert "credential 1" in written
    assert f"the root key in use today (in {stocked.data / 'root-key'})" in written
    told = (await stocked.run("restore", str(file), **moved(stocked))).stdout
    assert "Secrets that open: 1" in told


async def test_without_the_root_key_it_is_restored_sealed_and_said_what_is_missing(stocked: Shell) -> None:
    file = await backed_up(stocked)
    told = (await stocked.run("restore", str(file), **moved(stocked, root_key=False))).stdout
    place = stocked.folder / "elsewhere"
    assert f"Restored into {place}" in told
    assert str(place / "root-key") in told
    assert "keycairn token create" in told
    examined = await stocked.run("doctor", **moved(stocked, root_key=False))
    assert examined.exit_code == 1
    assert "Put its file back" in examined.output
    assert "openssl" not in told + examined.output  # a new one would never open it
    assert (await stocked.run("test", "--all", **moved(stocked))).exit_code == 0


async def test_what_cannot_be_restored_leaves_everything_as_it_was(stocked: Shell) -> None:
    file = await backed_up(stocked)
    before = await stocked.read("status")

    not_empty = await stocked.run("restore", str(file))
    assert not_empty.exit_code == 1
    assert "not empty" in not_empty.stderr
    assert (await stocked.read("status")) == before

    other = {**moved(stocked, root_key=False), "KEYCAIRN_ROOT_KEY": OTHER}
    wrong = await stocked.run("restore", str(file), **other)
    assert wrong.exit_code == 1
    assert "root key" in wrong.stderr

    file.write_bytes(file.read_bytes()[:-1])
    damaged = await stocked.run("restore", str(file), **moved(stocked))
    assert damaged.exit_code == 1
    assert "cannot be used" in damaged.stderr
    assert not (stocked.folder / "elsewhere" / "db").exists()

    memory = await stocked.run("restore", str(file), KEYCAIRN_DATABASE_URL="mem://")
    assert memory.exit_code == 2


async def test_a_file_that_is_no_backup_is_not_overwritten(stocked: Shell) -> None:
    notes = stocked.folder / "notes.txt"
    notes.write_text("of value")
    told = await stocked.run("backup", str(notes))
    assert told.exit_code == 1
    assert notes.read_text() == "of value"
    file = await backed_up(stocked)
    await backed_up(stocked)
    assert examine(file).trailer.counts["credential"] == 1


@pytest.mark.night
async def test_handed_over_it_opens_with_the_other_root_key_only(stocked: Shell) -> None:
    other = stocked.folder / "other-key"
    other.write_text(OTHER + "\n")
    file = await backed_up(stocked, "--re-encrypt-for", str(other))
    theirs = {"KEYCAIRN_DATA_DIR": str(stocked.folder / "theirs"), "KEYCAIRN_ROOT_KEY_FILE": str(other)}

    assert (await stocked.run("restore", str(file), **moved(stocked))).exit_code == 1
    restored = await stocked.read("restore", str(file), **theirs)

    assert restored["counts"].keys() <= {"keyset", "credential", "model", "defaults"}
    assert Path(restored["token_file"]).read_text().startswith("kc_")
    assert (await stocked.run("test", "--all", **theirs)).exit_code == 0
    assert list(stocked.folder.glob(".keycairn-*")) == []


async def test_handing_over_needs_another_key_and_ones_own(stocked: Shell) -> None:
    file, own = stocked.folder / "x.backup.gz", stocked.data / "root-key"
    same = await stocked.run("backup", str(file), "--re-encrypt-for", str(own))
    assert (same.exit_code, file.exists()) == (2, False)


@pytest.mark.night
async def test_doctor_mends_what_is_safe_after_a_backup(stocked: Shell) -> None:
    [credential] = (await stocked.read("status"))["credentials"]
    fine = json.loads((await stocked.run("doctor", "--fix", "--json")).stdout)
    assert (fine["backup"], fine["done"]) == (None, [])

    await stocked.run("discover", credential["id"], "--register")
    async with open_keycairn(read_settings({**stocked.variables, "OPENAI_API_KEY": ""})) as kc:
        await kc.store.commit((Discard("credential", key_of(credential["id"])),))
    assert (await stocked.run("doctor")).exit_code == 1
    told = await stocked.run("doctor", "--fix", "--json")
    assert told.exit_code == 0, told.output
    fixed = json.loads(told.stdout)
    assert fixed["done"]
    assert examine(Path(fixed["backup"])).trailer.records


@pytest.mark.parametrize("words", [("--yes",), ("--fix", "--lost-root-key")])
async def test_options_that_do_not_go_together_are_refused(shell: Shell, words: tuple[str, ...]) -> None:
    assert (await shell.run("doctor", *words)).exit_code == 2


@pytest.mark.night
async def test_a_lost_root_key_needs_a_yes(stocked: Shell) -> None:
    (stocked.data / "root-key").unlink()
    assert "--lost-root-key" in (await stocked.run("doctor")).stdout
    assert (await stocked.run("doctor", "--lost-root-key")).exit_code != 0
    assert not (stocked.data / "root-key").exists()

    begun = await stocked.read("doctor", "--lost-root-key", "--yes")

    assert begun["credentials"] == 1
    assert Path(begun["root_key_file"]).exists()
    findings = json.loads((await stocked.run("doctor", "--json")).stdout)
    assert "secret_unreadable" in {finding["code"] for finding in findings}


@pytest.mark.night
async def test_after_the_database_was_lost_the_audit_log_goes_on_from_the_backup(stocked: Shell) -> None:
    file = await backed_up(stocked)
    await stocked.run("token", "create", "later", "--scope", "invoke")
    rmtree(stocked.data / "db")

    await stocked.read("restore", str(file))

    found = {finding["code"] for finding in await stocked.read("doctor")}
    assert not [code for code in found if code.startswith("audit_")]


async def test_backups_are_written_by_themselves(stocked: Shell) -> None:
    folder = stocked.folder / "backups"
    variables = {**stocked.variables, "KEYCAIRN_BACKUP_DIR": str(folder), "OPENAI_API_KEY": ""}
    async with open_keycairn(read_settings(variables)):
        for _ in range(1000):
            if list(folder.glob("*.backup.gz")):
                break
            await asyncio.sleep(0.01)
    async with open_keycairn(read_settings(variables)):
        await asyncio.sleep(0.05)  # the next one is not due for a day
    [file] = folder.iterdir()
    assert examine(file).trailer.counts["credential"] == 1
