"""The list of places a client may and may not be led to, and names that resolve as it says."""

import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

Case = dict[str, Any]

with Path(__file__).with_name("data").joinpath("egress_cases.jsonl").open() as _lines:
    CASES: list[Case] = [json.loads(line) for line in _lines]
CATEGORIES = sorted({case["cat"] for case in CASES} - {"redirect"})
TLS = ssl.create_default_context()
"""One for all: loading the system's certificates takes longer than a case."""


async def each(category: str, check: Callable[[Case], Awaitable[None]], *, strict: bool) -> None:
    """`check` every case of a category that the policy is about. A failure names its case."""
    for case in CASES:
        if case["cat"] == category and case["policy"] in {"both", "strict" if strict else "self-hosted"}:
            try:
                await check(case)
            except BaseException as error:
                error.add_note(f"the case is {case}")
                raise


def resolver(case: Case) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """Gives the addresses of the case: those of `dns_seq` one answer after the other, then those of `dns`."""
    sequence: dict[str, list[list[str]]] = {host: [*answers] for host, answers in case.get("dns_seq", {}).items()}

    async def lookup(host: str, port: int) -> Sequence[str]:
        if sequence.get(host):
            return sequence[host].pop(0)
        found: list[str] = case.get("dns", {}).get(host, ["93.184.216.34"])
        return found

    return lookup
