"""Moving in and out by commands."""

import asyncio
import json
import os
import pty
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from tests.nights import by_day
from tests.notebook import DATABASE, NAMESPACE, PASSPHRASE, encrypted, open_notebook
from tests.shell import KEY, Shell

from keycairn.app import open_keycairn, read_settings

LITELLM = f"""
model_list:
  - &chat
    model_name: chat
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 10
  - model_name: embed
    litellm_params: {{model: openai/text-embedding-3-small, api_key: os.environ/OPENAI_API_KEY}}
  - model_name: other
    litellm_params: {{model: openai/gpt-4o, api_key: {KEY}-other, api_base: "https://proxy.example/v1"}}
  - model_name: unset
    litellm_params: {{model: anthropic/claude-4, api_key: os.environ/NOT_SET_ANYWHERE}}
  - model_name: picture
    litellm_params: {{model: openai/gpt-image-1, api_key: os.environ/OPENAI_API_KEY}}
  - model_name: foreign
    litellm_params: {{model: bedrock/titan, aws_secret_access_key: {KEY}}}
  - model_name: named
    litellm_params: {{model: azure/my-deployment, litellm_credential_name: my-azure}}
    model_info: {{mode: chat}}
credential_list:
  - credential_name: my-azure
    credential_values: {{api_key: {KEY}-azure, api_base: "https://x.openai.azure.com", api_version: "2024-10-21"}}
    credential_info: {{custom_llm_provider: azure}}
  - credential_name: spare
    credential_values: {{api_key: {KEY}-groq}}
    credential_info: {{custom_llm_provider: groq}}
"""


@pytest.mark.night
async def test_a_litellm_config_becomes_accounts_with_their_models(shell: Shell) -> None:
    file = shell.folder / "config.yaml"
    file.write_text(LITELLM)
    shell.variables["OPENAI_API_KEY"] = KEY
    await shell.begin()
    planned = json.loads((await shell.run("import", "litellm", str(file), "--dry-run", "--json")).stdout)
    assert (await shell.read("status"))["credentials"] == []

    done = await shell.run("import", "litellm", str(file), "--json")

    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report["created"] == planned["created"]
    assert {(one["provider"], one["name"]): one["models"] for one in report["created"]} == {
        ("openai", "OPENAI_API_KEY (LiteLLM)"): ["chat", "embed"],
        ("openai", "model_list[3] (LiteLLM)"): ["other"],
        ("anthropic", "NOT_SET_ANYWHERE (LiteLLM)"): ["unset"],
        ("azure", "my-azure"): ["named"],
        ("groq", "spare"): [],
    }
    assert {one["where"] for one in report["refused"]} == {"bedrock/model_list[6] (LiteLLM)", "model_list[5]"}
    [waiting] = [one for one in report["created"] if one["broken"]]
    assert waiting["provider"] == "anthropic"
    credentials = (await shell.read("status"))["credentials"]
    assert {c["name"]: c["endpoint"] for c in credentials if c["provider"] == "azure"} == {
        "my-azure": "https://x.openai.azure.com"
    }

    again = json.loads((await shell.run("import", "litellm", str(file), "--json")).stdout)
    assert (again["created"], again["models"], len(again["skipped"])) == ([], [], 5)


@pytest.mark.night
async def test_a_litellm_config_names_only_what_it_may(shell: Shell) -> None:
    file = shell.folder / "config.yaml"
    file.write_text(
        """model_list:
  - litellm_params: {model: openai/a, api_key: os.environ/KEYCAIRN_ADMIN_TOKEN, api_base: "http://evil.example"}
  - litellm_params: {model: openai/b, api_key: os.environ/TEAM_KEY}
"""
    )
    shell.variables |= {"TEAM_KEY": KEY, "KEYCAIRN_ADMIN_TOKEN": "admin-" + "0123456789" * 4}
    told = json.loads((await shell.run("import", "litellm", str(file), "--json")).stdout)
    reasons = {one["name"]: one["broken"]["api_key"] for one in told["created"]}
    assert "Keycairn's own" in reasons["KEYCAIRN_ADMIN_TOKEN (LiteLLM)"]
    assert "--allow-variable TEAM_KEY" in reasons["TEAM_KEY (LiteLLM)"]

    healed = await shell.run("import", "litellm", str(file), "--allow-variable", "TEAM_KEY", "--json")
    assert [one["name"] for one in json.loads(healed.stdout)["repaired"]] == ["TEAM_KEY (LiteLLM)"]

    refused = await shell.run("import", "litellm", str(file), "--allow-variable", "keycairn_ADMIN_TOKEN")
    assert refused.exit_code == 2
    assert "Keycairn's own variables" in refused.output


@pytest.mark.night
async def test_a_table_of_keys_comes_in_as_csv_or_json(shell: Shell) -> None:
    csv = shell.folder / "keys.csv"
    csv.write_text(
        "provider;name;key;base_url;models\n"
        f"openai;Team A;{KEY}-a;https://a.example/v1;gpt-4o gpt-4o-mini\n"
        f"openai;Team B;{KEY}-b;;\n"
        f"nobody;Team C;{KEY}-c;;\n"
        f"openai;Team D;{KEY}-d;file:///etc;\n"
        "openai;Team E\n"
    )
    done = await shell.run("import", "file", str(csv))
    assert done.exit_code == 1
    assert "2 imported" in done.output
    assert "3 could NOT come in" in done.output

    rows = [{"provider": "openai", "name": "Again", "api_key": f"{KEY}-b"}, {"provider": "groq", "api_key": f"{KEY}-g"}]
    listed = shell.folder / "keys.json"
    listed.write_text(json.dumps(rows))
    report = await shell.read("import", "file", str(listed))
    assert [one["name"] for one in report["created"]] == ["groq 2"]
    assert [one["where"] for one in report["skipped"]] == ["row 1: openai/Again"]


@pytest.mark.parametrize(
    "text", by_day(["", "provider,provider\n", f"openai,{KEY}\n", f'provider,x\n"{KEY}'], one_in=4)
)
async def test_what_is_no_table_is_refused_without_being_quoted(shell: Shell, text: str) -> None:
    file = shell.folder / "keys.csv"
    file.write_text(text)
    failed = await shell.run("import", "file", str(file))
    assert failed.exit_code == 1
    assert KEY not in failed.output


async def test_a_dotenv_file_comes_in_and_the_same_key_only_once(shell: Shell) -> None:
    (shell.folder / "old.env").write_text(f"OPENAI_API_KEY='{KEY}'\nSOMETHING=else\nAZURE_OPENAI_API_KEY={KEY}-az\n")
    first = json.loads((await shell.run("import", "env", "old.env", "--json")).stdout)
    assert [one["where"] for one in first["created"]] == ["openai: OPENAI_API_KEY"]
    assert [one["where"] for one in first["refused"]] == ["azure: AZURE_OPENAI_API_KEY"]

    shell.variables["OPENAI_API_KEY"] = KEY
    assert (await shell.read("migrate-env"))["skipped"] == ["openai"]
    assert "may be removed: OPENAI_API_KEY" in (await shell.run("env")).output


@pytest.mark.night
async def test_an_open_notebook_moves_in_by_one_command(shell: Shell) -> None:
    place = shell.folder / "notebook"
    async with open_notebook(place) as notebook:
        await notebook.credential("abc", name="Main", api_key=encrypted(KEY))
        await notebook.model("chat", "abc")
        await notebook.defaults(default_chat_model="model:chat")
        await notebook.legacy({"groq": [{"id": "old", "name": "Old", "is_default": True, "api_key": encrypted(KEY)}]})
    secret = shell.folder / "passphrase"
    secret.write_text(f"  {PASSPHRASE}\n")
    words = (f"surrealkv://{place}", "--namespace", NAMESPACE, "--database", DATABASE)
    options = ("--passphrase-file", str(secret))

    planned = await shell.read("import", "open-notebook", *words, *options, "--dry-run")
    report = await shell.read("import", "open-notebook", *words, *options)
    legacy = await shell.read("import", "legacy", *words, *options)

    assert planned["defaults"] == report["defaults"] == {"default_chat_model": "model:chat"}
    assert [one["id"] for one in (*report["created"], *legacy["created"])] == ["credential:abc", "credential:old"]
    assert "6 " not in (await shell.run("import", "open-notebook", *words, *options)).output
    assert (await shell.run("import", "open-notebook", "surrealkv://nowhere")).exit_code == 1


async def real(
    shell: Shell, *words: str, stdin: int = asyncio.subprocess.DEVNULL, **variables: str
) -> tuple[int, str, str]:
    """A command in a process of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from keycairn.app.cli import main; main()",
        *words,
        env={**kept, **shell.variables, **variables},
        cwd=shell.folder,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def on_terminal(shell: Shell, *words: str) -> str:
    """What somebody sees who runs a command in a terminal."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from keycairn.app.cli import main; main()",
        *words,
        env={"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "200", **shell.variables},
        cwd=shell.folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seeing = asyncio.create_task(asyncio.to_thread(_all_of, ours))
    try:
        assert await asyncio.wait_for(process.wait(), 30) == 0
    finally:
        if process.returncode is None:
            process.kill()
        seen = await seeing
        os.close(ours)
    return seen


def _all_of(terminal: int) -> str:
    seen = b""
    with suppress(OSError):  # what a terminal says that the other side has closed
        while piece := os.read(terminal, 65536):
            seen += piece
    return seen.decode()


@pytest.mark.night
async def test_the_progress_of_a_file_has_a_total(shell: Shell) -> None:
    file = shell.folder / "keys.csv"
    file.write_text("provider,name,key\n" + "".join(f"openai,T{n},{KEY}-{n}\n" for n in range(3)))
    seen = await on_terminal(shell, "import", "file", str(file))
    assert "3/3" in seen
    assert "3 imported" in seen


@pytest.mark.night
async def test_a_pipe_is_read_once_and_whole(shell: Shell) -> None:
    """As `keycairn import file <(decrypt keys.csv)` gives it."""
    pipe = shell.folder / "pipe"
    os.mkfifo(pipe)
    writing = asyncio.create_task(asyncio.to_thread(pipe.write_text, f"provider,name,key\nopenai,T,{KEY}\n"))
    try:
        assert "1 imported" in await on_terminal(shell, "import", "file", str(pipe))
    finally:
        os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))  # lets a writer go that nobody listened to
        await writing


SHOW = (
    "import os, sys; print(sorted(n for n in os.environ if 'API_KEY' in n or n.startswith('KEYCAIRN'))); "
    "sys.exit(7 if os.environ['OPENAI_API_KEY'].startswith('sk-cli') else 8)"
)


@pytest.mark.night
async def test_a_program_gets_the_variables_of_one_credential_and_nothing_else(shell: Shell) -> None:
    shell.variables["OPENAI_API_KEY"] = KEY
    await shell.run("migrate-env")
    del shell.variables["OPENAI_API_KEY"]
    [credential] = (await shell.read("status"))["credentials"]

    code, out, _ = await real(
        shell, "run", "--credential", credential["id"], "--", sys.executable, "-c", SHOW, GROQ_API_KEY="mine"
    )

    assert (code, out.strip()) == (7, "['OPENAI_API_KEY']")
    [used] = await events(shell, "secret.used")
    for name in (credential["name"], "openai"):
        code, _, err = await real(shell, "run", "--credential", name, "--", sys.executable, "-c", SHOW)
        assert code == 7, err
    assert (used["target"], used["details"]["program"]) == (credential["id"], Path(sys.executable).name)
    code, _, err = await real(shell, "run", "--credential", credential["id"], "--", "no-such-program")
    assert (code, "cannot be started" in err) == (127, True)
    assert len(await events(shell, "secret.used")) == 3, "a key typed in its place would stand in the log for good"


async def events(shell: Shell, action: str) -> list[dict[str, Any]]:
    here = read_settings({n: v for n, v in shell.variables.items() if n.startswith("KEYCAIRN_")})
    async with open_keycairn(here) as keycairn:
        found = await keycairn.store.events("default")
    return [{"target": event.target, "details": dict(event.details)} for event in found if event.action.value == action]


@pytest.mark.night
async def test_keys_are_written_out_only_when_that_is_insisted_on(shell: Shell) -> None:
    odd = KEY + "\\$x#y"
    file = shell.folder / "keys.json"
    file.write_text(json.dumps([{"provider": "openai", "api_key": odd}]))
    await shell.run("import", "file", str(file))

    refused = await shell.run("env", "--format", "dotenv")
    assert refused.exit_code == 2
    assert "--reveal-secrets-to-terminal" in refused.output
    assert await events(shell, "secret.revealed") == []

    code, out, _ = await real(shell, "env", "--format", "dotenv", "--reveal-secrets-to-terminal")

    assert code == 0
    file = shell.folder / "out.env"
    file.write_text(out)
    assert dotenv_values(file, interpolate=False)["OPENAI_API_KEY"] == odd
    assert len(await events(shell, "secret.revealed")) == 1


@pytest.mark.night
async def test_while_a_service_has_the_database_keys_stay_inside(shell: Shell) -> None:
    here = read_settings({n: v for n, v in shell.variables.items() if n.startswith("KEYCAIRN_")})
    async with open_keycairn(here):
        code, out, err = await real(shell, "env", "--format", "dotenv", "--reveal-secrets-to-terminal")
    assert (code, out) == (1, "")
    assert "a running service hands keys to nobody" in err


@pytest.mark.parametrize(("typed", "shows"), [("yes", False), ("", False), ("show my keys", True)])
async def test_at_a_terminal_a_sentence_has_to_be_typed(shell: Shell, typed: str, *, shows: bool) -> None:
    shell.variables["OPENAI_API_KEY"] = KEY
    await shell.run("migrate-env")
    del shell.variables["OPENAI_API_KEY"]
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{typed}\n".encode())
        code, out, _ = await real(shell, "env", "--format", "dotenv", "--reveal-secrets-to-terminal", stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (code, KEY in out) == ((0, True) if shows else (1, False))
    assert bool(await events(shell, "secret.revealed")) is shows


@pytest.mark.night
async def test_a_model_names_the_credential_too(shell: Shell) -> None:
    file = shell.folder / "keys.json"
    file.write_text(json.dumps([{"provider": "openai", "api_key": KEY, "models": ["gpt-4o"]}]))
    [model] = (await shell.read("import", "file", str(file)))["models"]
    code, out, _ = await real(shell, "run", "--model", model, "--", sys.executable, "-c", SHOW)
    assert (code, out.strip()) == (7, "['OPENAI_API_KEY']")
    assert (await shell.run("run", "--", "true")).exit_code == 2
    assert (await shell.run("run", "--model", "model:none", "--", "true")).exit_code == 1


@pytest.mark.parametrize("option", ["--credential", "--model"])
async def test_lending_from_where_nothing_is_makes_nothing(shell: Shell, option: str) -> None:
    refused = await shell.run("run", option, "Home", "--", "true")
    assert refused.exit_code == 1
    assert "of that name or id" in refused.output
    assert not shell.data.exists()
