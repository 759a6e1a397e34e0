"""Commands about keys that rotate themselves, of the group `credential`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.assignments import pairs
from keycairn.app.cli.completing import credential_names
from keycairn.app.cli.connected import reading, segment, with_client
from keycairn.app.cli.resolve import credential as resolved
from keycairn.app.cli.resolve import spoken
from keycairn.app.cli.secret_input import SOURCES, check_sources, secret_text
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import BAD, DULL, GOOD, say, shown, table

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

NEVER = "never"


def _days(context: click.Context, parameter: click.Parameter, given: str | None) -> int | str | None:
    """A number of days, or `never`."""
    if given is None or given == NEVER:
        return given
    if not given.isascii() or not given.isdigit():
        raise click.BadParameter("takes a number of days, or never.", context, parameter)
    return int(given)


@click.command()
@click.argument("credential", shell_complete=credential_names)
@click.option("--every", callback=_days, metavar="DAYS|never", help="Rotate the key when it is so old.")
@click.option("--at", metavar="TIME", help="Rotate it then, once, such as 2031-01-31T12:00:00Z.")
@click.option("--overlap", type=float, metavar="HOURS", help="How long the former key goes on to work; 24 at first.")
@click.option("--warn", type=int, metavar="DAYS", help="How long before it is due, or ends, you are warned.")
@click.option("--set", "settings", metavar="FIELD=VALUE", multiple=True, help="What managing keys takes; repeatable.")
@click.option(
    "--secret",
    "secrets",
    callback=check_sources,
    metavar=f"FIELD={SOURCES}",
    multiple=True,
    help="The secret that manages keys; repeatable.",
)
@click.option("--like", shell_complete=credential_names, help="Take both from another credential of the provider.")
@click.option("--key-id", help="What the provider calls the key in use, where its list does not tell.")
@click.option("--remove", is_flag=True, help="Rotate the key no more, and forget what manages it.")
@as_json
@with_client
async def policy(  # noqa: PLR0913  # an option each
    client: "Client",
    *,
    credential: str,
    every: int | str | None,
    at: str | None,
    overlap: float | None,
    warn: int | None,
    settings: tuple[str, ...],
    secrets: tuple[str, ...],
    like: str | None,
    key_id: str | None,
    remove: bool,
    as_json: bool,
) -> None:
    """Say when a key rotates itself, and with what.

    `keycairn provider show` tells what a provider asks for. Without it the policy is a reminder: a person makes the
    key. For example: `keycairn credential policy Work --every 90 --secret admin_key=@admin.txt --set project_id=proj_1`
    """
    account = await resolved(client, credential)
    path = _path(account)
    if remove:
        gone = await client.delete(path)
        if not shown(gone, as_json=as_json):
            say(f"The key of {account['name']} rotates no more.", GOOD)
        return
    given: dict[str, Any] = {"overlap_hours": overlap, "warn_days": warn, "at": at, "key_id": key_id}
    body = {name: value for name, value in given.items() if value is not None}
    if every is not None:
        body["every_days"] = None if every == NEVER else every
    if settings:
        body["settings"] = {name: value or None for name, value in pairs(settings, "--set").items()}
    if secrets:
        asked = pairs(secrets, "--secret").items()
        body["secrets"] = {name: secret_text(source or None, name, "--secret") for name, source in asked}
    if like is not None:
        body["like"] = (await resolved(client, like))["id"]
    found = await client.put(path, body)
    if not shown(found, as_json=as_json):
        _print(found, account)


@click.command("rotate-key")
@click.argument("credential", shell_complete=credential_names)
@click.option("--resume", is_flag=True, help="Go on, after you did what the rotation waited for.")
@click.option("--cancel", is_flag=True, help="Call off the one that is under way; what it made is removed.")
@as_json
@with_client
async def rotate_key(client: "Client", *, credential: str, resume: bool, cancel: bool, as_json: bool) -> None:
    """Rotate a key now: a new one, a proof, the switch, an overlap, the revocation.

    The service goes on with it by itself; `keycairn credential rotation` tells how far it is. Before the switch, and
    while it waits for you, it can be called off with `--cancel`; a policy begins nothing for a day then.
    """
    if resume and cancel:
        raise click.UsageError("Give --resume or --cancel, not both.")
    account = await resolved(client, credential)
    found = await client.post(f"{_path(account)}/{'resume' if resume else 'cancel' if cancel else 'rotate'}")
    if shown(found, as_json=as_json):
        return
    _print(found, account)
    if cancel and account["options"]["closed"]:
        _print_closed(account)


@click.command()
@click.argument("credential", shell_complete=credential_names)
@click.option("--keep-open", is_flag=True, help="Do not close the account where the key cannot be replaced.")
@as_json
@with_client
async def leak(client: "Client", *, credential: str, keep_open: bool, as_json: bool) -> None:
    """Replace a key that leaked: a new one, the switch, and the former one revoked at once.

    Where the provider cannot, the account is closed for calls until you store a new key with it.
    """
    account = await resolved(client, credential)
    found = await client.post(f"{_path(account)}/leaked", {"may_close": not keep_open})
    if shown(found, as_json=as_json):
        return
    _print(found, account)
    after = await client.get(f"/api/credentials/{segment(account['id'])}")
    if after["options"]["closed"]:
        _print_closed(after)


@click.command()
@click.argument("credential", required=False, shell_complete=credential_names)
@as_json
@reading
async def rotation(client: "Client", *, credential: str | None, as_json: bool) -> None:
    """Show how old keys are, when they are rotated, and how far a rotation is. Never a key."""
    if credential is not None:
        account = await resolved(client, credential)
        found = await client.get(_path(account))
        if not shown(found, as_json=as_json):
            _print(found, account)
        return
    listed = await client.get("/api/key-rotations")
    if not shown(listed, as_json=as_json):
        names = {each["id"]: each["name"] for each in await client.all("/api/credentials")} if listed else {}
        table(
            ("credential", "provider", "days old", "due", "step", "to see to"),
            (
                (names.get(r["credential"]), r["provider"], r["key_age_days"], r["due"], _step(r), r["warning"])
                for r in listed
            ),
            empty="No key rotates itself yet. Try: keycairn credential policy CREDENTIAL --every 90",
        )


def _step(found: dict[str, Any]) -> str:
    return str(found["run"]["step"]) if found["run"] else ""


def _path(account: Mapping[str, Any]) -> str:
    return f"/api/credentials/{segment(account['id'])}/key-rotation"


def _print_closed(account: Mapping[str, Any]) -> None:
    name = account["name"]
    say(f"{name} is closed for calls until you store a new key: keycairn credential set-key {spoken(name)}", BAD)


def _print(found: Mapping[str, Any], account: Mapping[str, Any]) -> None:
    """One rotation, in sentences."""
    name = account["name"]
    run, last = found["run"], found["last"]
    how = "by the provider's API" if found["automatic"] else f"by a person, at {found['page'] or 'the provider'}"
    say(f"{name} ({found['provider']}): keys are made {how}.")
    if found["due"]:
        say(f"The key is rotated at {found['due']}, with an overlap of {found['overlap_hours']:g} hours.")
    else:
        say(f"The key is rotated when you ask for it: keycairn credential rotate-key {spoken(name)}", DULL)
    if run:
        say(f"A rotation is under way: {run['step']}, since {run['since']}.")
        if run["waits_for_person"]:
            say(f"Done it? keycairn credential rotate-key {spoken(name)} --resume; to call it off: --cancel", DULL)
    elif last:
        why = f" {last['why']}" if last["why"] else ""
        say(f"The last rotation: {last['outcome']}, {last['at']}.{why}", GOOD if last["outcome"] == "done" else BAD)
    if found["warning"]:
        say(found["warning"], BAD)


KEY_COMMANDS = (policy, rotate_key, leak, rotation)
"""What the group `credential` has of them."""
