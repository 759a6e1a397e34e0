"""The command `doctor`: what is wrong with the installation, and mending what can be mended."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import click
from msgspec import convert, to_builtins

from keycairn.app.cli.asking import asked
from keycairn.app.cli.connected import reading, with_client
from keycairn.app.cli.endings import Declined
from keycairn.app.cli.failures import FAILED
from keycairn.app.cli.service_options import as_json, service_options
from keycairn.app.cli.settings import settings
from keycairn.app.cli.show import BAD, DULL, GOOD, say, shown
from keycairn.app.data_folder import ROOT_KEY_FILE
from keycairn.app.logs import configure_logs
from keycairn.app.privacy import exposures
from keycairn.app.services.doctor import Finding
from keycairn.app.settings import Settings
from keycairn.domain.errors import RequestFailedError

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended safely, after a backup.")
@click.option("--lost-root-key", is_flag=True, help="Go on without the root key: every credential's key is sent again.")
@click.option(
    "--accept-database", is_flag=True, help="Go on with a database that is older than its redo log, or another one."
)
@click.option("--replay", is_flag=True, help="Put back what the database server had acknowledged and lost.")
@click.option("--discard", metavar="RECORD", multiple=True, help="Remove a record that is refused, by kind and key.")
@click.option("--yes", is_flag=True, help="With --lost-root-key: do not ask.")
@service_options
@as_json
def doctor(  # one for each option
    *,
    fix: bool,
    lost_root_key: bool,
    accept_database: bool,
    replay: bool,
    discard: tuple[str, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """Look for trouble, and say what to do about it. Exit code 1 when something is broken.

    Tries every stored secret, and looks at the files, the links between records, the audit log, the plugins and the
    environment. Nothing but the notes of what does not open is changed.

    With `--fix`, a backup is written, then models are unlinked from credentials that are gone, defaults that point to
    nothing are cleared, and a rotation that was cut off is finished. Nothing is deleted.

    With `--lost-root-key`, for when the root key is gone for good and the service stands still: after a backup a new
    one takes its place. Accounts, models, links and defaults stay; the stored keys are lost, tokens are revoked.
    Sending a credential's key again heals it, and its models work at once.

    With `--accept-database`, for when a start is refused because the database is not the one, or not as far as the one,
    that the redo log beside it belongs to: what is there counts from then on, and what is missing is noted for good.
    Records that are refused because the audit log knows another version of them count again too; those whose own proof
    does not hold never do.

    With `--discard`, for records that are refused or cannot be read: they are removed for good. Give it once for each.

    With `--replay`, for when a database server lost changes it had acknowledged: what the redo log in the data folder
    remembers of them is put back where it still fits, and the rest is listed.
    """
    if yes > lost_root_key or (fix and lost_root_key):
        raise click.UsageError("--yes goes with --lost-root-key, and --fix does not.")
    if discard:
        _discard(discard, as_json=as_json)
    elif replay:
        _replay(as_json=as_json)
    elif accept_database:
        _accept(as_json=as_json)
    elif lost_root_key:
        _begin_anew(sure=yes, as_json=as_json)
    else:
        examine = with_client(_examination) if fix else reading(_examination)
        examine(fix=fix, as_json=as_json)


async def _examination(client: "Client", *, fix: bool, as_json: bool) -> int | None:
    done: Sequence[str] = ()
    backup = None
    if fix:
        repaired = await client.post("/api/checkup/fix")
        done, backup = repaired["done"], repaired["backup"]
    findings = [finding async for finding in _examine(client, settings())]
    broken = any(finding.broken for finding in findings)
    listed = [to_builtins(finding) for finding in findings]
    if not shown({"backup": backup, "done": done, "findings": listed} if fix else listed, as_json=as_json):
        if fix:
            say(
                f"Wrote a backup first: {backup}" if backup else "There was nothing that could be mended by itself.",
                DULL,
            )
        for line in done:
            say(f"done {line}", GOOD)
        for finding in findings:
            _print(finding)
    return FAILED if broken else None


def _print(finding: Finding) -> None:
    mark, style = ("BAD ", BAD) if finding.broken else ("note", "yellow") if finding.what_to_do else ("ok  ", GOOD)
    say(f"{mark} {finding.subject}: {finding.found}", style)
    if finding.what_to_do:
        say(f"     {finding.what_to_do}", DULL)


@with_client
async def _replay(client: "Client", *, as_json: bool) -> int | None:
    replayed = await client.post("/api/checkup/replay")
    if not shown(replayed, as_json=as_json):
        say(f"Lost changesets: {replayed['lost']}. Records put back: {len(replayed['put_back'])}.")
        for record in replayed["put_back"]:
            say(f"put back {record}", GOOD)
        for left in replayed["left"]:
            say(f"left {left['record']}: {left['why']}", "yellow")
    return FAILED if replayed["left"] else None


@with_client
async def _discard(client: "Client", records: Sequence[str], *, as_json: bool) -> None:
    for record in records:
        await client.post("/api/checkup/discard", {"record": record})
    if not shown({"discarded": [*records]}, as_json=as_json):
        for record in records:
            say(f"Removed for good: {record}")


def _accept(*, as_json: bool) -> None:
    from keycairn.app.offline import accept_database  # noqa: PLC0415  # all of the service: not beside a running one

    configure_logs("warning")
    asyncio.run(accept_database(settings()))
    if not shown({"accepted": True}, as_json=as_json):
        say("The database that is there counts from now on. The next start notes in the audit log what is missing.")


def _begin_anew(*, sure: bool, as_json: bool) -> None:
    from keycairn.app.lost_key import begin_anew  # noqa: PLC0415  # as above

    configure_logs("warning")
    if not sure:
        click.echo(
            "Every stored provider key will be unreadable for good, unless a backup and its root key turn up. "
            "Every token is revoked. A backup of the present state is written first.",
            err=True,
        )
        if asked("Type LOST to go on", default="") != "LOST":
            raise Declined("Nothing was changed.")
    begun = asyncio.run(begin_anew(settings()))
    if shown(to_builtins(begun), as_json=as_json):
        return
    say(f"Wrote a backup first: {begun.backup}", DULL)
    say(f"Credentials that wait for their key: {begun.credentials}. Tokens revoked: {begun.tokens}.")
    if begun.root_key_file:
        say(f"The new root key: {begun.root_key_file}. Keep a copy away from the database.", GOOD)
    if begun.token_file:
        say(f"A new admin token: {begun.token_file}", GOOD)


async def _examine(client: "Client", settings: Settings) -> AsyncIterator[Finding]:
    for file in _private_files(settings):
        yield file
    if client.empty:
        yield Finding(
            code="nothing_stored",
            subject="database",
            found=f"nothing is stored in {settings.data_dir} yet",
            what_to_do="Start the service: keycairn serve",
        )
        async for finding in _surroundings(client):
            yield finding
        return
    try:
        await client.get("/health/ready")
        yield Finding(code="service", subject="service", found=f"{client.where} is ready")
    except RequestFailedError as error:
        yield Finding(code="service", subject="service", found="not ready", what_to_do=_unlock(error), broken=True)
        return
    await client.post("/api/encryption/verify")
    for finding in convert(await client.get("/api/checkup"), list[Finding]):
        yield finding
    async for finding in _surroundings(client):
        yield finding


async def _surroundings(client: "Client") -> AsyncIterator[Finding]:
    """What is found in the environment, among the plugins, and of the place of the data folder."""
    status = await client.get("/api/credentials/status")
    for fault in status.get("env_file_faults", []):
        yield Finding(code="env_file", subject="environment", found=fault, what_to_do="Mend the file.", broken=True)
    if not status["data_folder_kept"]:
        yield Finding(
            code="data_folder_passes",
            subject="data folder",
            found="no volume keeps it: it goes with the container or the machine's memory",
            what_to_do="Mount a volume there, or set KEYCAIRN_DATA_DIR to a folder on one.",
        )
    for plugin in await client.get("/api/plugins"):
        if plugin["failure"]:
            yield Finding(
                code="plugin",
                subject=f"plugin {plugin['name']}",
                found=plugin["failure"],
                what_to_do="Mend, update or uninstall the plugin.",
                broken=True,
            )
    plan = await client.post("/api/credentials/migrate-from-env", dry_run="true")
    if plan["migrated"]:
        names = ", ".join(plan["migrated"])
        yield Finding(
            code="environment",
            subject="environment",
            found=f"holds keys that are not in the database: {names}",
            what_to_do="keycairn migrate-env",
        )


def _unlock(error: RequestFailedError) -> str:
    if error.problem.get("code") != "sealed":
        return str(error)
    return f"{error} If that key is lost for good: keycairn doctor --lost-root-key"


def _private_files(settings: Settings) -> list[Finding]:
    findings = [
        Finding(
            code="file_open",
            subject=str(exposure.path),
            found=exposure.found,
            what_to_do=exposure.what_to_do,
            broken=exposure.serious,
        )
        for exposure in exposures(settings)
    ]
    data_dir = settings.data_dir
    if (data_dir / ROOT_KEY_FILE).exists():
        advice = "For production, give it as KEYCAIRN_ROOT_KEY_FILE from another place, and keep a copy elsewhere."
        found = f"lies beside the database, in {data_dir / ROOT_KEY_FILE}"
        findings.append(Finding(code="root_key_beside", subject="root key", found=found, what_to_do=advice))
    return findings
