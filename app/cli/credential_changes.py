"""Commands that add credentials and change them: keys are asked for, and on request proven before they are stored."""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.asking import asked
from keycairn.app.cli.assignments import account_body, fields_of, limit_option, limits_of, pairs
from keycairn.app.cli.completing import credential_names, provider_names
from keycairn.app.cli.connected import segment, with_client
from keycairn.app.cli.credential_words import outcome_of, print_credential, print_notes
from keycairn.app.cli.option import Option
from keycairn.app.cli.probing import prove
from keycairn.app.cli.resolve import credential as resolved
from keycairn.app.cli.resolve import spoken
from keycairn.app.cli.secret_input import SOURCES, check_source, check_sources
from keycairn.app.cli.service_options import as_json
from keycairn.app.cli.show import DULL, GOOD, say, shown

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

_SETTING: Option = click.option(
    "--set", "settings", metavar="FIELD=VALUE", multiple=True, help="A setting, see `provider show`; repeatable."
)
_BASE_URL: Option = click.option("--base-url", metavar="URL", help="Where the provider is; as --set base_url=URL.")
_KEY: Option = click.option(
    "--key",
    callback=check_source,
    metavar=SOURCES,
    help="The API key: - for standard input, @ and a file; else you are asked.",
)
_SECRET: Option = click.option(
    "--secret",
    "secrets",
    callback=check_sources,
    metavar=f"FIELD={SOURCES}",
    multiple=True,
    help="Another secret of the account; repeatable.",
)
_TEST: Option = click.option(
    "--test", "proved", is_flag=True, help="Prove it at its provider first, and store nothing where that fails."
)
_ANYWAY: Option = click.option("--anyway", is_flag=True, help="With --test: store it even where that fails.")


@click.command("add")
@click.argument("provider", shell_complete=provider_names)
@click.option("--name", help="What you call it; the provider's name where you do not say.")
@_KEY
@_SECRET
@_BASE_URL
@_SETTING
@limit_option
@_TEST
@click.option("--anyway", is_flag=True, help="Also where another one is called so; with --test, also where that fails.")
@as_json
@with_client
async def add_credential(  # noqa: PLR0913  # one for each option
    client: "Client",
    *,
    provider: str,
    name: str | None,
    key: str | None,
    secrets: tuple[str, ...],
    base_url: str | None,
    settings: tuple[str, ...],
    limits: tuple[str, ...],
    proved: bool,
    anyway: bool,
    as_json: bool,
) -> int | None:
    """Add an account of PROVIDER. What it needs and was not given is asked for at a terminal.

    For example: `keycairn credential add openai --name Work --key @key.txt --test`

    A server of your own that speaks OpenAI's API:
    `keycairn credential add openai_compatible --base-url http://127.0.0.1:8000/v1 --test`
    """
    described = await fields_of(client, provider)
    called = name or described["display_name"]
    if not anyway:
        await _check_free(client, described["name"], called)
    given_secrets = _secrets(secrets, key)
    given = _settings(settings, base_url)
    if sys.stdin.isatty():
        _ask(described, given, given_secrets)
    else:
        given_secrets |= {field: None for field in _wanted_secrets(described) if field not in given_secrets}
    body = {"provider": described["name"], "name": called, **account_body(described, given, given_secrets)}
    if limits:
        body["limits"] = limits_of(limits)
    made = await client.post("/api/credentials", body, **_proven_first(proved=proved, anyway=anyway))
    results = await _tests(client, made, proved=proved, anyway=anyway)
    told = {**made, "test": results[0]} if proved else made
    if not shown(told, as_json=as_json):
        say(f"Added {made['name']} ({made['provider']}): {made['id']}", GOOD)
        print_notes(made)
        if not proved:
            say(f"Prove it with: keycairn test {spoken(made['name'])}", DULL)
    return outcome_of(results, as_json=as_json)


@click.command("set-key")
@click.argument("credential", shell_complete=credential_names)
@_KEY
@_SECRET
@_TEST
@_ANYWAY
@as_json
@with_client
async def set_key(
    client: "Client",
    *,
    credential: str,
    key: str | None,
    secrets: tuple[str, ...],
    proved: bool,
    anyway: bool,
    as_json: bool,
) -> int | None:
    """Give a credential a new key. The very next call of every linked model uses it.

    With `--test` the new key is tried at its provider first; where it does not work, the former one stays.
    """
    before = await resolved(client, credential)
    described = await fields_of(client, before["provider"])
    given = _secrets(secrets, key)
    if not given:
        given["api_key"] = None
    body = account_body(described, {}, given)
    path = f"/api/credentials/{segment(before['id'])}"
    after = await client.put(path, body, **_proven_first(proved=proved, anyway=anyway))
    results = await _tests(client, after, proved=proved, anyway=anyway)
    if not shown({**after, "test": results[0]} if proved else after, as_json=as_json):
        say(f"{after['name']} ({after['provider']}) has a new key.", GOOD)
        print_notes(after)
    return outcome_of(results, as_json=as_json)


@click.command("edit")
@click.argument("credential", shell_complete=credential_names)
@click.option("--name", help="A new name.")
@_BASE_URL
@_SETTING
@click.option("--unset", metavar="FIELD", multiple=True, help="Clear a setting; repeatable.")
@_KEY
@_SECRET
@limit_option
@_TEST
@_ANYWAY
@as_json
@with_client
async def edit_credential(  # noqa: PLR0913  # one for each option
    client: "Client",
    *,
    credential: str,
    name: str | None,
    base_url: str | None,
    settings: tuple[str, ...],
    unset: tuple[str, ...],
    key: str | None,
    secrets: tuple[str, ...],
    limits: tuple[str, ...],
    proved: bool,
    anyway: bool,
    as_json: bool,
) -> int | None:
    """Change what a credential is called, its settings or its limits. What is not named stays.

    Where its address changes, its key has to be given again: add `--key -`.
    """
    before = await resolved(client, credential)
    described = await fields_of(client, before["provider"])
    changed = {**_settings(settings, base_url), **dict.fromkeys(unset)}
    body = account_body(described, changed, _secrets(secrets, key))
    if name is not None:
        body["name"] = name
    if limits:
        body["limits"] = limits_of(limits, before["limits"])
    if not body:
        raise click.UsageError("Say what to change: --name, --set, --unset, --limit, --key.")
    path = f"/api/credentials/{segment(before['id'])}"
    after = await client.put(path, body, **_proven_first(proved=proved, anyway=anyway))
    results = await _tests(client, after, proved=proved, anyway=anyway)
    if not shown({**after, "test": results[0]} if proved else after, as_json=as_json):
        print_credential(after)
        print_notes(after)
    return outcome_of(results, as_json=as_json)


CHANGES: tuple[click.Command, ...] = (add_credential, set_key, edit_credential)
"""Commands of the group `credential`."""


def _proven_first(*, proved: bool, anyway: bool) -> dict[str, str]:
    """What asks the service to try an account before it stores it."""
    return {"test": "true"} if proved and not anyway else {}


async def _tests(client: "Client", stored: Mapping[str, Any], *, proved: bool, anyway: bool) -> list[Mapping[str, Any]]:
    """How the test of what was stored ended, where there was to be one."""
    if not proved:
        return []
    if anyway:
        return [await prove(client, stored)]
    check = stored["last_check"]
    told = {name: stored[name] for name in ("id", "name", "provider", "version")}
    return [{**told, **{name: check[name] for name in ("success", "message", "outcome")}}]


async def _check_free(client: "Client", provider: str, name: str) -> None:
    """Raise click.UsageError where an account of the provider is called so already: names stand for ids."""
    for there in await client.all(f"/api/credentials/by-provider/{segment(provider)}"):
        if there["name"].casefold() == name.casefold():
            raise click.UsageError(
                f"You have an account of {provider} called {there['name']} already ({there['id']}). Give this one "
                f"another --name, or that one a new key: keycairn credential set-key {spoken(there['name'])}"
            )


def _secrets(texts: Iterable[str], key: str | None) -> dict[str, str | None]:
    given: dict[str, str | None] = dict(pairs(texts, "--secret"))
    if key is not None:
        given["api_key"] = key
    return given


def _settings(texts: Iterable[str], base_url: str | None) -> dict[str, str | None]:
    given: dict[str, str | None] = dict(pairs(texts, "--set"))
    if base_url is not None and given.setdefault("base_url", base_url) != base_url:
        raise click.UsageError("--base-url and --set base_url= say the same. Give one of them.")
    return given


def _wanted_secrets(described: Mapping[str, Any]) -> list[str]:
    return [field["name"] for field in described["fields"] if field["secret"] and field["required"]]


def _ask(described: Mapping[str, Any], given: dict[str, str | None], given_secrets: dict[str, str | None]) -> None:
    """Ask for the required settings that are missing, in the provider's order.

    Secrets are asked for when they are read. Of a group of which one is needed, the first is asked for.
    """
    groups = [[field["name"]] for field in described["fields"] if field["required"]] + [*described["any_of"]]
    fields = {field["name"]: field for field in described["fields"]}
    for group in groups:
        if any(name in given or name in given_secrets for name in group):
            continue
        field = fields[group[0]]
        if field["secret"]:
            given_secrets[field["name"]] = None
        else:
            hint = f" ({field['help']})" if field["help"] else ""
            question = f"{field['label']}{hint}"
            given[field["name"]] = asked(question, default=field["default"], choices=field["choices"] or ())
