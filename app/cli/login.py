"""Commands that remember a service, so that it need not be named each time."""

import asyncio

import click

from keycairn.app.cli.secret_input import check_source, secret_text
from keycairn.app.cli.service_options import as_json, service_options
from keycairn.app.cli.show import DULL, GOOD, print_json, say
from keycairn.app.cli.where import Remembered, checked_token, checked_url, forget, remember, said_token
from keycairn.domain.errors import RequestFailedError
from keycairn.domain.secret import Secret

_KNOWN_BUT_BOUNDED = 403


@click.command()
@click.argument("address", metavar="URL")
@service_options
@click.option(
    "--token",
    "source",
    callback=check_source,
    metavar="-|@FILE",
    help="The token: - for standard input, @ and a file; else you are asked.",
)
@as_json
def login(address: str, source: str | None, *, as_json: bool) -> None:
    """Remember the service at URL and a token for it, once both were tried. Commands talk to it from then on.

    It is kept in a file that only you can read. KEYCAIRN_URL, `--url`, KEYCAIRN_DATA_DIR and KEYCAIRN_DATABASE_URL go
    before it; `keycairn logout` forgets it. For example: `keycairn login https://keycairn.example.com`
    """
    url = checked_url(address)
    token = said_token() if source is None else None
    token = token or checked_token(secret_text(source, "The token", "--token"), "The token")
    asyncio.run(_try(url, token))
    file = remember(Remembered(url, token.reveal()))
    if as_json:
        print_json({"url": url, "file": str(file)})
    else:
        say(f"Commands talk to {url} from here on. It is kept in {file}.", GOOD)


@click.command()
@as_json
def logout(*, as_json: bool) -> None:
    """Forget the service that `keycairn login` remembers. Its token stays good: `keycairn token revoke` ends that."""
    file = forget()
    if as_json:
        print_json({"file": str(file) if file else None})
    elif file:
        say(f"Removed {file}.", GOOD)
    else:
        say("There was nothing to forget.", DULL)


async def _try(url: str, token: Secret) -> None:
    """Raise RequestFailedError unless a Keycairn answers there and knows the token, whatever that may do."""
    from keycairn.app.cli.client import client_of  # noqa: PLC0415  # 0.2 s, after the arguments were found good

    async with client_of(url, token) as client:
        try:
            await client.get("/api/providers")
        except RequestFailedError as error:
            if error.status != _KNOWN_BUT_BOUNDED:
                raise
