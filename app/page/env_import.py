"""Moving in from the environment: the plan, the move, the results row by row, and their tests."""

from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from keycairn.app.page.jobs import MOST_SHOWN, Jobs, Tested
from keycairn.app.page.view import TheView, View
from keycairn.app.services.audit import DELETED_HERE
from keycairn.app.services.imports import HERE, MigrationEntry, Step
from keycairn.domain.errors import UnknownProviderError
from keycairn.domain.ids import CredentialId
from keycairn.domain.token import Scope

WRITE = {"scope": Scope.CREDENTIALS_WRITE}
TheJobs = NamedDependency[Jobs]
BETWEEN = ","


@get("/move-in", opt=WRITE, include_in_schema=False)
async def plan(view: TheView) -> Response[Any]:
    """What would come in, and why the rest would not. Nothing is done yet."""
    return await plan_page(view)


@post("/move-in", opt=WRITE, include_in_schema=False)
async def move(view: TheView, jobs: TheJobs) -> Response[Any]:
    """Bring in what is ticked."""
    form = await view.form()
    chosen = [frozenset(text.split(BETWEEN)) for text in form.all("account")]
    if not chosen:
        return await plan_page(view, why="Tick what shall come in.", status=422)
    again = form.ticked("again")
    done = await view.keycairn.environment.migrate(only=chosen, again=again, by=view.caller)
    if not any(entry.variables for entry in done.entries):
        why = "What was ticked is not in the environment any more. This is what there is by now."
        return await plan_page(view, why=why, status=409)
    job = jobs.begin(view.caller.actor)
    job.entries = tuple(entry for entry in done.entries if entry.variables)
    job.name = "the environment"
    return view.seen(f"/move-in/{job.id}")


@get("/move-in/{job:str}", opt=WRITE, include_in_schema=False)
async def results(view: TheView, jobs: TheJobs, job: FromPath[str]) -> Response[Any]:
    """What came of it; while tests run, it changes."""
    found = jobs.of(view.caller.actor, job)
    moved = [entry for entry in found.entries if entry.step is Step.MIGRATE]
    removable = sorted({name for entry in found.entries for name in entry.removable})
    imported = list(found.report.created) if found.report else []
    return view.page(
        "moved.html",
        job=found,
        rows=[(entry, _label(view, entry.provider)) for entry in found.entries],
        moved=moved,
        imported=imported,
        removable=removable,
        step=Step,
        most=MOST_SHOWN,
        ids=[*(entry.credential for entry in moved), *(one.id for one in imported)],
    )


@post("/move-in/{job:str}/test", opt=WRITE, include_in_schema=False)
async def test_all(view: TheView, jobs: TheJobs, job: FromPath[str]) -> Response[Any]:
    """Ask every provider whether what came in works."""
    await view.form()
    found = jobs.of(view.caller.actor, job)
    keycairn, caller = view.keycairn, view.caller
    ids = [entry.credential for entry in found.entries if entry.credential is not None]
    ids += [CredentialId(one.id) for one in found.report.created] if found.report else []

    async def test(id: CredentialId) -> Tested:
        report = await keycairn.probing.test(id, by=caller)
        return Tested(report.success, report.message)

    jobs.test(found, ids, test)
    return view.seen(f"/move-in/{job}")


async def plan_page(
    view: View, *, why: str = "", errors: dict[str, str] | None = None, kind: str = "env", status: int = 200
) -> Response[Any]:
    """The plan of the environment, and the form for a file; `errors` are of that form."""
    anyway = view.query("again") == "1"
    planned = await view.keycairn.environment.migrate(dry_run=True, again=anyway, by=view.caller)
    entries = [entry for entry in planned.entries if entry.variables]
    order = {Step.MIGRATE: 0, Step.ERROR: 1, Step.SKIP: 2, Step.NOT_CONFIGURED: 3}
    rows = [(entry, _label(view, entry.provider), _key(entry)) for entry in entries]
    return view.page(
        "move_in.html",
        status=status,
        rows=sorted(rows, key=lambda row: order[row[0].step]),
        count=len(planned.of(Step.MIGRATE)),
        step=Step,
        why=why,
        here=HERE,
        errors=errors or {},
        kind=kind,
        again=anyway,
        deleted=any(entry.reason == DELETED_HERE for entry in entries),
        takes_files=view.keycairn.open_source is not None and view.may(Scope.MODELS_WRITE),
    )


def _key(entry: MigrationEntry) -> str:
    return BETWEEN.join(sorted(set(entry.variables.values())))


def _label(view: View, provider: str) -> str:
    try:
        return view.keycairn.registry.get(provider).spec.label
    except UnknownProviderError:
        return provider
