"""`python -m tests.clients`: installs the SDKs, runs them, and writes what came of it into docs/clients.md."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from tests.clients.house import run
from tests.clients.installed import NotInstallableError, commands

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "clients.md"
BEGIN, END = "<!-- written by make clients -->", "<!-- end -->"


def table(found: dict[str, Any]) -> str:
    """The results as a table, a line for each client and operation."""
    lines = ["| client | version | operation | result |", "|-|-|-|-|"]
    for client, name, result in found["results"]:
        shown = " ".join(result.split()).replace("|", "\\|")
        lines.append(f"| {client} | {found['versions'][client]} | {name} | {shown} |")
    return "\n".join(lines)


def main() -> int:
    """Run, and give the exit code: 1 where an operation failed, 0 too where the SDKs cannot be installed."""
    try:
        wanted = list(commands(ROOT / ".venv-clients"))
    except NotInstallableError as error:
        sys.stdout.write(f"Skipped: the SDKs cannot be installed here: {error}\n")
        return 0
    found = asyncio.run(run(*wanted))
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{after}")
    failed = [f"{client}: {name}: {result}" for client, name, result in found["results"] if result != "ok"]
    count = len(found["results"])
    sys.stdout.write("\n".join([*failed, f"{count - len(failed)} of {count} work"]) + "\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
