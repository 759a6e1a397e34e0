"""Write docs/files.md: every file of the package by its folder, with the first line of what it says of itself."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/files.md"
LAYERS = ("domain", "ports", "adapters", "plugins", "app", "src/keycairn/testing")
HEAD = """# What each file is for

Written by `make docs` from the first line of each file; a test compares. How they belong together:
[architecture.md](architecture.md).
"""


def said_of(file: Path) -> str:
    """The first paragraph of a file's docstring, in one line. Raises ValueError for a file that says nothing."""
    text = ast.get_docstring(ast.parse(file.read_text()))
    if not text:
        message = f"{file.relative_to(ROOT)} does not say what it is for."
        raise ValueError(message)
    return " ".join(text.partition("\n\n")[0].split())


def said_of_template(file: Path) -> str:
    """The comment that a template begins with. Raises ValueError for a template that says nothing."""
    said = re.match(r"{# (.+?) -#}", file.read_text())
    if not said:
        message = f"{file.relative_to(ROOT)} does not say what it shows."
        raise ValueError(message)
    return said[1]


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for layer in LAYERS:
        folders = sorted({file.parent for file in (ROOT / layer).rglob("*.py")})
        for folder in folders:
            face = folder / "__init__.py"
            shown = sorted(folder.glob("templates/*.html"))
            files = sorted(file for file in folder.glob("*.py") if file != face)
            rows = [f"| `{file.name}` | {said_of(file).replace('|', chr(92) + '|')} |" for file in files]
            rows += [f"| `templates/{file.name}` | {said_of_template(file)} |" for file in shown]
            table = "\n".join(["| file | |", "|-|-|", *rows])
            parts.append(f"## {folder.relative_to(ROOT)}\n\n{said_of(face)}\n" + (f"\n{table}\n" if rows else ""))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
