"""Sending the rows of an import to Keycairn, some hundred at a time, and telling what became of each."""

from typing import TYPE_CHECKING, Any

import msgspec

from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.show import BAD, DULL, GOOD, say, shown, table
from keycairn.app.sources import SourceSpec
from keycairn.domain.incoming import IncomingCredential, IncomingDefaults, IncomingRow, Refused, unusable_secret
from keycairn.domain.secret import Secret

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

ROWS = 200
"""Rows in one request."""
BYTES = 4 * 1024 * 1024
"""Of one request, at most about this many."""
SHOWN = 40
"""Lines of each kind in the report for people."""
_LISTS = ("created", "repaired", "skipped", "refused", "relinked", "models")


async def bring(client: "Client", spec: SourceSpec, *, dry_run: bool, again: bool, as_json: bool) -> int | None:
    """Send the rows of a source, and show the report."""
    from rich.progress import (  # noqa: PLC0415  # 0.1 s, which `--help` does not need
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from keycairn.app.logs import configure_logs  # noqa: PLC0415  # with the adapters 1 s, likewise
    from keycairn.app.wiring import open_source  # noqa: PLC0415

    configure_logs("warning")
    source = open_source(spec)
    whole: dict[str, Any] = {"dry_run": dry_run, **{name: [] for name in _LISTS}, "defaults": {}, "renamed": {}}
    batch: list[Any] = []
    left = TimeRemainingColumn(elapsed_when_finished=True)
    columns = (TextColumn(source.label), BarColumn(), MofNCompleteColumn(), left)
    with Progress(*columns, disable=as_json, transient=True) as progress:
        bar = progress.add_task("rows", total=None)
        if progress.console.is_terminal and not as_json:
            progress.update(bar, total=await _count(spec))

        async def send() -> None:
            body = {"rows": batch, "dry_run": dry_run, "again": again}
            if dry_run and batch[0]["row"] == "defaults":
                body["planned"] = whole["models"]
            part = await client.post("/api/credentials/import", body)
            for name in _LISTS:
                whole[name] += part[name]
            whole["defaults"] |= part["defaults"]
            whole["renamed"] |= part["renamed"]
            progress.advance(bar, len(batch))

        size = 0
        async for row in source.rows():
            encoded = _encoded(row)
            if isinstance(encoded, Refused):
                whole["refused"].append({"where": encoded.where, "reason": encoded.reason})
                progress.advance(bar)
                continue
            if batch and (len(batch) == ROWS or size + len(encoded) > BYTES or isinstance(row, IncomingDefaults)):
                await send()
                batch, size = [], 0
            batch.append(msgspec.json.decode(encoded))
            size += len(encoded)
        if batch:
            await send()
    if not shown(whole, as_json=as_json):
        _print(whole)
    return FAILED if whole["refused"] else None


async def _count(spec: SourceSpec) -> int | None:
    """The rows of a file, which is read once more for it; None for what can be read once, or over the network only."""
    from keycairn.app.wiring import open_source  # noqa: PLC0415  # loaded before

    return sum([1 async for _ in open_source(spec).rows()]) if spec.is_rereadable else None


def _encoded(row: IncomingRow) -> bytes | Refused:
    """The row as it is sent; why not, where it cannot be."""

    def revealed(value: object) -> str:
        if isinstance(value, Secret):
            return value.reveal()  # for Keycairn itself, and nobody else
        raise NotImplementedError

    if isinstance(row, Refused):
        return row
    where = "the defaults" if isinstance(row, IncomingDefaults) else row.where
    if isinstance(row, IncomingCredential) and (why := unusable_secret(row)):
        return Refused(where=where, reason=why)
    try:
        return msgspec.json.encode(row, enc_hook=revealed)
    except (UnicodeError, OverflowError, RecursionError):
        return Refused(where=where, reason="it holds something that JSON cannot hold")


def _print(whole: dict[str, Any]) -> None:
    would = "would be " if whole["dry_run"] else ""
    for name, verb, style in (("created", f"{would}imported", GOOD), ("repaired", f"{would}repaired", GOOD)):
        if whole[name]:
            say(f"{len(whole[name])} {verb}:", style)
            rows = ((one["where"], one["id"], ", ".join(one["models"]), _remarks(one)) for one in whole[name][:SHOWN])
            table(("from", "id", "models", "remarks"), rows, empty="")
            _rest(whole[name])
    for name, verb, style in (("skipped", "left as they are", DULL), ("refused", "could NOT come in", BAD)):
        if whole[name]:
            say(f"{len(whole[name])} {verb}:", style)
            table(("from", "why"), ((one["where"], one["reason"]) for one in whole[name][:SHOWN]), empty="")
            _rest(whole[name])
    if whole["relinked"]:
        say(f"{len(whole['relinked'])} models that had no credential {would}linked.")
    if whole["defaults"]:
        say("Defaults " + would + "set: " + ", ".join(f"{slot} = {id}" for slot, id in whole["defaults"].items()))
    if not any(whole[name] for name in (*_LISTS, "defaults")):
        say("There is nothing to import.", DULL)
    elif not any(whole[name] for name in _LISTS if name != "skipped") and not whole["defaults"]:
        say("There is nothing to do.", DULL)
    broken = sum(bool(one["broken"]) for one in whole["created"])
    if broken:
        say(f"{broken} came without a readable key; send their keys, or import again with the right passphrase.", BAD)


def _remarks(one: dict[str, Any]) -> str:
    return "; ".join([*(f"{name}: {why}" for name, why in one["broken"].items()), *one["notes"]])


def _rest(items: list[Any]) -> None:
    if len(items) > SHOWN:
        say(f"... and {len(items) - SHOWN} more; --json lists them all.", DULL)
