"""Sums of usage, as pages show them."""

from collections import Counter
from collections.abc import Mapping
from datetime import date

from keycairn.app.page.view import View
from keycairn.app.turns import each
from keycairn.domain.token import Scope
from keycairn.domain.usage import Usage, UsageKey


async def usage_between(view: View, since: date, until: date) -> dict[UsageKey, Usage]:
    """What calls of the workspace used on these days of UTC, counted up to this moment."""
    keycairn = view.keycairn
    if keycairn.gateway is not None:
        await keycairn.gateway.accounting.flush()
    return dict(await keycairn.store.usage(view.caller.workspace, since=since, until=until))


async def summed(found: Mapping[UsageKey, Usage], by: str) -> dict[str, Usage]:
    """The sums of usage by one part of their keys, or by `hour`."""
    sums: dict[str, Usage] = {}
    async for key, usage in each(found.items()):
        for hour, part in usage.by_hour() if by == "hour" else [(None, usage)]:
            name = _time(key.day, hour) if by == "hour" else str(getattr(key, by))
            sums[name] = part if name not in sums else sums[name].plus(part)
    return sums


def _time(day: date, hour: int | None) -> str:
    return f"{day} at an unknown hour" if hour is None else f"{day} {hour:02}:00"


async def calls_by_credential(view: View) -> dict[str, int]:
    """Today's calls by credential; nothing for a token that may not read usage."""
    if not view.may(Scope.AUDIT_READ):
        return {}
    today = view.now.date()
    calls: Counter[str] = Counter()
    async for key, usage in each((await usage_between(view, today, today)).items()):
        calls[key.credential] += usage.requests
    return dict(calls)
