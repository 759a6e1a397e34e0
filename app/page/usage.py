"""Usage and money: a plot, the table behind it, and the same as CSV."""

import csv
import io
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from litestar import Response, get
from msgspec import Struct

from keycairn.app.page.plots import bars
from keycairn.app.page.usage_sums import summed, usage_between
from keycairn.app.page.view import TheView, View
from keycairn.app.turns import each
from keycairn.domain.price import NANOS
from keycairn.domain.token import Scope
from keycairn.domain.usage import Usage, UsageKey

READ = {"scope": Scope.AUDIT_READ}
DAYS, MOST_DAYS = 30, 366
BY = {"day": "Day", "hour": "Hour", "model": "Model", "credential": "Credential", "token": "Token"}
ROWS = 200
HOURLY_DAYS = 7
"""Days that are shown by the hour at most."""
_A = {"day": "a day", "hour": "an hour"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What begins a formula for a spreadsheet."""


class Asked(Struct, frozen=True):
    """Days, both included, and what sums are kept apart by. `wrong` says what could not be read."""

    since: date
    until: date
    by: str
    wrong: str


class Sum(Struct, frozen=True, kw_only=True):
    """A row of the table: `key` as it is stored, `name` for people."""

    key: str
    name: str
    usage: Usage


@get("/usage", opt=READ, include_in_schema=False)
async def usage(view: TheView) -> Response[Any]:
    """What calls used, by UTC's days."""
    asked = _asked(view)
    found = await usage_between(view, asked.since, asked.until)
    rows = await _rows(view, asked, found)
    by_hour = asked.by == "hour"
    days = [asked.since + timedelta(days=number) for number in range((asked.until - asked.since).days + 1)]
    times = [f"{day} {hour:02}:00" for day in days for hour in range(24)] if by_hour else [f"{day}" for day in days]
    kind = "hour" if by_hour else "day"
    sums = await summed(found, kind)
    shown = [(time, sums.get(time, Usage())) for time in times]
    plots = [
        bars([(time, float(one.requests)) for time, one in shown], f"Calls {_A[kind]}", "calls"),
        bars(
            [(time, float(one.input_tokens + one.output_tokens)) for time, one in shown], f"Tokens {_A[kind]}", "tokens"
        ),
    ]
    whole = Usage()
    for one in sums.values():
        whole = whole.plus(one)
    if whole.nanos:
        plots.append(bars([(time, one.nanos / NANOS) for time, one in shown], f"Money {_A[kind]}", ""))
    known = sum(one.requests for _, one in shown)
    return view.page(
        "usage.html",
        hourless=whole.requests - known if by_hour else 0,
        asked=asked,
        by=BY,
        rows=rows[:ROWS],
        more=max(0, len(rows) - ROWS),
        plots=plots,
        whole=whole,
        nanos=NANOS,
        peak=max((row.usage.requests for row in rows), default=0),
        address=f"{view.request.scope.get('scheme', 'http')}://{view.request.headers.get('host', '')}{view.base}",
    )


@get("/usage.csv", opt=READ, include_in_schema=False)
async def as_csv(view: TheView) -> Response[bytes]:
    """The same query as a file for spreadsheets."""
    asked = _asked(view)
    rows = await _rows(view, asked, await usage_between(view, asked.since, asked.until))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        [asked.by, "name", "requests", "failed", "input_tokens", "output_tokens", "cached_tokens", "estimated", "cost"]
    )
    async for row in each(rows):
        one = row.usage
        names = [_cell(row.key), _cell(row.name)]
        counts = [one.requests, one.failed, one.input_tokens, one.output_tokens, one.cached_tokens, one.estimated]
        writer.writerow([*names, *counts, f"{one.nanos / NANOS:.9f}".rstrip("0").rstrip(".")])
    name = f"keycairn-usage-{asked.since}-{asked.until}-by-{asked.by}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue().encode(), media_type="text/csv", headers=headers)


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _asked(view: View) -> Asked:
    today = view.now.date()
    wrong = ""

    def read(name: str, otherwise: date) -> date:
        nonlocal wrong
        try:
            return date.fromisoformat(view.query(name)) if view.query(name) else otherwise
        except ValueError:
            wrong = "A day is written as 2026-01-31."
            return otherwise

    by = view.choice("by", BY, "day")
    usual, most = (2, HOURLY_DAYS) if by == "hour" else (DAYS, MOST_DAYS)
    until = read("to", today)
    since = read("from", until - timedelta(days=usual - 1) if until > date.min + timedelta(days=usual) else until)
    if since > until or (until - since).days >= most:
        wrong = f"Ask for 1 to {most} days{' by the hour' if by == 'hour' else ''}."
        since, until = today - timedelta(days=usual - 1), today
    return Asked(since, until, by, wrong)


async def _rows(view: View, asked: Asked, found: Mapping[UsageKey, Usage]) -> list[Sum]:
    sums = await summed(found, asked.by)
    names = await _names(view, asked.by)
    rows = [
        Sum(key=key, name=names.get(key, key) or "calls of a provider's own API", usage=one)
        async for key, one in each(sums.items())
    ]
    if asked.by in {"day", "hour"}:
        return sorted(rows, key=lambda row: row.key, reverse=True)
    return sorted(rows, key=lambda row: (-row.usage.requests, row.key))


async def _names(view: View, by: str) -> dict[str, str]:
    workspace, store = view.caller.workspace, view.keycairn.store
    if by == "model":
        return {one.id: f"{one.provider}/{one.name}" async for one in each(await store.models(workspace, limit=None))}
    if by == "credential":
        found = await view.keycairn.credentials.list(workspace=workspace)
        return {one.credential.id: one.credential.name for one in found}
    if by == "token":
        return {one.id: one.name for one in await store.tokens(workspace)}
    return {}
