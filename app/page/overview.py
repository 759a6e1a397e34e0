"""The overview: what needs somebody, worst first, and what works."""

from collections import Counter
from datetime import timedelta
from typing import Any

from litestar import Response, get
from msgspec import Struct

from keycairn.app.api.auth import Access, Touches
from keycairn.app.api.fragments import spec_of
from keycairn.app.page.credentials import place
from keycairn.app.page.needs import last_backup, of_credentials, of_environment, of_keeping
from keycairn.app.page.plots import Bars, bars
from keycairn.app.page.spending import usage_between
from keycairn.app.page.states import state_of
from keycairn.app.page.view import TheView, View
from keycairn.app.services.credentials import Listed
from keycairn.domain.provider import canonical_name
from keycairn.domain.token import Scope
from keycairn.ports.store import MOST

DAYS = 14


class ProviderState(Struct, frozen=True, kw_only=True):
    """A provider that is in use, or could be, by the environment."""

    label: str
    name: str
    kind: str
    word: str


@get("/", opt={"scope": Access.ANY_TOKEN, "touches": Touches.CHOSEN}, include_in_schema=False)
async def overview(view: TheView) -> Response[Any]:
    """From what is stored already: nothing is opened, asked for or walked through."""
    reads = view.may(Scope.CREDENTIALS_READ)
    listed = await _all(view) if reads else []
    needs = [*(of_credentials(view, listed) if reads else ()), *of_environment(view, listed), *of_keeping(view)]
    plots: dict[str, Bars] = {}
    totals: Counter[str] = Counter()
    if view.may(Scope.AUDIT_READ):
        today = view.now.date()
        days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
        calls: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for key, usage in (await usage_between(view, days[0], today)).items():
            calls[key.day.isoformat()] += usage.requests
            failed[key.day.isoformat()] += usage.failed
        names = [day.isoformat() for day in days]
        totals = Counter({"calls": calls[names[-1]], "failed": failed[names[-1]]})
        plots = {
            "calls": bars([(name, float(calls[name])) for name in names], "Calls a day", "calls"),
            "failed": bars([(name, float(failed[name])) for name in names], "Failed calls a day", "calls", bad=True),
        }
    states = Counter(state_of(one, spec_of(view.keycairn, one.credential.provider)).code for one in listed)
    checks = [one.credential.last_check.at for one in listed if one.credential.last_check]
    return view.page(
        "overview.html",
        needs=sorted(needs, key=lambda need: need.rank),
        states=states,
        total=len(listed),
        tested=max(checks, default=None),
        providers=_providers(view, listed) if reads else [],
        plots=plots,
        totals=totals,
        backup=last_backup(view),
        reads=reads,
    )


async def _all(view: View) -> list[Listed]:
    found: list[Listed] = []
    after = None
    while page := await view.keycairn.credentials.list(after=after, limit=MOST, workspace=view.caller.workspace):
        found += [one for one in page if view.caller.reach.holds(one.credential.provider, one.credential.id)]
        if len(page) < MOST:
            break
        after = place(page[-1])
    return found


def _providers(view: View, listed: list[Listed]) -> list[ProviderState]:
    order = {"bad": 0, "warn": 1, "off": 2, "ok": 3}
    worst: dict[str, ProviderState] = {}
    counts = Counter(one.credential.provider for one in listed)
    for one in listed:
        name = one.credential.provider
        spec = spec_of(view.keycairn, name)
        state = state_of(one, spec)
        before = worst.get(name)
        if before is None or order[state.kind] < order[before.kind]:
            label = spec.label if spec else name
            more = f" ({counts[name]})" if counts[name] > 1 else ""
            worst[name] = ProviderState(label=f"{label}{more}", name=name, kind=state.kind, word=state.word)
    for account in view.keycairn.environment.found(view.caller.workspace) if view.caller.reach.whole else ():
        name = canonical_name(account.provider)
        if account.usable and name not in worst:
            spec = spec_of(view.keycairn, name)
            worst[name] = ProviderState(
                label=spec.label if spec else name, name=name, kind="warn", word="Only in environment"
            )
    return sorted(worst.values(), key=lambda one: (order[one.kind], one.label))
