"""Draw the imports between the rooms of Keycairn into docs/architecture.md, as a Mermaid diagram between markers."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import grimp

PAGE = Path(__file__).parents[1] / "docs/architecture.md"
BEGIN, END = "<!-- imports: written by make docs -->\n", "<!-- /imports -->\n"
FLOORS = (
    ("app", ("cli", "assembly", "page", "api", "web", "keycairn.py", "gateway", "ingress", "shared")),
    (
        "app/services",
        ("doctor", "imports", "models", "key_rotations", "access", "credentials", "keys", "backups", "audit"),
    ),
    ("beside", ("adapters", "plugins")),
    ("core", ("ports", "domain")),
)
"""The rooms by the floor they are drawn on."""
LAYERS = ("domain", "ports", "adapters", "plugins")
FOLDERS = ("api", "page", "web", "gateway", "cli", "ingress")
"""Those of `app` that are rooms as a whole; each folder of `app/services` is one, too."""

Rooms = Mapping[str, frozenset[str]]


def folder_of(module: str) -> str | None:
    """The room that a module's folder makes it part of; None for a file in `app` itself, "" for what is not drawn."""
    parts = [*module.split(".")[1:], "", "", ""]
    if parts[0] in LAYERS:
        return parts[0]
    if parts[0] != "app":
        return ""
    if parts[1] == "services":
        return parts[2]
    if parts[1] == "keycairn":
        return "keycairn.py"
    return parts[1] if parts[1] in FOLDERS else None


def rooms() -> Rooms:
    """Each room with those that it imports directly.

    Files that lie in `app` itself are `shared` where they lead to nothing but the core, and else the `assembly`.
    `keycairn.py`, the services put together, is a room of its own.
    """
    graph = grimp.build_graph("keycairn", cache_dir=None)

    def shared(module: str) -> bool:
        ways = {each: folder_of(each) for each in graph.find_modules_directly_imported_by(module)}
        return all(way in {"domain", "ports", ""} or (way is None and shared(each)) for each, way in ways.items())

    def room(module: str) -> str:
        found = folder_of(module)
        return found if found is not None else "shared" if shared(module) and module != "keycairn.app" else "assembly"

    found: dict[str, set[str]] = {name: set() for _, names in FLOORS for name in names}
    for module in graph.modules:
        for target in graph.find_modules_directly_imported_by(module):
            if room(module) and room(target):
                found[room(module)].add(room(target))
    return {name: frozenset(targets - {name}) for name, targets in found.items()}


def reached(found: Rooms, start: str) -> set[str]:
    """Everything that a room leads to, by whatever way."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        fresh = found[waiting.pop()] - seen
        seen |= fresh
        waiting += fresh
    return seen


def arrows(found: Rooms) -> list[tuple[str, str]]:
    """The imports without those that a longer way implies. Raises ValueError for a circle, which has no such arrows."""
    for name in found:
        if name in reached(found, name):
            message = f"{name} leads back to itself."
            raise ValueError(message)
    return sorted(
        (name, target)
        for name, targets in found.items()
        for target in targets
        if not any(target in reached(found, other) for other in targets)
    )


def diagram() -> str:
    """The Mermaid block."""
    lines = ["```mermaid", "flowchart TD"]
    for number, (title, names) in enumerate(FLOORS):
        lines.append(f'  subgraph floor{number}["{title}"]')
        lines += [f'    {_id(name)}["{name}"]' for name in names]
        lines.append("  end")
    lines += [f"  {_id(name)} --> {_id(target)}" for name, target in arrows(rooms())]
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
