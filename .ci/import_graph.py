"""Draw the imports between the rooms of Keycairn into docs/architecture.md, as a Mermaid diagram between two markers."""

import re
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import grimp

PAGE = Path(__file__).parents[1] / "docs/architecture.md"
BEGIN, END = "<!-- imports: written by make docs -->\n", "<!-- /imports -->\n"
FOLDERS = ("api", "gateway", "cli", "ingress", "services")
STOREYS = (
    ("app", ("app", "api", "cli", "gateway", "ingress", "keycairn.py", "shared")),
    ("app/services", ("doctor", "imports", "models", "credentials", "access", "keys", "backups", "audit")),
    ("adapters and plugins", ("adapters", "plugins")),
    ("the core", ("ports", "domain")),
)
CORE = ("domain", "ports")


def rooms() -> Mapping[str, set[str]]:
    """Each room with those that it imports directly.

    A room is a layer, a folder of `app`, or one subject of the services. Files that lie in `app` itself are `shared`
    where they import no other room of `app`, and else `app`, the assembly; `keycairn.py` is what all of it is about.
    """
    graph = grimp.build_graph("keycairn")
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}

    def folder(module: str) -> str | None:
        """The room a module's folder makes it part of; None for a file in `app` itself."""
        parts = module.split(".")[1:]
        if not parts or parts[0] in {"__main__", "testing"}:
            return ""
        if parts[0] != "app":
            return parts[0]
        if parts == ["app", "keycairn"]:
            return "keycairn.py"
        if len(parts) > 1 and parts[1] in FOLDERS:
            return parts[2] if parts[1] == "services" and len(parts) > 2 else parts[1]
        return None

    def shared(module: str) -> bool:
        """Whether a file in `app` itself leads to nothing but the core."""
        ways = {each: folder(each) for each in imports[module]}
        return all(way in CORE or way == "" or (way is None and shared(each)) for each, way in ways.items())

    def room(module: str) -> str:
        found = folder(module)
        if found is None:
            return "shared" if module != "keycairn.app" and shared(module) else "app"
        return found

    found: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        for target in imports[module]:
            if room(module) and room(target):
                found[room(module)].add(room(target))
    return {name: targets - {name} for name, targets in found.items()}


def arrows(found: Mapping[str, set[str]]) -> set[tuple[str, str]]:
    """The imports without those that a longer way along others implies. There are no circles, as the walls hold."""
    direct = {(a, b) for a, targets in found.items() for b in targets}

    def reached(start: str, without: tuple[str, str]) -> set[str]:
        seen, waiting = set(), [start]
        while waiting:
            here = waiting.pop()
            for step in found.get(here, ()):
                if (here, step) != without and step not in seen:
                    seen.add(step)
                    waiting.append(step)
        return seen

    return {(a, b) for a, b in direct if b not in reached(a, (a, b))}


def diagram() -> str:
    """The Mermaid block."""
    found = rooms()
    lines = ["```mermaid", "flowchart TD"]
    for number, (title, names) in enumerate(STOREYS):
        lines.append(f'  subgraph storey{number}["{title}"]')
        lines += [f'    {_id(name)}["{name}"]' for name in names if name in found or name in CORE]
        lines.append("  end")
    lines += [f"  {_id(a)} --> {_id(b)}" for a, b in sorted(arrows(found))]
    return "\n".join([*lines, "```", ""])


def _id(name: str) -> str:
    return re.sub(r"\W", "_", name)


def drawn(page: str) -> str:
    """The page with the diagram of today. Raises ValueError where it has no place for one."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        message = "The page has no markers for the diagram."
        raise ValueError(message)
    return f"{head}{BEGIN}{diagram()}{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
    sys.stdout.write(f"{PAGE}\n")
