"""What a run found, as a table in docs/reliability.md."""

from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- written by make torture -->", "<!-- end -->"


def write_report(rows: dict[str, dict[str, Any]]) -> None:
    """Put the tables of a run between the marks of the page."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    former, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{tables(rows, former)}\n{END}{after}")


def tables(rows: dict[str, dict[str, Any]], former: str) -> str:
    """One table for each group of tortures, and a line of sums. Groups of a former run that were not run again stay."""
    ran = {row["group"] for row in rows.values()}
    kept = [part for part in former.split("\n\n**")[1:] if part.partition("**")[0] not in ran]
    parts = [f"\n**{part.rstrip()}" for part in kept]
    for group in dict.fromkeys(row["group"] for row in rows.values()):
        its = [row for row in rows.values() if row["group"] == group]
        total, broken = sum(row["done"] for row in its), sum(len(row["broken"]) for row in its)
        seeds = ", ".join(sorted({str(row["seed"]) for row in its}))
        lines = [f"| {row['name']} | {row['promise']} | {row['done']:,} | {len(row['broken'])} |" for row in its]
        head = ["", f"**{group}**: {total:,}, promises broken: {broken} (seed {seeds})", ""]
        parts += [*head, "| what | promise | done | broken |", "|-|-|-|-|", *lines]
    return "\n".join(parts)
