"""Look up the known faults of every locked dependency. Run as `make audit`.

Exit code 1 where one has a known fault. Where no index of vulnerabilities answers, nothing is known either way: that is
said, and is no failure.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
SERVICES = ("pypi", "osv")
"""Asked in this order, until one answers."""
DEADLINE = 120
"""Seconds for one of them."""


def report_of(tool: Path, service: str, lock: Path = LOCK) -> dict[str, Any] | None:
    """What `pip-audit` says of the lock, None where it could not ask."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        options = ("--disable-pip", "--require-hashes", "--progress-spinner=off", "--timeout=10", "--format=json")
        files = ("--requirement", str(lock), "--output", str(file))
        command = [str(tool), *options, "--vulnerability-service", service, *files]
        try:
            subprocess.run(command, timeout=DEADLINE, capture_output=True, check=False)  # noqa: S603  # our own words
            report: dict[str, Any] = json.loads(file.read_text())
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None
        return report


def verdict(report: dict[str, Any] | None) -> tuple[int, str] | None:
    """The exit code and what to say; None where the report judges nothing."""
    dependencies = report.get("dependencies", []) if report else []
    judged = [one for one in dependencies if "skip_reason" not in one]
    if not judged:
        return None
    faults = [f"{one['name']} {one['version']}: {fault['id']}" for one in judged for fault in one.get("vulns", [])]
    unknown = f", {len(dependencies) - len(judged)} are not listed there" if len(judged) < len(dependencies) else ""
    if faults:
        return 1, "\n".join(("Known faults:", *faults))
    return 0, f"No known faults in {len(judged)} dependencies{unknown}."


def main(tool: Path) -> int:
    """Ask, and say what came of it."""
    for service in SERVICES:
        if said := verdict(report_of(tool, service)):
            print(said[1])
            return said[0]
    print("Skipped: no index of vulnerabilities answers here, so nothing is known of the dependencies' faults.")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
