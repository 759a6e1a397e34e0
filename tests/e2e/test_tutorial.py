"""The pages for newcomers, done as they are written: a started service, its commands, and OpenAI's client."""

import ast
import asyncio
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.served import serving
from tests.servers.anthropic_api import AnthropicServer
from tests.shell import Shell

from keycairn.testing.openai_server import OpenAIServer

DOCS = Path(__file__).parents[2] / "docs"
KEY = "sk-local-canary-0123456789"
ENV = "OPENAI_API_KEY={key}\nOPENAI_BASE_URL={url}\n"
LITELLM = """
model_list:
  - model_name: fast
    litellm_params: {{model: openai/gpt-4o, api_key: {key}-litellm, api_base: "{url}"}}
"""


def notebook(url: str) -> Mapping[str, object]:
    account = {"id": "credential:n1", "name": "Notebook", "provider": "openai", "modalities": ["language"]}
    return {"credential": [{**account, "api_key": f"{KEY}-notebook", "base_url": url}]}


async def done(shell: Shell, page: str, replaced: Mapping[str, str]) -> None:
    """What a page shows, one block after the other: commands as a shell would have them, and programs."""
    text = read(page)
    for old, new in replaced.items():
        text = text.replace(old, new)
    for kind, block in re.findall(r"^```(console|python)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if kind == "python":
            await asyncio.to_thread(exec, compile(block, page, "exec"), {})
        else:
            for line in block.splitlines():
                await _run(shell, shlex.split(line.removeprefix("$ ")))


async def _run(shell: Shell, words: list[str]) -> None:
    target = words[words.index(">") + 1] if ">" in words else None
    words = words[: words.index(">")] if target else words
    told = words[1]
    if words[0] != "printf":
        assert words[0] == "keycairn", words
        ended = await shell.run(*words[1:])
        assert ended.exit_code == 0, (words, ended.output)
        told = ended.stdout
    if target:
        (shell.folder / target).write_text(told)


def read(page: str) -> str:
    return (DOCS / page).read_text()


async def test_the_tutorial_runs_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shell = Shell(tmp_path)
    async with OpenAIServer(key=KEY) as openai, serving(shell) as served:
        here = {"http://127.0.0.1:9876/v1": openai.url, "http://127.0.0.1:8765": served.url}
        await done(shell, "tutorial.md", here)
    assert "Hello!" in capsys.readouterr().out
    assert KEY not in shell.said


@pytest.mark.night
async def test_the_pages_for_those_who_come_from_elsewhere_run_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shell = Shell(tmp_path)
    async with OpenAIServer(key=None) as other, AnthropicServer() as claude, serving(shell) as served:
        key = ("--key", "@first.key")
        (tmp_path / "first.key").write_text(KEY)
        (tmp_path / ".env").write_text(ENV.format(key=f"{KEY}-env", url=other.url))
        (tmp_path / "other.env").write_text(ENV.format(key=f"{KEY}-other", url=other.url))
        (tmp_path / "config.yaml").write_text(LITELLM.format(key=KEY, url=other.url))
        (tmp_path / "notebook.json").write_text(json.dumps(notebook(other.url)))
        for page in ("from-env.md", "from-litellm.md", "from-open-notebook.md"):
            await done(shell, page, {})
        assert len(await shell.read("credential", "list")) == 4

        await shell.read("credential", "add", "anthropic", *("--name", "A", "--set", f"base_url={claude.url}"), *key)
        await shell.read("model", "add", "claude-sonnet-5", "--credential", "A", "--type", "language")
        await shell.read("credential", "add", "openai", *("--name", "O", "--set", f"base_url={other.url}"), *key)
        await shell.read("discover", "O", "--register")
        token = (await shell.read("token", "create", "app", "--scope", "invoke"))["token"]
        for block in re.findall(r"^```python\n(from .*?)^```", read("gateway.md"), re.MULTILINE | re.DOTALL)[:2]:
            here = block.replace("http://127.0.0.1:8765", served.url).replace("kc_...", token)
            await asyncio.to_thread(exec, compile(here, "gateway.md", "exec"), {})
    assert KEY not in shell.said


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_every_program_on_a_page_is_python(page: str) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", read(page), re.MULTILINE | re.DOTALL):
        compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
