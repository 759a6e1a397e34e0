"""The operator's whole job by commands, beside a service, with names for ids and no key in an argument."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from subprocess import PIPE, Popen, run

import click
import pytest
from click.testing import Result
from tests.nights import by_day
from tests.served import COMMAND, KEPT
from tests.shell import KEY, Shell

from keycairn.app.cli.times import read_time
from keycairn.testing.openai_server import OpenAIServer

READING = [("status",), ("credential", "list"), ("plugins",), ("provider", "list"), ("migrate-env", "--dry-run")]
OTHER_KEY = "sk-cli-9876543210-canary"
WORK = ("--name", "Work", "--set")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A service that all tests of this file share, for a start takes longer than most of them."""
    shell = Shell(tmp_path_factory.mktemp("operating"))
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    log = (shell.folder / "log").open("w")
    serve = [COMMAND, "serve", "--port", "0"]
    with log, Popen(serve, env={**kept, **shell.variables}, stdout=log, stderr=log) as process:  # noqa: S603  # our own
        try:
            yield shell
        finally:
            process.terminate()


@pytest.fixture
def service(house: Shell) -> str:
    """Where it listens."""
    told = house.data / "server.json"
    for _ in range(1200):
        if told.exists():
            return str(json.loads(told.read_bytes())["url"])
        time.sleep(0.05)
    raise AssertionError((house.folder / "log").read_text())


@pytest.fixture
def alone(shell: Shell) -> Shell:
    """A shell without a service, which has everything to itself."""
    return shell


@pytest.fixture
async def beside(shell: Shell, house: Shell, service: str) -> AsyncIterator[Shell]:
    """A shell beside the service, where the tests before have left nothing."""
    other = Shell(house.folder)
    other.folder = shell.folder
    yield other
    for each in await other.read("credential", "list"):
        await other.run("credential", "delete", each["id"], "--yes")
    assert KEY not in other.said


def key_file(shell: Shell, key: str = KEY) -> str:
    file = shell.folder / f"key-{key[-20:]}"
    file.write_text(key + "\n")
    return f"@{file}"


def written_nowhere(shell: Shell, *words: str) -> tuple[int, str]:
    """The exit code and the complaint of a command whose output finds no room."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    with Path("/dev/full").open("w") as full:
        env = {**kept, **shell.variables}
        ended = run([COMMAND, *words], env=env, stdout=full, stderr=PIPE, text=True, check=False)  # noqa: S603  # our own
    return ended.returncode, ended.stderr


def failed(result: Result, code: int = 1) -> str:
    assert result.exit_code == code, result.output
    return result.stderr


async def test_an_account_lives_its_whole_life_by_commands(beside: Shell, service: str, openai: OpenAIServer) -> None:
    url = f"base_url={openai.url}"
    added = await beside.run("credential", "add", "OpenAI", *WORK, url, "--key", key_file(beside), "--test")
    assert added.exit_code == 0, added.output
    assert "works" in added.output
    await beside.read(
        "credential", "add", "openai", "--name", "Home", "--set", url, "--key", key_file(beside, OTHER_KEY)
    )

    found = await beside.read("discover", "work", "--register")
    assert found["registered"]["created"] == 5
    assert "default:chat is openai/" in (await beside.run("default", "auto")).output
    models = await beside.read("model", "list", "--credential", "Work", "--type", "language")
    name = models[0]["name"]
    assert (await beside.run("default", "set", "chat", f"openai/{name}")).exit_code == 0
    assert f"openai/{name}" in (await beside.run("default", "list")).output
    assert "works" in (await beside.run("model", "test", name)).output
    assert "works" in (await beside.run("credential", "test", "Work")).output
    await beside.read("default", "set", "tools", name)
    assert "default:tools has no model" in (await beside.run("default", "clear", "tools")).output

    edited = await beside.read("credential", "edit", "Work", "--name", "Office", "--limit", "requests_per_minute=60")
    assert edited["limits"]["requests_per_minute"] == 60
    assert "60" in (await beside.run("credential", "show", "office")).output

    openai.key = OTHER_KEY
    assert (await beside.run("test", "Office")).exit_code == 1
    assert (await beside.run("credential", "set-key", "Office", "--key", "-", "--test", typed=OTHER_KEY)).exit_code == 0

    planned = await beside.read("credential", "delete", "Office", "--migrate-to", "Home", "--dry-run")
    assert len(planned["moved"]) == 5
    assert "--yes" in failed(await beside.run("credential", "delete", "Office", "--migrate-to", "Home"), 2)
    assert (await beside.run("credential", "delete", "Office", "--migrate-to", "Home", "--yes")).exit_code == 0
    assert [each["name"] for each in await beside.read("credential", "list", "--provider", "openai")] == ["Home"]
    assert len(await beside.read("model", "list", "--credential", "Home")) == 5

    assert (await beside.run("model", "delete", name, "--yes")).exit_code == 0
    assert (await beside.run("audit", "verify")).exit_code == 0
    assert "credential.deleted" in (await beside.run("audit", "list")).output
    [event] = await beside.read("audit", "list", "--action", "credential.deleted")
    assert event["details"]["moved_models"] == 5
    assert OTHER_KEY not in beside.said


async def test_a_test_of_a_former_key_is_none_of_the_present_one(
    beside: Shell, service: str, openai: OpenAIServer
) -> None:
    await beside.read(
        "credential", "add", "openai", *WORK, f"base_url={openai.url}", "--key", key_file(beside), "--test"
    )
    assert " ok" in (await beside.run("credential", "list")).output
    await beside.run("credential", "set-key", "Work", "--key", "-", typed="sk-wrong-0123456789")
    for command in (("status",), ("credential", "list"), ("credential", "show", "Work")):
        assert "not since it changed" in (await beside.run(*command)).output


async def test_a_wrong_key_takes_no_good_ones_place(beside: Shell, service: str, openai: OpenAIServer) -> None:
    url, good, wrong = ("--base-url", openai.url), key_file(beside), key_file(beside, OTHER_KEY)
    await beside.read("credential", "add", "openai", "--name", "Work", *url, "--key", good, "--test")
    told = failed(await beside.run("credential", "set-key", "Work", "--key", wrong, "--test"))
    assert "what was stored stays" in told
    assert "--anyway" in told
    told = failed(await beside.run("credential", "edit", "Work", "--name", "Else", "--key", wrong, "--test"))
    assert "what was stored stays" in told
    assert (await beside.read("test", "Work"))[0]["success"]

    second = ("credential", "add", "openai", "--name", "Trial", *url, "--key", wrong, "--test")
    assert "Nothing was stored" in failed(await beside.run(*second))
    refused = json.loads((await beside.run(*second, "--json")).stdout)
    assert refused["error"]["code"] == "not_proven"
    assert [each["name"] for each in await beside.read("credential", "list")] == ["Work"]
    assert "FAILED" in (await beside.run(*second, "--anyway")).output
    assert len(await beside.read("credential", "list")) == 2


async def test_two_of_one_name_are_made_on_purpose_only(beside: Shell, service: str) -> None:
    add = ("credential", "add", "openai", "--name", "Same", "--key", key_file(beside))
    made = await beside.read(*add)
    told = failed(await beside.run(*add), 2)
    assert made["id"] in told
    assert "set-key Same" in told
    assert (await beside.run(*add, "--anyway")).exit_code == 0
    told = failed(await beside.run("credential", "show", "Same"))
    assert told.count(made["id"]) == 1
    assert "\n  openai/Same  " not in told  # which would be none of the two

    create = ("token", "create", "one-of-a-name", "--scope", "invoke")
    first = await beside.read(*create)
    assert first["id"] in failed(await beside.run(*create), 2)
    assert (await beside.run(*create, "--anyway")).exit_code == 0
    for each in await beside.read("token", "list"):
        if each["name"] == "one-of-a-name":
            await beside.run("token", "revoke", each["id"])
    assert (await beside.run(*create)).exit_code == 0  # what is revoked has no name any more


async def test_a_token_goes_to_a_keycairn_only(beside: Shell, service: str, openai: OpenAIServer) -> None:
    file = str(beside.data / "first-token")
    root = openai.url.removesuffix("/v1")
    for words in (("--url", openai.url, "status"), ("credential", "add", "openai", "--url", root, "--key", "-")):
        told = failed(await beside.run(*words, "--token-file", file))
        assert "is no Keycairn, so it got no token" in told
        assert "--base-url" in told
    assert "is no Keycairn" in failed(await beside.run("login", openai.url, "--token", f"@{file}"))
    assert [one.headers.get("authorization") for one in openai.requests] == [None] * 3


async def test_a_name_of_several_is_answered_with_all_of_them(beside: Shell, service: str) -> None:
    for provider in ("openai", "mistral"):
        key = f"sk-{provider}-0123456789"
        assert (
            await beside.run("credential", "add", provider, "--name", "Same", "--key", "-", typed=key)
        ).exit_code == 0
    ids = [each["id"] for each in await beside.read("credential", "list")]

    told = failed(await beside.run("credential", "show", "same"))

    assert all(id in told for id in ids)
    assert "mistral/Same" in told
    for word in ("mistral/Same", "MISTRAL", ids[1]):
        assert (await beside.read("credential", "show", word))["provider"] in {"mistral", "openai"}
    assert (
        json.loads((await beside.run("credential", "show", "same", "--json")).stdout)["error"]["code"]
        == "ambiguous_name"
    )
    nobody = failed(await beside.run("credential", "show", "sk-typed-by-mistake"))
    assert "keycairn credential list" in nobody
    assert "sk-typed" not in nobody


@pytest.mark.parametrize(
    "words",
    [
        ("credential", "add", "openai", "--key", KEY),
        ("credential", "add", "openai", "--set", f"api_key={KEY}"),
        ("credential", "add", "openai", "--secret", f"api_key={KEY}"),
        ("login", "http://127.0.0.1:1", "--token", KEY),
    ],
)
async def test_a_key_in_an_argument_is_refused_and_not_repeated(shell: Shell, words: tuple[str, ...]) -> None:
    refused = await shell.run(*words)
    assert refused.exit_code == 2
    assert "@" in refused.stderr
    assert KEY not in refused.output
    assert not (shell.data / "db").exists() or await shell.read("credential", "list") == []


async def test_what_is_no_provider_is_said_with_those_there_are(beside: Shell, service: str) -> None:
    for words in (
        ("credential", "list", "--provider", "opena"),
        ("model", "list", "--provider", "opena"),
        ("token", "create", "app", "--scope", "invoke", "--provider", "opena"),
    ):
        assert "openai" in failed(await beside.run(*words), 2)
    assert await beside.read("model", "list", "--provider", "OpenAI") == []


async def test_names_that_commands_would_take_for_something_else_are_refused(beside: Shell, service: str) -> None:
    key = key_file(beside)
    for name in ("none", "credential:01J9ZK3V6Q8M2T4B7N5R0XWYCE"):
        assert "Choose one" in failed(await beside.run("credential", "add", "openai", "--name", name, "--key", key))
    assert "Choose one" in failed(await beside.run("token", "create", "token:x", "--scope", "invoke"))
    made = await beside.read("credential", "add", "openai", "--name", "credential: mine", "--key", key)
    assert (await beside.read("credential", "show", "credential: mine"))["id"] == made["id"]


async def test_a_token_is_the_only_line_for_programs_and_never_lost(beside: Shell, service: str) -> None:
    made = await beside.run("token", "create", "taken", "--scope", "invoke")
    [text] = made.stdout.splitlines()
    assert text.startswith("kc_")
    assert "not shown again" in made.stderr
    code, told = await asyncio.to_thread(written_nowhere, beside, "token", "create", "lost", "--scope", "invoke")
    assert code == 1
    assert "it was revoked" in told
    assert [bool(each["revoked"]) for each in await beside.read("token", "list") if each["name"] == "lost"] == [True]


async def test_files_that_cannot_be_read_are_said_so_in_words_of_files(shell: Shell) -> None:
    (shell.folder / "latin").write_bytes("sk-k\xf6ln".encode("latin-1"))
    for file, why in (("none.key", "does not exist"), (".", "is a folder"), ("latin", "is not text in UTF-8")):
        refused = await shell.run("login", "http://127.0.0.1:1", "--token", f"@{shell.folder}/{file}")
        assert why in failed(refused, 2)
        assert f"{shell.folder}" in refused.stderr


async def test_tokens_are_limited_and_named(beside: Shell) -> None:
    await beside.run("credential", "add", "openai", "--name", "Work", "--key", key_file(beside))
    made = await beside.read(
        *("token", "create", "app", "--scope", "invoke", "--credential", "Work"),
        *("--limit", "requests_per_minute=5", "--expires", "2127-01-01T00:00:00Z"),
    )
    assert made["limits"]["requests_per_minute"] == 5
    assert made["expires"].startswith("2127-01-01T00:00:00")
    assert (await beside.run("token", "revoke", "app")).exit_code == 0


async def test_tokens_of_a_deleted_account_follow_its_models_or_are_named_and_given_other_bounds(
    beside: Shell, service: str
) -> None:
    for name in ("One", "Two", "Three"):
        await beside.read(
            "credential", "add", "openai", "--name", name, "--key", key_file(beside, f"sk-{name}-0123456")
        )
    made = await beside.run("token", "create", "bound", "--scope", "invoke", "--credential", "One", "--model", "gpt-x")
    assert "It reaches: credentials One; models gpt-x. Limits: none. It ends: never." in made.stderr
    assert "No registered model is called gpt-x" in made.stderr

    delete = ("credential", "delete", "One", "--migrate-to", "Two")
    assert "follow the models: bound" in (await beside.run(*delete, "--dry-run")).output
    assert len((await beside.read(*delete, "--yes"))["followed_tokens"]) == 1
    assert "credentials Two" in (await beside.run("token", "list")).output
    assert (
        "reach nothing any more (keycairn token edit): bound"
        in (await beside.run("credential", "delete", "Two", "--yes")).output
    )
    assert "token bound" in (await beside.run("doctor")).output
    assert "(gone)" in (await beside.run("token", "list")).output

    edited = await beside.run("token", "edit", "bound", "--credential", "Three", "--limit", "concurrent=2")
    assert "credentials Three; models gpt-x. Limits: concurrent 2." in edited.output
    freed = await beside.read("token", "edit", "bound", "--anywhere", "--expires", "2127-01-01", "--name", "free")
    assert (freed["reach"]["credentials"], freed["name"]) == (None, "free")
    assert "token free" not in (await beside.run("doctor")).output
    assert (await beside.read("token", "edit", "free", "--expires", "never"))["expires"] is None
    assert "Say what to change" in failed(await beside.run("token", "edit", "free"), 2)
    await beside.run("token", "revoke", "free")
    assert "is revoked" in failed(await beside.run("token", "edit", "free", "--name", "again"))


async def test_the_last_token_that_makes_others_is_asked_about(alone: Shell) -> None:
    admin = await alone.read("token", "create", "chief", "--scope", "admin")
    refused = await alone.run("token", "revoke", admin["name"])
    assert refused.exit_code == 2
    assert "last token" in refused.stderr
    assert (await alone.run("token", "revoke", admin["id"], "--yes")).exit_code == 0
    assert (await alone.run("token", "create", "new", "--scope", "admin", "--scope", "invoke")).exit_code == 0


@pytest.mark.parametrize(
    "text", ["2127-01-31", "2127-01-31 12:00", "2127-01-31T12:00:00Z", "2127-01-31T12:00:00+02:00"]
)
def test_a_day_and_a_time_are_read_as_people_and_programs_write_them(text: str) -> None:
    read = read_time(click.Context(click.Command("create")), click.Option(["--expires"]), text)
    assert read is not None
    assert read.tzinfo is not None
    assert (read.year, read.month, read.day) == (2127, 1, 31)


async def test_words_are_those_of_a_command_line(beside: Shell, service: str) -> None:
    told = failed(await beside.run("status", KEYCAIRN_TOKEN="kc_wrong"))  # no token of anybody
    assert "KEYCAIRN_TOKEN" in told
    assert "Bearer" not in told
    told = failed(await beside.run("credential", "add", "nobody", "--key", "-", typed=KEY), 2)
    assert "openai" in told
    assert "GET /api" not in told
    assert "keycairn token create" in failed(await beside.run("token", "list", KEYCAIRN_TOKEN=await invoking(beside)))


async def test_who_looks_for_a_new_key_at_the_wrong_place_is_told_the_right_one(beside: Shell, service: str) -> None:
    assert "keycairn credential set-key" in failed(await beside.run("rotate", "Home"), 2)
    await beside.run("credential", "add", "openai", "--name", "Home", "--key", key_file(beside))
    assert "keycairn credential set-key" in failed(await beside.run("credential", "rotate-key", "Home"))


async def invoking(shell: Shell) -> str:
    return str((await shell.read("token", "create", "invoker", "--scope", "invoke"))["token"])


async def test_a_login_is_remembered_for_its_owner_alone(beside: Shell, service: str) -> None:
    token = (beside.data / "first-token").read_text()
    file = Path(beside.variables["XDG_CONFIG_HOME"]) / "keycairn/login.json"
    elsewhere = {"KEYCAIRN_DATA_DIR": ""}

    assert "does not take" in failed(await beside.run("login", service, "--token", "-", typed="kc_wrong"))
    assert not file.exists()
    assert (await beside.run("login", service, "--token", "-", typed=token)).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert service in (await beside.run("status", **elsewhere)).output

    file.chmod(0o644)
    assert "chmod 600" in failed(await beside.run("status", **elsewhere), 2)
    file.chmod(0o600)
    assert (await beside.run("logout")).exit_code == 0
    assert not file.exists()
    assert token.strip() not in beside.said


async def test_a_service_is_named_by_options(beside: Shell, service: str) -> None:
    file = beside.data / "first-token"
    apart = {"KEYCAIRN_DATA_DIR": str(beside.folder / "apart")}
    for words in (("status",), ("credential", "list"), ("doctor",), ("plugins",), ("env",)):
        told = await beside.run(*words, "--url", service, "--token-file", str(file), **apart)
        assert told.exit_code == 0, told.output
    before = await beside.run("--url", service, "credential", "--token-file", str(file), "--json", "list", **apart)
    assert json.loads(before.stdout) == []
    assert (await beside.run("status", KEYCAIRN_URL=service, KEYCAIRN_TOKEN_FILE=str(file), **apart)).exit_code == 0
    assert "wants a token" in failed(await beside.run("status", "--url", service, **apart), 2)
    assert not (beside.folder / "apart").exists()


async def test_the_service_of_this_machine_is_found_from_another_folder(
    beside: Shell, service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "another"
    folder.mkdir()
    monkeypatch.chdir(folder)

    told = await beside.run("status", KEYCAIRN_DATA_DIR="")

    assert service in told.output
    assert str(beside.data) in told.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("words", by_day(READING, one_in=2))
async def test_reading_commands_create_nothing(
    shell: Shell, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    told = await shell.run(*words, KEYCAIRN_DATA_DIR="")
    assert told.exit_code == 0, told.output
    assert "KEYCAIRN_URL" in told.stderr
    assert list(folder.iterdir()) == []


async def test_the_tab_key_offers_names_and_ids(beside: Shell, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    added = await beside.read("credential", "add", "openai", "--name", "Work", "--key", key_file(beside))
    for name, value in beside.variables.items():
        monkeypatch.setenv(name, value)
    words = {"_KEYCAIRN_COMPLETE": "bash_complete", "COMP_WORDS": "keycairn credential show ", "COMP_CWORD": "3"}
    told = await beside.run(**words)
    assert f"plain,Work\nplain,{added['id']}" in told.stdout
    told = await beside.run(**{**words, "COMP_WORDS": "keycairn credential add o", "COMP_CWORD": "3"})
    assert "plain,openai\n" in told.stdout
    for name in ("bash", "zsh", "fish"):
        assert "_KEYCAIRN_COMPLETE" in (await beside.run("completion", name)).output


async def test_failures_are_json_for_programs(beside: Shell, service: str) -> None:
    for words, code in (
        (("discover", "nobody"), "no_such_name"),
        (("test", "credential:01J9ZK3V6Q8M2T4B7N5R0XWYCE"), "credential_not_found"),
        (("token", "create", "x"), "wrong_use"),
        (("nonsense",), "wrong_use"),
    ):
        told = await beside.run(*words, "--json")
        assert told.exit_code in {1, 2}
        assert json.loads(told.stdout)["error"]["code"] == code
    assert isinstance(await beside.read("plugins"), list)
    assert any(each["variable"] == "KEYCAIRN_URL" for each in await beside.read("settings"))


async def test_events_are_told_and_found_by_names(beside: Shell, service: str) -> None:
    made = await beside.read("credential", "add", "openai", "--name", "Audited", "--key", key_file(beside))
    text = (await beside.read("token", "create", "auditor", "--scope", "audit:read", "--scope", "models:read"))["token"]
    told = (await beside.run("audit", "list", "--target", "Audited")).output
    assert "credential.created  Audited  first admin token  done" in " ".join(told.split("\n")).replace("   ", "  ")
    assert made["id"] not in told
    [event] = await beside.read("audit", "list", "--target", "Audited", "--actor", "first admin token")
    assert event["target"] == made["id"]
    unnamed = await beside.run("audit", "list", "--last", "3", KEYCAIRN_TOKEN=text)  # which may not look names up
    assert unnamed.exit_code == 0
    assert made["id"] in unnamed.output
    await beside.run("token", "revoke", "auditor")
    await beside.run("credential", "delete", "Audited", "--yes")
    assert made["id"] in (await beside.run("audit", "list", "--action", "credential.deleted")).output


async def test_a_models_price_is_said_by_its_parts(beside: Shell, service: str) -> None:
    await beside.read("credential", "add", "openai", "--name", "Priced", "--key", key_file(beside))
    await beside.read("model", "add", "gpt-4o", "--credential", "Priced", "--type", "language")
    edit = ("model", "edit", "gpt-4o", "--price")
    assert (await beside.read(*edit, "input=2.5", "--price", "output=10"))["price"]["output"] == 10
    assert (await beside.read(*edit, "cached=1.25"))["price"]["input"] == 2.5
    for wrong in ("input", "input=much", "tax=1", "output=-1", "call=inf"):
        assert "--price" in failed(await beside.run(*edit, wrong), 2)
    assert (await beside.read(*edit, "none"))["price"] is None
    await beside.read("credential", "add", "openai", "--name", "Other", "--key", key_file(beside, OTHER_KEY))
    edited = await beside.read("model", "edit", "gpt-4o", "--name", "fast", "--credential", "Other", "--priority", "2")
    assert (edited["name"], edited["priority"]) == ("fast", 2)
    assert (await beside.read("model", "show", "fast"))["credential"] == edited["credential"]
    assert (await beside.read("model", "edit", "fast", "--credential", "none"))["credential"] is None
    assert "Say what to change" in failed(await beside.run("model", "edit", "fast"), 2)


async def test_usage_is_summed_up(beside: Shell, service: str) -> None:
    assert "Nothing was called" in (await beside.run("usage")).output
    assert await beside.read("usage", "--by", "day", "--by", "token", "--since", "2026-11-01") == []
