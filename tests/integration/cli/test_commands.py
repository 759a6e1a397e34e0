import pytest
from tests.nights import by_day
from tests.shell import KEY, Shell

from keycairn.testing.openai_server import OpenAIServer


async def test_what_the_environment_holds_is_named_without_its_values(shell: Shell) -> None:
    assert "No provider variable is set" in (await shell.run("env")).output

    said = (await shell.run("env", OPENAI_API_KEY=KEY)).output

    assert "OPENAI_API_KEY" in said
    assert "keycairn migrate-env" in said


async def test_the_first_command_that_keeps_something_says_where_the_root_key_lies(shell: Shell) -> None:
    assert str(shell.data / "root-key") in (await shell.run("token", "create", "app", "--scope", "invoke")).stderr
    assert (await shell.run("status")).stderr == ""


async def test_variables_of_a_dotenv_file_are_found(shell: Shell) -> None:
    (shell.folder / ".env").write_text(f"OPENAI_API_KEY={KEY}\n")
    assert [entry["provider"] for entry in await shell.read("env")] == ["openai"]


async def test_moving_in_can_be_tried_first_and_changes_nothing_the_second_time(shell: Shell) -> None:
    shell.variables["OPENAI_API_KEY"] = KEY

    assert "would be moved in" in (await shell.run("migrate-env", "--dry-run")).output
    assert (await shell.read("status"))["credentials"] == []

    moved = await shell.run("migrate-env")
    assert moved.exit_code == 0
    assert "You may remove: OPENAI_API_KEY" in moved.output

    again = await shell.read("migrate-env")
    assert (again["migrated"], again["skipped"], again["errors"]) == ([], ["openai"], [])
    status = await shell.read("status")
    assert status["source"]["openai"] == "database"
    assert len(status["credentials"]) == 1


async def test_a_key_is_proved_and_a_bad_one_is_exit_code_1(stocked: Shell, openai: OpenAIServer) -> None:
    good = await stocked.run("test", "--all")
    assert good.exit_code == 0
    assert "works" in good.output

    openai.key = "sk-another"
    bad = await stocked.run("test", "--all")
    assert bad.exit_code == 1
    assert "FAILED" in bad.output


async def test_models_are_listed_and_registered(stocked: Shell) -> None:
    [credential] = (await stocked.read("status"))["credentials"]

    assert "gpt-5-mini" in (await stocked.run("discover", credential["id"])).output
    found = await stocked.read("discover", credential["id"], "--register")

    assert found["registered"]["created"] == 5
    assert (await stocked.read("status"))["credentials"][0]["model_count"] == 5


async def test_a_list_that_cannot_be_read_registers_nothing(stocked: Shell, openai: OpenAIServer) -> None:
    [credential] = (await stocked.read("status"))["credentials"]
    openai.key = "sk-another"

    failed = await stocked.run("discover", credential["id"], "--register")

    assert failed.exit_code == 1
    assert (await stocked.read("status"))["credentials"][0]["model_count"] == 0


async def test_a_token_is_made_for_certain_models(shell: Shell) -> None:
    words = ("--scope", "invoke", "--model", "gpt-4o*", "--model", "OpenAI/*")
    made = await shell.read("token", "create", "app", *words)
    assert made["reach"] == {"providers": None, "credentials": None, "models": ["gpt-4o*", "openai/*"]}
    listed = (await shell.run("token", "list")).stdout
    assert "gpt-4o*, openai/*" in " ".join(listed.split())


async def test_tokens_are_made_listed_and_revoked(shell: Shell) -> None:
    made = await shell.read("token", "create", "reader", "--scope", "credentials:read")
    assert made["token"].startswith("kc_")
    assert made["scopes"] == ["credentials:read"]

    listed = await shell.run("token", "list")
    assert "reader" in listed.output
    assert made["token"] not in listed.output

    assert "is revoked" in (await shell.run("token", "revoke", made["id"])).output
    assert [token["name"] for token in await shell.read("token", "list") if token["revoked"]] == ["reader"]


async def test_plugins_are_shown(shell: Shell) -> None:
    assert "openai" in (await shell.run("plugins")).output
    assert all(plugin["failure"] is None for plugin in await shell.read("plugins", "list"))


@pytest.mark.parametrize(
    "words",
    [
        ("test",),
        ("test", "credential:1", "--all"),
        ("discover",),
        ("token", "create", "x"),
        ("token", "create", "x", "--scope", "everything"),
        ("serve", "--port", "65536"),
        ("nonsense",),
    ],
)
async def test_wrong_use_is_exit_code_2(shell: Shell, words: tuple[str, ...]) -> None:
    assert (await shell.run(*words)).exit_code == 2


@pytest.mark.parametrize(
    "id", by_day(["credential:01J9ZK3V6Q8M2T4B7N5R0XWYCE", "model:1", "../tokens", "a b"], one_in=4)
)
async def test_what_is_not_there_is_one_sentence_and_exit_code_1(shell: Shell, id: str) -> None:
    await shell.begin()
    refused = await shell.run("test", id)
    assert refused.exit_code == 1
    assert refused.stdout == ""
    told = refused.stderr.splitlines()
    assert told[0].startswith("keycairn: ")
    assert [line.strip().startswith(("Try: keycairn", "Names are taken")) for line in told[1:]] in ([], [True])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KEYCAIRN_ROOT_KEY", "base64:canary"),
        ("KEYCAIRN_PORT", "eighty"),
        ("KEYCAIRN_PROT", "80"),
        ("KEYCAIRN_ADMIN_TOKEN", "canary"),
        ("KEYCAIRN_ADMIN_TOKEN_FILE", "nowhere"),
        ("KEYCAIRN_EGRESS_POLICY", "open"),
        ("KEYCAIRN_EGRESS_ALLOW", "10.0.0.0/99"),
        ("KEYCAIRN_EGRESS_PROXY", "https://proxy:1"),
        ("KEYCAIRN_EGRESS_CA_FILE", "/nowhere/ca.pem"),
        ("KEYCAIRN_EGRESS_CA_FILE", __file__),
        ("KEYCAIRN_DATABASE_URL", "postgres://db"),
        ("KEYCAIRN_DATA_DIR", "file/in/the/way"),
    ],
)
@pytest.mark.parametrize("command", ["status", "serve"])
async def test_an_unusable_setting_is_one_sentence_and_exit_code_2(
    shell: Shell, command: str, name: str, value: str
) -> None:
    (shell.folder / "file").touch()

    refused = await shell.run(command, **{"KEYCAIRN_PORT": "0"} | {name: value})

    assert refused.exit_code == 2
    assert name.removesuffix("_FILE") in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "canary" not in refused.output
    assert not (shell.data / "server.json").exists()


async def test_every_command_explains_itself(shell: Shell) -> None:
    for words in ((), ("serve",), ("status",), ("env",), ("migrate-env",), ("test",), ("discover",), ("doctor",)):
        told = await shell.run(*words, "--help")
        assert told.exit_code == 0
        assert "Usage: keycairn" in told.output
        assert len(told.output) > 200
    assert "KEYCAIRN_ROOT_KEY" in (await shell.run("settings")).output
