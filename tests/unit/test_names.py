"""One public class name stands for one thing, through all layers."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    file for layer in ("domain", "ports", "adapters", "app", "plugins") for file in (ROOT / layer).rglob("*.py")
)


def test_no_public_class_name_stands_for_two_things() -> None:
    places: dict[str, set[str]] = defaultdict(set)
    for file in SOURCES:
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(str(file.relative_to(ROOT)))
    assert len(places) > 300
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
