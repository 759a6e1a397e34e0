"""Keys that rotate themselves, by commands."""

import pytest
from tests.shell import KEY, Shell

from keycairn.testing import ADMIN


@pytest.mark.night
async def test_a_policy_is_set_shown_changed_and_removed(shell: Shell) -> None:
    for name, text in (("key", KEY), ("admin", ADMIN)):
        (shell.folder / name).write_text(text)
    key, admin = f"@{shell.folder}/key", f"@{shell.folder}/admin"
    made = await shell.read("credential", "add", "openrouter", "--name", "Work", "--key", key)
    reminder = await shell.read("credential", "policy", "Work", "--every", "90")
    assert (reminder["automatic"], reminder["every_days"], reminder["credential"]) == (False, 90, made["id"])
    asked = ("--secret", f"management_key={admin}", "--set", "workspace_id=w1", "--overlap", "2")
    policy = await shell.read("credential", "policy", "Work", *asked)
    assert (policy["automatic"], policy["every_days"], policy["overlap_hours"]) == (True, 90, 2)
    assert policy["settings"] == {"workspace_id": "w1"}
    (listed,) = await shell.read("credential", "rotation")
    assert listed["has_secrets"] == {"management_key": True}
    told = await shell.run("credential", "rotation", "Work")
    assert "keys are made by the provider's API" in told.output
    never = await shell.read("credential", "policy", "Work", "--every", "never")
    assert never["every_days"] is None
    removed = await shell.run("credential", "policy", "Work", "--remove")
    assert removed.exit_code == 0, removed.output
    assert await shell.read("credential", "rotation") == []
    shown = await shell.run("provider", "show", "openrouter")
    assert "management_key" in shown.output
    assert ADMIN not in shell.said


async def test_a_leak_without_a_policy_closes_the_account(shell: Shell) -> None:
    (shell.folder / "key").write_text(KEY)
    await shell.read("credential", "add", "groq", "--name", "Leaky", "--key", f"@{shell.folder}/key")
    leaked = await shell.read("credential", "leak", "Leaky")
    assert (leaked["run"]["step"], leaked["run"]["reason"]) == ("awaiting", "leaked")
    shown = await shell.read("credential", "show", "Leaky")
    assert shown["options"]["closed"] == "its key leaked"
    assert "closed for calls until you store a new key" in (await shell.run("credential", "leak", "Leaky")).output
    assert "closed for calls: its key leaked" in (await shell.run("credential", "show", "Leaky")).output
    assert "0 days" in (await shell.run("status")).output
    ended = await shell.run("credential", "rotate-key", "Leaky", "--cancel")
    assert "The last rotation: cancelled" in ended.output
    assert "closed for calls until" in ended.output
    assert (await shell.run("credential", "rotate-key", "Leaky", "--cancel")).exit_code == 1


async def test_a_key_in_the_command_itself_is_refused(shell: Shell) -> None:
    refused = await shell.run("credential", "policy", "Work", "--secret", "management_key=plain")
    assert refused.exit_code == 2


@pytest.mark.night  # a dozen commands, each of which opens the database
async def test_status_says_which_key_is_overdue(shell: Shell) -> None:
    (shell.folder / "key").write_text(KEY)
    made = await shell.read("credential", "add", "groq", "--name", "Old", "--key", f"@{shell.folder}/key")
    assert (await shell.read("status"))["key_warnings"] == {}
    await shell.read("credential", "policy", "Old", "--at", "2020-01-01T00:00:00Z")
    for _ in range(20):  # the commands' own process begins it, and comes to wait for a person
        if warned := (await shell.read("status"))["key_warnings"]:
            break
    assert [*warned] == [made["id"]]
    while "Make a new key at https://console.groq.com/keys" not in (await shell.run("status")).output:
        assert len(shell.said) < 20_000
