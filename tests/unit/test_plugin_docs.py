"""What the pages for authors of plugins say is so: their examples run, and no hook is left out."""

import inspect
import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from keycairn import plugins
from keycairn.domain.provider import ProviderSpec
from keycairn.plugins import hookspecs
from keycairn.plugins.declared import vetted
from keycairn.plugins.registry import PluginRegistry
from keycairn.ports import provider as port

PAGES = Path(__file__).parents[2] / "docs/plugins"
HOOKS = (PAGES / "hooks.md").read_text()
SECTIONS: dict[str, str] = dict(re.findall(r"^### `([^`]+)`\n(.*?)(?=^##|\Z)", HOOKS, re.MULTILINE | re.DOTALL))
BLOCKS = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = {heading: block for heading, body in SECTIONS.items() for block in BLOCKS.findall(body)}
OTHERS = {f"testing.md {n}": block for n, block in enumerate(BLOCKS.findall((PAGES / "testing.md").read_text()))}
OTHERS |= {
    heading: block
    for heading, body in re.findall(r"^## ([^\n]+)\n(.*?)(?=^##|\Z)", HOOKS, re.MULTILINE | re.DOTALL)
    for block in BLOCKS.findall(body)
}


def signature(name: str, member: object) -> str:
    if not inspect.isfunction(member):
        return name
    return f"{name}({', '.join(one for one in inspect.signature(member).parameters if one != 'self')})"


CAPABILITIES = (
    port.SpeaksOpenAI,
    port.NamesModels,
    port.SpeaksAnthropic,
    port.NamesClients,
    port.TellsRefusals,
    port.ManagesKeys,
)


def documented() -> list[str]:
    hooks = [member for member in vars(hookspecs).values() if hasattr(member, "keycairn_spec")]
    members = [
        signature(name, member)
        for protocol in (port.Provider, *CAPABILITIES)
        for name, member in vars(protocol).items()
        if not name.startswith("_")
    ]
    return [*(signature(hook.__name__, hook) for hook in hooks), *members]


def run(code: str, name: str) -> ModuleType:
    module = ModuleType("example")
    exec(compile(code, name, "exec"), module.__dict__)  # noqa: S102  # our own pages
    return module


def test_every_hook_and_every_method_has_its_section_and_no_other_has() -> None:
    assert sorted(SECTIONS) == sorted(documented())
    assert all("**When:**" in body or "may add" in HOOKS[: HOOKS.index(body)] for body in SECTIONS.values())


def test_every_section_has_an_example() -> None:
    assert sorted(EXAMPLES) == sorted(SECTIONS)


@pytest.mark.parametrize("heading", EXAMPLES)
def test_the_example_runs_and_is_a_plugin_or_a_provider(heading: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = run(EXAMPLES[heading], heading)
    if heading.startswith("keycairn_") or heading == "spec":
        monkeypatch.setitem(sys.modules, "kc_documented", module)
        registry = PluginRegistry(found=[EntryPoint("documented", "kc_documented", hookspecs.ENTRY_POINTS)])
        assert registry.plugins()[1].failure is None
    else:
        spec, _ = vetted(module.PROVIDER)
        assert isinstance(spec, ProviderSpec)
        assert hasattr(module.PROVIDER, heading.partition("(")[0])


def test_the_aliases_of_the_example_take_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kc_documented", run(EXAMPLES["keycairn_env_aliases(provider)"], "aliases"))
    registry = PluginRegistry(found=[EntryPoint("documented", "kc_documented", hookspecs.ENTRY_POINTS)])
    key = registry.get("openai").spec.field("api_key")
    assert key is not None
    assert key.env == ("OPENAI_API_KEY", "CORP_OPENAI_KEY")


@pytest.mark.parametrize("name", OTHERS)
def test_the_other_examples_run(name: str) -> None:
    run(OTHERS[name], name)


def test_what_is_exported_is_there() -> None:
    assert all(hasattr(plugins, name) for name in plugins.__all__)
    used = set(re.findall(r"^from keycairn\.plugins import ([\w, ]+)$", HOOKS, re.MULTILINE))
    assert {name.strip() for line in used for name in line.split(",")} <= set(plugins.__all__)
