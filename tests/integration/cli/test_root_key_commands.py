"""Changing the root key and handing over from the command line: with the present root key, and never without."""

import gzip
from pathlib import Path

import httpx
import pytest
from tests.canary import scan
from tests.nights import by_day
from tests.served import serving
from tests.shell import KEY, Shell

NEW = "base64:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7gA="
THIEF = "base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho="


@pytest.fixture
def new(shell: Shell) -> str:
    file = shell.folder / "new-key"
    file.write_text(NEW + "\n")
    return str(file)


@pytest.fixture
def thief(shell: Shell) -> str:
    file = shell.folder / "thief-key"
    file.write_text(THIEF + "\n")
    return str(file)


def own(shell: Shell) -> Path:
    return shell.data / "root-key"


async def works(shell: Shell, **variables: str) -> bool:
    return (await shell.run("test", "--all", **variables)).exit_code == 0


@pytest.mark.night
async def test_the_former_key_goes_with_the_next_start(stocked: Shell, new: str) -> None:
    former = own(stocked).read_text()
    changed = await stocked.read("rotate", "root", new)
    assert (changed["former"], own(stocked).read_text().strip()) == (["slot-1"], NEW)
    assert await works(stocked)
    assert not await works(stocked, KEYCAIRN_ROOT_KEY=former.strip())


async def test_until_then_it_is_possible_to_go_back(stocked: Shell, new: str) -> None:
    former = own(stocked).read_text()
    await stocked.run("rotate", "root", new)
    own(stocked).write_text(former)
    assert await works(stocked)
    findings = {finding["code"]: finding for finding in await stocked.read("doctor")}
    assert "--now" in findings["root_key_former"]["what_to_do"]


@pytest.mark.night
async def test_after_a_leak_it_goes_at_once_in_the_change_or_later(stocked: Shell, new: str) -> None:
    former = own(stocked).read_text().strip()
    assert (await stocked.read("rotate", "root", new, "--now"))["former"] == []
    assert not await works(stocked, KEYCAIRN_ROOT_KEY=former)
    (stocked.folder / "third").write_text(THIEF)
    await stocked.run("rotate", "root", str(stocked.folder / "third"))
    assert (await stocked.read("rotate", "root", "--now"))["former"] == []
    assert await works(stocked)


@pytest.mark.night
@pytest.mark.parametrize("way", ["typed", "file"])
async def test_the_present_key_may_be_given(stocked: Shell, new: str, way: str) -> None:
    kept = stocked.folder / "kept-elsewhere"
    own(stocked).rename(kept)
    given = {"KEYCAIRN_ROOT_KEY_FILE": str(kept)}
    source, typed = ("-", kept.read_text()) if way == "typed" else (f"@{kept}", None)
    told = await stocked.run("rotate", "root", new, "--current-root-key", source, typed=typed, **given)
    assert told.exit_code == 0, told.output
    assert "KEYCAIRN_ROOT_KEY_FILE" in told.stdout
    assert await works(stocked, KEYCAIRN_ROOT_KEY_FILE=new)


async def test_a_wrong_present_key_changes_nothing_and_leaves_nothing(stocked: Shell, new: str, thief: str) -> None:
    before = own(stocked).read_text()
    for words in (("rotate", "root", new), ("rotate", "root", "--now"), ("rotate", "root", new, "--now")):
        told = await stocked.run(*words, "--current-root-key", f"@{thief}")
        assert told.exit_code == 1
        assert "root key" in told.stderr
    assert own(stocked).read_text() == before
    assert not (stocked.data / "root-key.next").exists()
    assert await works(stocked)


@pytest.mark.night
@pytest.mark.parametrize("command", ["rotate", "backup"])
async def test_a_root_key_in_the_command_itself_is_refused_and_not_repeated(
    stocked: Shell, new: str, command: str
) -> None:
    words = ("rotate", "root", new) if command == "rotate" else ("backup", "x.backup.gz", "--re-encrypt-for", new)
    for literal in (THIEF, own(stocked).read_text().strip(), "", "@"):
        told = await stocked.run(*words, "--current-root-key", literal)
        assert told.exit_code == 2
        assert not literal.startswith("base64:") or literal not in told.output


async def test_a_service_elsewhere_is_shown_no_root_key_that_was_not_named_for_it(stocked: Shell, new: str) -> None:
    before = own(stocked).read_text()
    told = await stocked.run("rotate", "root", new, KEYCAIRN_URL="http://127.0.0.1:9", KEYCAIRN_TOKEN="kc_x")
    assert (told.exit_code, own(stocked).read_text()) == (2, before)
    assert "--current-root-key" in told.stderr


@pytest.mark.night
async def test_handing_over_needs_a_key_that_opens_the_backup(stocked: Shell, new: str, thief: str) -> None:
    file = stocked.folder / "theirs.backup.gz"
    words = ("backup", str(file), "--re-encrypt-for", new)
    told = await stocked.run(*words, "--current-root-key", f"@{thief}")
    assert (told.exit_code, file.exists()) == (1, False)
    assert (await stocked.run(*words, "--current-root-key", f"@{own(stocked)}")).exit_code == 0
    assert scan(gzip.decompress(file.read_bytes()), KEY) == []
    await stocked.run("backup", str(stocked.folder / "ours.backup.gz"))
    lines = gzip.decompress((stocked.folder / "ours.backup.gz").read_bytes()).decode().splitlines()
    assert sum('"store.backed_up"' in line and '"another root key"' in line for line in lines) == 2


@pytest.mark.night
async def test_a_change_that_was_cut_off_before_the_file_was_put_in_place_is_finished(stocked: Shell, new: str) -> None:
    former = own(stocked).read_text()
    await stocked.run("rotate", "root", new)
    own(stocked).write_text(former)
    (stocked.data / "root-key.next").write_text(NEW)
    assert await works(stocked)
    assert own(stocked).read_text() == NEW
    assert not await works(stocked, KEYCAIRN_ROOT_KEY=former.strip())


@pytest.mark.parametrize("staged", by_day(["", "base64:", "base64:AAAA", "\udcff", THIEF], one_in=5))
async def test_a_key_of_a_change_that_never_came_about_is_of_no_account(stocked: Shell, staged: str) -> None:
    before = own(stocked).read_text()
    (stocked.data / "root-key.next").write_bytes(staged.encode("utf-8", "surrogateescape"))
    assert await works(stocked)
    assert own(stocked).read_text() == before


@pytest.mark.night
async def test_a_key_of_a_change_never_becomes_that_of_a_fresh_database(shell: Shell, thief: str) -> None:
    shell.data.mkdir()
    (shell.data / "root-key.next").write_text(THIEF)
    await shell.begin()
    assert THIEF not in own(shell).read_text()


@pytest.mark.night
async def test_an_admin_token_and_a_backup_open_nothing(stocked: Shell, thief: str) -> None:
    """The whole attack, against a real service: a root key of one's own, then a backup, then offline."""
    async with serving(stocked) as served:
        admin = (stocked.data / "first-token").read_text().strip()
        async with httpx.AsyncClient(base_url=served.url, headers={"Authorization": f"Bearer {admin}"}) as http:
            for proof in ({}, {"current_root_key": THIEF}, {"current_root_key": admin}):
                tried = await http.post("/api/encryption/root-key", json={"root_key": THIEF, **proof})
                assert tried.status_code in {403, 422}
            (stocked.folder / "taken.backup.gz").write_bytes((await http.get("/api/backup")).content)
            good = {"root_key": NEW, "current_root_key": own(stocked).read_text().strip()}
            assert (await http.post("/api/encryption/root-key", json=good)).status_code == 200
            events = (await http.get("/api/audit", params={"action": "root_key.refused"})).json()
            assert [event["outcome"] for event in events] == ["wrong_root_key_proof"] * 2
        await served.stop()
    elsewhere = {"KEYCAIRN_DATA_DIR": str(stocked.folder / "theirs"), "KEYCAIRN_ROOT_KEY_FILE": thief}
    assert (await stocked.run("restore", str(stocked.folder / "taken.backup.gz"), **elsewhere)).exit_code == 1
    assert await works(stocked), "the former key, until a start with the new one"
    assert await works(stocked, KEYCAIRN_ROOT_KEY=NEW)
    assert not await works(stocked)


async def test_a_backup_from_before_a_change_is_restored_in_the_same_place(stocked: Shell, new: str) -> None:
    former = own(stocked).read_text()
    backup = str(stocked.folder / "before.backup.gz")
    assert "the root key in use today" in (await stocked.run("backup", backup)).output
    changed = await stocked.read("rotate", "root", new, "--now")
    assert Path(changed["kept"]).read_text() == former
    assert Path(changed["kept"]).stat().st_mode & 0o777 == 0o600
    (stocked.data / "db").rename(stocked.folder / "gone")
    for left in stocked.data.glob("*.redo"):
        left.unlink()
    (stocked.data / "audit-head").unlink(missing_ok=True)

    restored = await stocked.run("restore", backup)

    assert restored.exit_code == 0, restored.output
    assert own(stocked).read_text() == former
    assert await works(stocked)


@pytest.mark.night
async def test_a_backup_asks_for_the_root_key_of_its_time_and_takes_it(stocked: Shell, new: str, thief: str) -> None:
    former = own(stocked).read_text()
    backup = str(stocked.folder / "before.backup.gz")
    await stocked.run("backup", backup)
    elsewhere = {"KEYCAIRN_DATA_DIR": str(stocked.folder / "elsewhere")}
    (stocked.folder / "elsewhere").mkdir()
    (stocked.folder / "elsewhere/root-key").write_text(THIEF)
    refused = await stocked.run("restore", backup, **elsewhere)
    assert refused.exit_code == 1
    assert "--root-key" in refused.stderr
    assert "slot-1" in refused.stderr
    assert (await stocked.run("restore", backup, "--root-key", f"@{thief}", **elsewhere)).exit_code == 1
    assert (await stocked.run("restore", backup, "--root-key", former.strip(), **elsewhere)).exit_code == 2

    assert (await stocked.run("restore", backup, "--root-key", "-", typed=former, **elsewhere)).exit_code == 0

    assert await works(stocked, **elsewhere)
    [kept] = (stocked.folder / "elsewhere").glob("root-key.former-*")
    assert kept.read_text() == THIEF


@pytest.mark.night
async def test_a_root_key_that_waits_for_its_start_leaves_the_former_one_there(stocked: Shell, new: str) -> None:
    former = own(stocked).read_text()
    await stocked.run("rotate", "root", new)
    own(stocked).rename(stocked.data / "root-key.next")
    own(stocked).write_text(former)
    for kept in stocked.data.glob("root-key.former-*"):
        kept.unlink()
    assert await works(stocked)
    assert [each.read_text() for each in stocked.data.glob("root-key.former-*")] == [former]
