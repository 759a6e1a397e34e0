import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
AUDIT = runpy.run_path(str(ROOT / ".ci/audit.py"))
CLEAN: dict[str, Any] = {"name": "h11", "version": "0.16.0", "vulns": []}
FAULTY: dict[str, Any] = {"name": "old", "version": "1.0", "vulns": [{"id": "CVE-2026-1"}, {"id": "GHSA-x"}]}
UNLISTED: dict[str, Any] = {"name": "odd", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("dependencies", "expected"),
    [
        ([CLEAN], (0, "No known faults in 1 dependencies.")),
        ([CLEAN, UNLISTED], (0, "No known faults in 1 dependencies, 1 are not listed there.")),
        ([CLEAN, FAULTY, UNLISTED], (1, "Known faults:\nold 1.0: CVE-2026-1\nold 1.0: GHSA-x")),
        ([UNLISTED, UNLISTED], None),
        ([], None),
    ],
)
def test_only_what_was_judged_counts(dependencies: list[Any], expected: tuple[int, str] | None) -> None:
    assert AUDIT["verdict"]({"dependencies": dependencies, "fixes": []}) == expected


def test_no_answer_judges_nothing() -> None:
    assert AUDIT["verdict"](None) is None


@pytest.mark.parametrize("says", ["exit 1", "echo no >&2; exit 3", "for last; do :; done; echo x > $last"])
def test_a_tool_that_fails_is_a_reason_to_skip_and_says_so(
    says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = tmp_path / "pip-audit"
    tool.write_text(f"#!/bin/sh\n{says}\n")
    tool.chmod(0o700)
    assert AUDIT["main"](tool) == 0
    assert capsys.readouterr().out.startswith("Skipped: no index of vulnerabilities answers here")


def test_a_known_fault_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = tmp_path / "pip-audit"
    tool.write_text(
        """#!/bin/sh
for last; do :; done
echo '{"dependencies": [{"name": "old", "version": "1.0", "vulns": [{"id": "CVE-2026-1"}]}]}' > "$last"
exit 1
"""
    )
    tool.chmod(0o700)
    assert AUDIT["main"](tool) == 1
    assert "old 1.0: CVE-2026-1" in capsys.readouterr().out
