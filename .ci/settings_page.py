"""Write docs/settings.md from the settings themselves."""

import sys
from pathlib import Path

from keycairn.app.settings import FOR_COMMANDS, HELP, PREFIX, SECRETS

PAGE = Path(__file__).parents[1] / "docs/settings.md"
HEAD = """# Settings

Written by `make docs` from the settings themselves; a test compares. `keycairn settings` says which of them are set.

All are environment variables. Those marked * can also be given as `..._FILE`, the path of a file that holds the value.
A name that begins with `KEYCAIRN_` and is none of these ends the start, so that no misspelt setting goes unnoticed.

| variable | meaning |
|-|-|
"""


def page() -> str:
    """The whole page."""
    rows = [
        f"| `{PREFIX}{name}`{' *' if name in SECRETS else ''} | {text.replace('|', chr(92) + '|')} |"
        for name, text in {**HELP, **FOR_COMMANDS}.items()
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
