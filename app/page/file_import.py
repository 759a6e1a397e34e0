"""Moving in from a file: read once, planned, and brought in when the plan is agreed to."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from keycairn.app.page.env_import import TheJobs, plan_page
from keycairn.app.page.jobs import MOST_SHOWN
from keycairn.app.page.view import TheView, View
from keycairn.app.services.imports import HERE
from keycairn.app.sources import Kind, SourceSpec
from keycairn.app.web.auth import Options
from keycairn.app.web.limits import LARGEST_IMPORT
from keycairn.domain.errors import InvalidInputError, NotFoundError, SettingsError
from keycairn.domain.incoming import ImportReport, IncomingRow, touches_models
from keycairn.domain.token import Scope
from keycairn.ports.source import ImportSource

WRITE: Options = {"scope": Scope.CREDENTIALS_WRITE, "installation": True}
KINDS = {"env": (Kind.ENV, ".env"), "litellm": (Kind.LITELLM, ".yaml"), "table": (Kind.TABLE, ""),
         "open-notebook": (Kind.OPEN_NOTEBOOK, "")}  # fmt: skip
MOST_ROWS = 5_000
AT_ONCE = 0.5
"""Seconds: what is done by then is shown at once, and the rest as it goes."""


class HeldRows:
    """An import's rows that were read before: an import source."""

    def __init__(self, label: str, rows: Sequence[IncomingRow]) -> None:
        self.label = label
        self._rows = rows

    async def rows(self) -> AsyncIterator[IncomingRow]:
        """The rows, in their order."""
        for row in self._rows:
            yield row


@post("/move-in/file", opt=WRITE, request_max_body_size=LARGEST_IMPORT, include_in_schema=False)
async def read_file(view: TheView, jobs: TheJobs) -> Response[Any]:
    """Read the file, and plan."""
    form = await view.form()
    upload, name = form.file("file"), form.text("kind")
    wrong: dict[str, str] = {}
    if upload is None:
        wrong["file"] = "choose a file"
    if name not in KINDS:
        wrong["kind"] = "choose what it is"
    if upload is None or wrong:
        return await plan_page(view, errors=wrong, kind=name, status=422)
    kind, ending = KINDS[name]
    try:
        rows = await _rows(view, kind, ending or Path(upload.filename).suffix.lower(), await upload.read(), form)
    except (InvalidInputError, SettingsError) as error:
        return await plan_page(view, errors={"file": str(error)}, kind=name, status=422)
    if not rows:
        nothing = "Nothing that can move in is in this file. Is it what you chose below?"
        return await plan_page(view, errors={"file": nothing}, kind=name, status=422)
    if any(map(touches_models, rows)):
        view.need(Scope.MODELS_WRITE)
    job = jobs.begin(view.caller.actor)
    job.rows, job.total, job.name = rows, len(rows), Path(upload.filename).name[:100]
    return view.seen(f"/move-in/file/{job.id}")


@get("/move-in/file/{job:str}", opt=WRITE, include_in_schema=False)
async def plan(view: TheView, jobs: TheJobs, job: FromPath[str]) -> Response[Any]:
    """What would come in. Nothing is done yet."""
    found = jobs.of(view.caller.actor, job)
    if not found.rows or found.passed:
        raise NotFoundError("This plan was carried out, or dropped.")
    planned: set[str] = set()

    async def look(rows: Sequence[IncomingRow]) -> ImportReport:
        report = await view.keycairn.importer.take(rows, dry_run=True, planned=planned, by=view.caller)
        planned.update(report.models)
        return report

    if task := jobs.plan(found, await view.keycairn.store.revision(), look):
        await asyncio.wait({task}, timeout=AT_ONCE)
    return view.page("move_in_file.html", job=found, report=found.plan, most=MOST_SHOWN, here=HERE)


@post("/move-in/file/{job:str}", opt=WRITE, include_in_schema=False)
async def bring(view: TheView, jobs: TheJobs, job: FromPath[str]) -> Response[Any]:
    """Bring in what was planned. What is here stays as it is."""
    await view.form()
    found = jobs.of(view.caller.actor, job)
    if any(map(touches_models, found.rows)):
        view.need(Scope.MODELS_WRITE)
    importer, by = view.keycairn.importer, view.caller
    if found.running and not found.passed:
        return view.seen(f"/move-in/file/{job}")  # it is being looked at still
    if found.rows and (task := jobs.bring(found, lambda rows: importer.run(HeldRows(found.name, rows), by=by))):
        await asyncio.wait({task}, timeout=AT_ONCE)
    return view.seen(f"/move-in/{job}")


async def _rows(view: View, kind: Kind, ending: str, content: bytes, form: Any) -> list[IncomingRow]:
    """The rows of a file. It lies in a private file of its own while it is read. Raises UnreadableSourceError."""
    opened = view.keycairn.open_source
    if opened is None:
        raise InvalidInputError("No file can be opened here.")
    with tempfile.TemporaryDirectory(prefix="keycairn-") as folder:
        file = Path(folder) / f"import{ending if ending in {'.env', '.yaml', '.csv', '.json', '.surql'} else ''}"
        file.touch(mode=0o600)
        spec = SourceSpec(
            kind=kind,
            place=str(file),
            passphrase=form.secret("passphrase"),
            specs=[one.spec for one in view.keycairn.registry.all()],
        )

        def read() -> list[IncomingRow]:
            file.write_bytes(content)
            return asyncio.run(_collected(opened(spec)))

        return await asyncio.to_thread(read)  # a large file takes seconds, in which others are served


async def _collected(source: ImportSource) -> list[IncomingRow]:
    rows: list[IncomingRow] = []
    async for row in source.rows():
        rows.append(row)
        if len(rows) > MOST_ROWS:
            raise InvalidInputError(f"More than {MOST_ROWS} rows: use `keycairn import`, which reads on and on.")
    return rows
