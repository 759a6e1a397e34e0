"""Plugins of strangers, installed as distributions: a good one is at home at once, a bad one is reported by name."""

import importlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.gateway_house import gateway_house
from tests.shell import Shell

from keycairn.domain.environment import read_account
from keycairn.domain.modality import Modality
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry
from keycairn.testing import KEY, OpenAIServer

GOOD = """
from keycairn.plugins import Modality, OpenAICompatible, hookimpl, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec("acme", "Acme", Modality.LANGUAGE, Modality.EMBEDDING, docs_url="https://acme.example/keys"),
    url="https://api.acme.example/v1",
)


@hookimpl
def keycairn_providers():
    return [PROVIDER]
"""
HANGING = """
import socket

from keycairn.plugins import hookimpl

@hookimpl
def keycairn_providers():
    with socket.create_connection(("127.0.0.1", PORT), timeout=10) as connection:
        return [connection.recv(1)]
"""
FAULTY = {
    "async": (GOOD.replace("acme", "later").replace("\ndef ", "\nasync def "), "(strange_async.py:10) is async"),
    "bare": (
        "from keycairn.plugins import ListedProvider\n\n\nclass Bare(ListedProvider): ...\n\n\nBare(None)\n",
        "TypeError: Bare lacks base_url, headers, list_models at strange_bare.py:7",
    ),
    "broken": ("raise RuntimeError('sk-from-the-environment')", "RuntimeError at strange_broken.py:1"),
    "exiting": ("import sys; sys.exit(3)", "SystemExit"),
    "future": (
        GOOD.replace("acme", "future")
        + "\nimport msgspec\nPROVIDER.spec = msgspec.structs.replace(PROVIDER.spec, api_version=2)\n",
        "The provider 'future' is written for API version 2; this Keycairn has version 1.",
    ),
    "incomplete": ("import no_such_library", "No module named 'no_such_library'"),
    "misspelt": (GOOD.replace("acme", "misspelt").replace("keycairn_providers", "keycairn_provider"), "unknown hook"),
    "pretender": (GOOD.replace("acme", "openai"), "Another provider is named 'openai' already."),
    "twin": (
        GOOD,
        "Another provider is named 'acme' already. The plugin 'acme' (strange-acme 1.2) supplies it.",
    ),
    "unclosed": ("import sys\nPROVIDERS = [1, 2\n", "SyntaxError at strange_unclosed.py:2"),
    "untyped": (
        GOOD.replace("acme", "untyped") + "\nPROVIDER.client_name_ = PROVIDER.openai_base_ur = None\n",
        "openai_base_ur is nothing that Keycairn calls: openai_base_url is meant",
    ),
    "useless": ("", "It implements no hook."),
}

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution `strange-NAME 1.2` with one module and one entry point where Python finds it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    modules: list[str] = []

    def put(name: str, text: str) -> None:
        module = f"strange_{name}"
        modules.append(module)
        (site / f"{module}.py").write_text(text)
        info = site / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: strange-{name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[keycairn.providers]\n{name} = {module}\n")
        importlib.invalidate_caches()

    yield put
    for module in modules:
        sys.modules.pop(module, None)


async def test_twenty_lines_are_a_provider_from_the_environment_to_the_gateway(install: Install) -> None:
    assert len(GOOD.strip().splitlines()) <= 20
    install("acme", GOOD)
    registry = PluginRegistry()
    provider = registry.get("acme")
    found = read_account(provider.spec, {"ACME_API_KEY": Secret(KEY)})
    assert found.configured

    async with OpenAIServer() as server, gateway_house(registry=registry) as house:
        account = await house.credential("acme", found.secrets["api_key"].reveal(), base_url=server.url)
        probing = house.keycairn.probing
        assert (await probing.test(account.id)).success
        models = {model.name: model.type for model in (await probing.discover(account.id)).models}
        assert models["gpt-4o"] is Modality.LANGUAGE
        await house.model(account, "gpt-4o")

        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {house.token}"}) as client:
            chat = await client.post(f"{house.url}/v1/chat/completions", json=body)
            native = await client.get(f"{house.url}/native/{account.id}/models")
        assert chat.json()["choices"][0]["message"]["content"] == "Hello!"
        assert native.status_code == 200
        assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


def test_each_fault_is_reported_by_name_and_disturbs_no_other(install: Install) -> None:
    install("acme", GOOD)
    for name, (text, _) in FAULTY.items():
        install(name, text)
    registry = PluginRegistry()
    told = {status.name: status for status in registry.plugins()}
    assert told["acme"].failure is None
    for name, (_, reason) in FAULTY.items():
        assert reason in (told[name].failure or ""), name
        assert (told[name].origin, told[name].providers) == (f"strange-{name} 1.2", ())
        assert "sk-from" not in (told[name].failure or "")
    assert len(registry.all()) == len(PluginRegistry(external=False).all()) + 1


def test_a_hook_that_waits_for_somebody_is_left_behind(install: Install) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        install("hanging", HANGING.replace("PORT", str(silent.getsockname()[1])))
        install("sleeper", "import time; time.sleep(10)")
        install("willing", GOOD.replace("acme", "willing"))
        started = time.monotonic()
        registry = PluginRegistry(time_limit=0.3)
        assert time.monotonic() - started < 3
        silent.close()
    told = {status.name: status.failure for status in registry.plugins()}
    assert told["hanging"] == "Its hook keycairn_providers took longer than 0.3 seconds."
    assert told["sleeper"] == "Its import took longer than 0.3 seconds."
    assert registry.get("willing")


async def test_the_command_shows_what_failed_and_the_service_works_without_it(shell: Shell, install: Install) -> None:
    install("acme", GOOD)
    install("broken", FAULTY["broken"][0])
    listed = await shell.run("plugins", KEYCAIRN_EXTERNAL_PLUGINS="on")
    assert listed.exit_code == 1
    assert "strange-acme 1.2" in listed.output
    assert "RuntimeError at strange_broken.py:1" in listed.output
    assert (await shell.run("status", KEYCAIRN_EXTERNAL_PLUGINS="on")).exit_code == 0
