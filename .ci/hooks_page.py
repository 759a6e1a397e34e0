"""Write docs/plugins/api.md from the hooks and the ports that providers implement."""

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from keycairn.plugins import hookspecs
from keycairn.ports import provider as port

PAGE = Path(__file__).parents[1] / "docs/plugins/api.md"
HEAD = """# Hooks and methods

Written by `make docs` from the code; a test compares. [Hooks](hooks.md) has an example of each that runs as a test.
"""
WIDE = 90
"""Characters of a signature on one line."""
PROTOCOLS = (
    port.Provider,
    port.SpeaksOpenAI,
    port.NamesModels,
    port.SpeaksAnthropic,
    port.NamesClients,
    port.TellsRefusals,
    port.ManagesKeys,
)


def section(name: str, member: Any) -> str:
    """A hook or method: its signature, since when, and what it says of itself."""
    text = inspect.getdoc(member) or ""
    since = re.search(r"Since (\d[\d.]*\d)", text)
    body = re.sub(r"\n*Since \d[\d.]*\.?\s*", "", text).strip()
    marker = f"**API version {hookspecs.API_VERSION}**" + (f", since {since[1]}." if since else ".")
    if isinstance(member, property):
        return f"### `{name}`\n\n{marker} {body}\n"
    prefix = "async def" if inspect.iscoroutinefunction(member) else "def"
    return f"### `{name}`\n\n```text\n{prefix} {name}{_signature(member)}\n```\n\n{marker} {body}\n"


def _signature(member: Any) -> str:
    """Its parameters and its answer, on several lines where one is too long; names without their modules."""
    signature = inspect.signature(member)
    short = re.sub(r"\b(?:keycairn|collections|typing)(?:\.\w+)*\.(\w+)", r"\1", str(signature))
    if len(short) <= WIDE:
        return short
    kept = [str(one) for one in signature.parameters.values()]
    parameters = "".join(f"    {one},\n" for one in kept)
    answer = short.rpartition(" -> ")[2]
    return re.sub(r"\b(?:keycairn|collections|typing)(?:\.\w+)*\.(\w+)", r"\1", f"(\n{parameters}) -> {answer}")


def page() -> str:
    """The whole page."""
    hooks = [(name, one) for name, one in vars(hookspecs).items() if hasattr(one, "keycairn_spec")]
    parts = ["\n## Hooks\n", *(f"\n{section(name, one)}" for name, one in hooks)]
    for protocol in PROTOCOLS:
        about = (inspect.getdoc(protocol) or "").partition("\n")[0]
        parts.append(f"\n## `{protocol.__name__}`\n\n{about}\n")
        members = [(n, one) for n, one in vars(protocol).items() if not n.startswith("_") and callable(one)]
        parts += [f"\n{section(name, one)}" for name, one in members]
    return HEAD + "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
