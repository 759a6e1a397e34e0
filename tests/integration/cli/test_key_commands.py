"""Listing data keys and forgetting retired ones from the command line."""

import pytest
from tests.shell import Shell


@pytest.mark.night
async def test_a_retired_key_is_forgotten_when_that_is_confirmed(stocked: Shell) -> None:
    file = stocked.data / "backups" / "keycairn-20260101T000000Z.backup.gz"
    file.parent.mkdir()
    await stocked.run("backup", str(file))
    await stocked.run("rotate", "data")
    assert (await stocked.read("keys", "list"))["keys"] == {"1": "retired", "2": "primary"}

    told = await stocked.run("keys", "forget", "1")
    assert told.exit_code == 0
    assert "Add --yes" in told.output
    assert str(file) in told.output
    assert (await stocked.read("keys", "list"))["keys"] == {"1": "retired", "2": "primary"}

    done = await stocked.read("keys", "forget", "1", "--yes")
    assert (done["key"], done["dry_run"], done["records"]) == (1, False, 1)
    assert [(each["file"], each["secrets"]) for each in done["backups"]] == [(str(file), 1)]
    assert (await stocked.read("keys", "list"))["keys"] == {"2": "primary"}
    assert (await stocked.run("test", "--all")).exit_code == 0
    assert (await stocked.run("doctor")).exit_code == 0


@pytest.mark.night
async def test_a_key_in_use_and_one_that_is_not_there_are_not_forgotten(stocked: Shell) -> None:
    for kid, why in (("1", "not retired"), ("2", "no data key 2")):
        refused = await stocked.run("keys", "forget", kid, "--yes")
        assert refused.exit_code == 1
        assert why in refused.output
    assert (await stocked.run("keys", "forget", "0", "--yes")).exit_code == 2
    assert (await stocked.run("test", "--all")).exit_code == 0
