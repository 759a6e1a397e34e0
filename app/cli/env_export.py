"""Commands that hand a key out: to a program, or, when somebody insists, to the terminal."""

import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import click
from msgspec.structs import asdict

from keycairn.app.cli.asking import asked
from keycairn.app.cli.endings import Declined
from keycairn.app.cli.resolve import credential_among, model_among
from keycairn.app.cli.settings import settings
from keycairn.app.cli.where import named
from keycairn.app.settings import PREFIX
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import KeysStayInsideError, NoSuchNameError, StoreLockedError
from keycairn.domain.ids import CredentialId, ModelId, credential_id, model_id
from keycairn.domain.secret import Secret

if TYPE_CHECKING:
    from keycairn.app.keycairn import Keycairn
    from keycairn.app.services.credentials import Listed

NOT_FOUND = 127
"""The exit code of a program that is not there, as shells have it."""
CONFIRMATION = "show my keys"
_T = TypeVar("_T")


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--credential", "credential", help="The credential whose variables are set.")
@click.option("--model", "model", help="The model whose credential's variables are set.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(credential: str | None, model: str | None, command: tuple[str, ...]) -> None:
    """Start COMMAND with the variables of one credential set, for a program that takes its key in no other way.

    Variables of other providers, and Keycairn's own, are not passed on. The use is audited with the program's name.
    The exit code is the program's. For example:

    `keycairn run --credential Work -- python app.py`
    """
    if (credential is None) == (model is None):
        raise click.UsageError("Give either --credential or --model, then -- and the command.")

    if shutil.which(command[0]) is None:  # what is no program may be a key, and would stand in the audit log
        click.echo("keycairn: this cannot be started: there is no such program.", err=True)
        sys.exit(NOT_FOUND)

    async def lend(keycairn: "Keycairn") -> tuple[dict[str, Secret], frozenset[str]]:
        if credential:
            id = await _credential(keycairn, credential)
        else:
            id = await keycairn.env_export.credential_of(await _model(keycairn, model or ""))
        lent = await keycairn.env_export.to_program(id, os.path.basename(command[0]))  # noqa: PTH119  # as typed
        return lent, keycairn.env_export.provider_variables()

    from keycairn.app.cli.client import nothing_here  # noqa: PLC0415  # with the client 0.2 s

    if named() is None and nothing_here(settings()):  # lending makes no installation
        raise NoSuchNameError("credential" if credential else "model")
    lent, known = _inside(lend)
    kept = {name: value for name, value in os.environ.items() if name not in known and not name.startswith(PREFIX)}
    sys.stdout.flush()
    try:
        os.execvpe(command[0], command, {**kept, **{name: value.reveal() for name, value in lent.items()}})  # noqa: S606  # the purpose of the command
    except OSError as error:
        click.echo(f"keycairn: {command[0]} cannot be started: {error.strerror}.", err=True)
        sys.exit(NOT_FOUND)
    except ValueError:
        click.echo("keycairn: one of the values cannot stand in an environment variable.", err=True)
        sys.exit(1)


def print_dotenv(credentials: tuple[str, ...], *, confirmed: bool) -> None:
    """Write the stored keys as a .env file to standard output, after the operator has said so in two ways.

    Without `credentials`, the oldest of each provider. Each is audited before it is written.
    """
    if not confirmed:
        raise click.UsageError(
            "This would write keys in the clear. `keycairn run` hands them to a program without showing them. "
            "If they must be shown, add --reveal-secrets-to-terminal; it is audited."
        )
    if sys.stdin.isatty():
        typed = asked(f"Keys will be shown in the clear. Type '{CONFIRMATION}' to go on", default="")
        if typed.strip() != CONFIRMATION:
            raise Declined("Nothing was shown.")

    async def reveal(keycairn: "Keycairn") -> list[tuple[str, Mapping[str, Secret]]]:
        ids = [await _credential(keycairn, word) for word in credentials] or await _oldest(keycairn)
        return [(id, await keycairn.env_export.to_reader(id)) for id in ids]

    for id, variables in _inside(reveal):
        click.echo(f"# {id}")
        for name, value in variables.items():
            click.echo(f"{name}={quoted(value.reveal())}")


def quoted(text: str) -> str:
    """`text` as python-dotenv reads it back."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


async def _all(keycairn: "Keycairn") -> "list[Listed]":
    """Every credential, by provider and age."""
    from keycairn.ports.store import Position  # noqa: PLC0415  # part of the service

    found: list[Listed] = []
    after: Position | None = None
    while page := await keycairn.credentials.list(after=after):
        found += page
        last = page[-1].credential
        after = Position(last.provider, last.created, last.id)
    return found


async def _oldest(keycairn: "Keycairn") -> list[CredentialId]:
    """The oldest credential that opens of each provider."""
    chosen: dict[str, CredentialId] = {}
    for listed in await _all(keycairn):
        if not listed.broken:
            chosen.setdefault(listed.credential.provider, listed.credential.id)
    return list(chosen.values())


async def _credential(keycairn: "Keycairn", word: str) -> CredentialId:
    """What an id or a name means. Raises NoSuchNameError or AmbiguousNameError."""
    if word.startswith("credential:"):
        return credential_id(word)
    known = [asdict(listed.credential) for listed in await _all(keycairn)]
    return credential_id(credential_among(known, word)["id"])


async def _model(keycairn: "Keycairn", word: str) -> ModelId:
    """As `_credential`, of a model."""
    if word.startswith("model:"):
        return model_id(word)
    known = [asdict(model) for model in await keycairn.store.models(DEFAULT_WORKSPACE, limit=None)]
    return model_id(model_among(known, word)["id"])


def _inside(act: "Callable[[Keycairn], Awaitable[_T]]") -> _T:
    """What `act` gives on a Keycairn opened in this process. Raises KeysStayInsideError where a service has it."""
    import asyncio  # noqa: PLC0415  # with the service 1 s, which `--help` does not need

    from keycairn.app.logs import configure_logs  # noqa: PLC0415
    from keycairn.app.wiring import open_keycairn  # noqa: PLC0415

    async def go() -> _T:
        if named() is not None:
            raise KeysStayInsideError
        try:
            async with open_keycairn(settings()) as keycairn:
                return await act(keycairn)
        except StoreLockedError:
            raise KeysStayInsideError from None

    configure_logs("warning")
    return asyncio.run(go())
