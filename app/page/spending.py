"""Sums of usage, as pages show them."""

from collections import Counter
from datetime import date

from keycairn.app.page.view import View
from keycairn.domain.token import Scope
from keycairn.domain.usage import Usage, UsageKey


async def usage_between(view: View, since: date, until: date) -> dict[UsageKey, Usage]:
    """What calls of the workspace used on these days of UTC, counted up to this moment."""
    keycairn = view.keycairn
    if keycairn.gateway is not None:
        await keycairn.gateway.accounting.flush()
    return dict(await keycairn.store.usage(view.caller.workspace, since=since, until=until))


async def calls_by_credential(view: View) -> dict[str, int]:
    """Today's calls by credential; nothing for a token that may not read usage."""
    if not view.may(Scope.AUDIT_READ):
        return {}
    today = view.now.date()
    calls: Counter[str] = Counter()
    for key, usage in (await usage_between(view, today, today)).items():
        calls[key.credential] += usage.requests
    return dict(calls)
