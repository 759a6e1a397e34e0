"""Options of the form NAME=VALUE: settings, secrets and limits."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from keycairn.app.cli.option import Option
from keycairn.app.cli.secret_input import secret_text

if TYPE_CHECKING:
    from keycairn.app.cli.client import Client

Field = Mapping[str, Any]
LIMITS = ("concurrent", "requests_per_minute", "tokens_per_day", "micros_per_day", "micros_per_month")

limit_option: Option = click.option(
    "--limit",
    "limits",
    metavar="NAME=NUMBER|none",
    multiple=True,
    help=f"How much it may do: {', '.join(LIMITS)}. Repeatable.",
)


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """The names and values of `NAME=VALUE`. Raises click.UsageError."""
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"{option} takes NAME=VALUE.")
        if name.strip() in given:
            raise click.UsageError(f"{option} is given twice for {name.strip()}.")
        given[name.strip()] = value
    return given


def limits_of(texts: Iterable[str], before: Mapping[str, int | None] | None = None) -> dict[str, int | None]:
    """The limits that are meant, those of `before` kept where nothing is said. Raises click.UsageError."""
    limits: dict[str, int | None] = {name: (before or {}).get(name) for name in LIMITS}
    for name, value in pairs(texts, "--limit").items():
        if name not in limits or not (value == "none" or (value.isascii() and value.isdigit())):
            raise click.UsageError(f"--limit takes a whole number, or none, for one of: {', '.join(LIMITS)}.")
        limits[name] = None if value == "none" else int(value)
    return limits


async def fields_of(client: "Client", provider: str) -> Mapping[str, Any]:
    """The provider as the service describes it. Raises click.UsageError for one it does not have."""
    wanted = provider.strip().lower().replace("-", "_")
    known = await client.get("/api/providers")
    for each in known:
        if wanted in {each["name"], each["display_name"].lower()}:
            return dict(each)
    names = ", ".join(each["name"] for each in known)
    raise click.UsageError(f"There is no such provider. There are: {names}.")


def account_body(
    provider: Mapping[str, Any],
    settings: Mapping[str, str | None],
    secrets: Mapping[str, str | None],
) -> dict[str, Any]:
    """The fields of a credential as the API takes them. `secrets` maps to sources, None for a question.

    Raises click.UsageError for a field the provider does not have, or one given the wrong way.
    """
    fields: dict[str, Field] = {field["name"]: field for field in provider["fields"]}
    body: dict[str, Any] = {}
    for name, value in settings.items():
        _check(fields, name, secret=False)
        place = body.setdefault("config", {}) if fields[name]["in_config"] else body
        place[name] = _typed(fields[name], value)
    for name, source in secrets.items():
        _check(fields, name, secret=True)
        text = secret_text(source, fields[name]["label"], "--key" if name == "api_key" else f"--secret {name}=")
        if name == "api_key":
            body["api_key"] = text
        else:
            body.setdefault("secrets", {})[name] = text
    return body


def _check(fields: Mapping[str, Field], name: str, *, secret: bool) -> None:
    if name not in fields:
        raise click.UsageError(f"The provider has no such field. It has: {', '.join(fields)}.")
    if fields[name]["secret"] and not secret:
        raise click.UsageError(f"{name} is a secret: give it with --key or --secret, as - or @ and a file.")
    if secret and not fields[name]["secret"]:
        raise click.UsageError(f"{name} is no secret: give it with --set {name}=VALUE.")


def _typed(field: Field, value: str | None) -> str | int | None:
    if value is None or field["kind"] != "integer":
        return value
    if not (value.isascii() and value.isdigit()):
        raise click.UsageError(f"{field['name']} is a whole number.")
    return int(value)
