"""What a run found, as a table in docs/reliability.md."""

from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- written by make torture -->", "<!-- end -->"


def write_report(rows: dict[str, dict[str, Any]]) -> None:
    """Put the tables of a run between the marks of the page."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    former, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{tables(rows, former)}\n{END}{after}")


def tables(rows: dict[str, dict[str, Any]], former: str) -> str:
    """One table for each group of tortures, and a line of sums. What a former run did and this one did not stays."""
    groups = _read(former)
    for row in rows.values():
        line = _Line(row["name"], row["promise"], row["done"], len(row["broken"]), str(row["seed"]))
        groups.setdefault(row["group"], {})[row["name"]] = line
    parts = []
    for group, lines in groups.items():
        total, broken = sum(line.done for line in lines.values()), sum(line.broken for line in lines.values())
        seeds = ", ".join(sorted({line.seed for line in lines.values()}))
        head = ["", f"**{group}**: {total:,}, promises broken: {broken} (seed {seeds})", ""]
        body = [f"| {line.name} | {line.promise} | {line.done:,} | {line.broken} |" for line in lines.values()]
        parts += [*head, "| what | promise | done | broken |", "|-|-|-|-|", *body]
    return "\n".join(parts)


class _Line(NamedTuple):
    name: str
    promise: str
    done: int
    broken: int
    seed: str


def _read(former: str) -> dict[str, dict[str, _Line]]:
    """What `tables` wrote."""
    groups: dict[str, dict[str, _Line]] = {}
    for part in former.split("\n**")[1:]:
        title, _, rest = part.partition("**")
        seed = rest.partition("(seed ")[2].partition(")")[0]
        cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in rest.split("\n") if line.startswith("| ")]
        groups[title] = {
            name: _Line(name, promise, int(done.replace(",", "")), int(broken), seed)
            for name, promise, done, broken in cells
            if name != "what"
        }
    return groups
