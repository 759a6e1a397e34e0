"""The overview: what needs somebody, worst first, and what works."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from litestar import Response, get
from msgspec import Struct

from keycairn.app.page.attention import last_backup, of_credentials, of_environment, of_held_back, of_keeping, of_keys
from keycairn.app.page.credentials import TheRows
from keycairn.app.page.plots import Bars, bars
from keycairn.app.page.rows import Row
from keycairn.app.page.usage_sums import usage_between
from keycairn.app.page.view import TheView, View
from keycairn.app.turns import each, in_turns
from keycairn.app.web.auth import Access, Touches
from keycairn.domain.environment import EnvironmentAccount
from keycairn.domain.token import Scope

DAYS = 14


class ProviderState(Struct, frozen=True, kw_only=True):
    """A provider that is in use, or could be, by the environment."""

    label: str
    name: str
    kind: str
    word: str


@get("/", opt={"scope": Access.ANY_TOKEN, "touches": Touches.CHOSEN}, include_in_schema=False)
async def overview(view: TheView, rows: TheRows) -> Response[Any]:
    """From what is stored already: nothing is opened, asked for or walked through."""
    reads = view.may(Scope.CREDENTIALS_READ)
    listed = await rows.of(view.keycairn, view.caller.workspace, view.caller.reach) if reads else ()
    waiting = view.keycairn.environment.found(view.caller.workspace) if view.caller.reach.whole and reads else ()
    keys = await view.keycairn.key_rotations.listed(workspace=view.caller.workspace) if reads else ()
    mine = [one for one in keys if view.caller.reach.holds(one.rotation.provider, one.rotation.credential)]
    held = await view.keycairn.key_rotations.held_back() if view.may(Scope.ADMIN, installation=True) else ()
    needs = [
        *await of_credentials(view, listed),
        *of_keys(mine),
        *of_held_back(held),
        *of_environment(view, listed, waiting),
        *of_keeping(view),
    ]
    plots: dict[str, Bars] = {}
    totals: Counter[str] = Counter()
    if view.may(Scope.AUDIT_READ, whole=True):
        today = view.now.date()
        days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
        calls: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        async for key, usage in each((await usage_between(view, days[0], today)).items()):
            calls[key.day.isoformat()] += usage.requests
            failed[key.day.isoformat()] += usage.failed
        names = [day.isoformat() for day in days]
        totals = Counter({"calls": calls[names[-1]], "failed": failed[names[-1]]})
        plots = {
            "calls": bars([(name, float(calls[name])) for name in names], "Calls a day", "calls"),
            "failed": bars([(name, float(failed[name])) for name in names], "Failed calls a day", "calls", bad=True),
        }
    states = Counter(await in_turns(listed, lambda row: row.state.code))
    checks = [check.at async for row in each(listed) if (check := row.listed.credential.last_check)]
    return view.page(
        "overview.html",
        needs=sorted(needs, key=lambda need: need.rank),
        states=states,
        total=len(listed),
        tested=max(checks, default=None),
        providers=await _providers(view, listed, waiting),
        plots=plots,
        totals=totals,
        backup=last_backup(view),
        reads=reads,
    )


async def _providers(view: View, rows: Sequence[Row], found: Sequence[EnvironmentAccount]) -> list[ProviderState]:
    order = {"bad": 0, "warn": 1, "off": 2, "ok": 3}
    worst: dict[str, ProviderState] = {}
    counts = Counter(await in_turns(rows, lambda row: row.listed.credential.provider))
    async for row in each(rows):
        name = row.listed.credential.provider
        before = worst.get(name)
        if before is None or order[row.state.kind] < order[before.kind]:
            more = f" ({counts[name]})" if counts[name] > 1 else ""
            worst[name] = ProviderState(label=f"{row.label}{more}", name=name, kind=row.state.kind, word=row.state.word)
    for account in found:
        if account.usable and account.provider not in worst:
            spec = view.keycairn.registry.get(account.provider).spec
            worst[spec.name] = ProviderState(label=spec.label, name=spec.name, kind="warn", word="Only in environment")
    return sorted(worst.values(), key=lambda one: (order[one.kind], one.label))
