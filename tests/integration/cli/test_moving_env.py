"""Moving environments in by commands: what each says, and its exit code."""

import json

import pytest
from tests.shell import KEY, Shell

OTHER = f"{KEY}-other"


async def test_a_second_file_with_another_key_is_a_second_account_and_again_there_is_nothing_to_do(
    shell: Shell,
) -> None:
    for name, key in (("one.env", KEY), ("two.env", OTHER)):
        (shell.folder / name).write_text(f"GROQ_API_KEY={key}\nGROQ_BASE_URL=https://proxy.example\n")
        done = await shell.run("import", "env", name, "--json")
        assert (done.exit_code, len(json.loads(done.stdout)["created"])) == (0, 1)
    listed = (await shell.read("status"))["credentials"]
    assert len({one["name"] for one in listed}) == 2
    assert {one["base_url"] for one in listed} == {"https://proxy.example/openai/v1"}

    again = await shell.run("import", "env", "two.env")
    assert (again.exit_code, "nothing to do" in again.output) == (0, True)


async def test_what_is_not_understood_is_refused_by_name_until_it_is_said(shell: Shell) -> None:
    (shell.folder / ".env").write_text(f"GROQ_API_KEY={KEY}\nGROQ_HOSTNAME=proxy.example\nMISTRAL_API_KEY={OTHER}\n")
    held = await shell.run("import", "env")
    assert held.exit_code == 1
    assert "GROQ_HOSTNAME" in held.output
    assert "1 imported" in held.output
    assert (await shell.run("import", "env", "--anyway")).exit_code == 0


@pytest.mark.night
async def test_the_environment_with_another_key_than_the_database_is_refused_with_exit_code_1(shell: Shell) -> None:
    shell.variables["GROQ_API_KEY"] = KEY
    first = await shell.run("migrate-env")
    assert (first.exit_code, "api.groq.com" in first.output) == (0, True)
    again = await shell.run("migrate-env")
    assert (again.exit_code, "nothing to do" in again.output) == (0, True)

    shell.variables["GROQ_API_KEY"] = OTHER
    refused = await shell.run("migrate-env", "--json")
    report = json.loads(refused.stdout)
    assert (refused.exit_code, report["skipped"], len(report["refused"])) == (1, ["groq"], 1)
    told = (await shell.run("migrate-env", "--dry-run")).output
    assert "keycairn import env" in told
    assert "keycairn credential set-key" in told
    assert "may be removed" not in (await shell.run("env")).output


async def test_a_held_account_is_moved_in_anyway_when_that_is_said(shell: Shell) -> None:
    shell.variables |= {"GROQ_API_KEY": KEY, "GROQ_HOSTNAME": "proxy.example"}
    assert (await shell.run("migrate-env")).exit_code == 1
    assert "moved in" in (await shell.run("migrate-env", "--anyway")).output


@pytest.mark.night
async def test_two_litellm_files_with_one_entry_each_are_two_accounts(shell: Shell) -> None:
    for name, key in (("a.yaml", KEY), ("b.yaml", OTHER)):
        (shell.folder / name).write_text(
            f"model_list: [{{litellm_params: {{model: openai/gpt-4o, api_key: {key}}}}}]\n"
        )
        done = await shell.run("import", "litellm", name, "--json")
        assert (done.exit_code, len(json.loads(done.stdout)["created"])) == (0, 1)
    unset = shell.folder / "c.yaml"
    params = {"model": "openai/m", "api_key": f"{KEY}-c", "api_base": "os.environ/OPENAI_API_BASE"}
    unset.write_text(json.dumps({"model_list": [{"litellm_params": params}]}))
    assert (await shell.run("import", "litellm", str(unset))).exit_code == 1
    assert len((await shell.read("status"))["credentials"]) == 2
    set_now = await shell.run("import", "litellm", str(unset), OPENAI_API_BASE="https://proxy.example/v1")
    assert set_now.exit_code == 0
