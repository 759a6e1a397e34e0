"""How commands reach Keycairn: its HTTP API, wherever it is served.

This is the one use of httpx outside the guarded client: it talks to Keycairn itself and to nobody else, over the
network when a server runs, inside this process when none does.
"""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, cast

import click
import httpx
from msgspec.structs import replace

from keycairn.app.cli.running import announced, proving_client, running, trusting_nobody
from keycairn.app.data_folder import FIRST_TOKEN_FILE
from keycairn.app.settings import Settings
from keycairn.domain.errors import RequestFailedError, SettingsError, StoreLockedError, UnprovenServerError
from keycairn.domain.secret import Secret

PATIENCE = 300.0
"""Seconds: a provider may be asked for many models, a page each."""


class Client:
    """Calls the API and gives decoded JSON. `where` tells a person whom it talks to."""

    def __init__(self, http: httpx.AsyncClient, where: str) -> None:
        self._http = http
        self.where = where

    async def get(self, path: str, **query: str | int) -> Any:
        """The decoded answer. Raises RequestFailedError."""
        return await self._call("GET", path, query)

    async def post(self, path: str, body: object = None, **query: str | int) -> Any:
        """The decoded answer. Raises RequestFailedError."""
        return await self._call("POST", path, query, body)

    async def download(self, path: str, write: Callable[[bytes], object], progress: Callable[[int, int], None]) -> None:
        """Hand the bytes of an answer to `write`. `progress` gets their number and that of all, 0 where unknown."""
        try:
            async with self._http.stream("GET", path) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise RequestFailedError(answer.status_code, _problem(answer))
                total = int(answer.headers.get("Content-Length", 0))
                async for piece in answer.aiter_bytes():
                    write(piece)
                    progress(len(piece), total)
        except httpx.TransportError as error:
            raise RequestFailedError(0, {"detail": f"{self.where} broke off ({type(error).__name__})."}) from None

    async def delete(self, path: str) -> Any:
        """The decoded answer. Raises RequestFailedError."""
        return await self._call("DELETE", path, {})

    async def all(self, path: str) -> list[Any]:
        """Every page of a list.

        Of a link to the next page, only the query is used: the token goes where it went before, and nowhere else.
        """
        items: list[Any] = []
        url = path
        while True:
            answer = await self._send("GET", url)
            items += self._decoded(answer)
            link = answer.links.get("next", {}).get("url")
            if not link:
                return items
            url = f"{path.partition('?')[0]}?{link.partition('?')[2]}"

    async def _call(self, method: str, path: str, query: Mapping[str, str | int], body: object = None) -> Any:
        return self._decoded(await self._send(method, path, query, body))

    def _decoded(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError:
            problem = {"detail": f"{self.where} does not answer as Keycairn does."}
            raise RequestFailedError(answer.status_code, problem) from None

    async def _send(
        self, method: str, path: str, query: Mapping[str, str | int] | None = None, body: object = None
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, params=query or None, json=body)
        except httpx.TransportError as error:
            raise RequestFailedError(0, {"detail": f"{self.where} does not answer ({type(error).__name__})."}) from None
        if not answer.is_success:
            raise RequestFailedError(answer.status_code, _problem(answer))
        return answer


def _problem(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Client]:
    """A client of the server KEYCAIRN_URL names, else of the one running on the data folder, else of one in here.

    A named server gets the token as it is; the one of the data folder has to prove itself first, on each connection.
    Raises SettingsError when KEYCAIRN_URL is no address or no token for a server is found, UnprovenServerError when
    something else answers in place of the service that uses the data folder, and what opening Keycairn raises.
    """
    if url := _named_url():
        headers = _bearer(_token(settings, None))
        verify = trusting_nobody() if url.startswith("http://") else True
        async with httpx.AsyncClient(
            base_url=url, verify=verify, headers=headers, timeout=PATIENCE, trust_env=False
        ) as http:
            yield Client(http, url)
        return
    server, taken = await running(settings.data_dir)
    if server is not None:
        headers = _bearer(_token(settings, FIRST_TOKEN_FILE))
        async with proving_client(server, headers=headers, timeout=PATIENCE) as http:
            yield Client(http, server.url)
        return
    async with _inside(settings, taken=taken) as client:
        yield client


@asynccontextmanager
async def _inside(settings: Settings, *, taken: bool) -> AsyncIterator[Client]:
    """A client of a Keycairn in this process. `taken`: the address of the last one is answered by something else."""
    from keycairn.app.logs import configure_logs  # noqa: PLC0415  # all of the service, 1 s: not beside a running one
    from keycairn.app.server import create_app  # noqa: PLC0415
    from keycairn.app.wiring import open_with_first_run  # noqa: PLC0415

    configure_logs("warning")
    passing = secrets.token_urlsafe(32)
    inside = replace(settings, admin_token=Secret(passing))
    async with AsyncExitStack() as stack:
        try:
            keycairn, first_run = await stack.enter_async_context(open_with_first_run(inside))
        except StoreLockedError:
            left = announced(settings.data_dir)
            if taken and left is not None:
                raise UnprovenServerError(left.url) from None
            raise
        if first_run.root_key_file:
            click.echo(f"Made a root key: {first_run.root_key_file}. Keep a copy away from the database.", err=True)
        app = create_app(inside, keycairn=keycairn)
        transport = httpx.ASGITransport(app=cast("Any", app), client=("in-process", 0))  # two spellings of ASGI
        async with httpx.AsyncClient(
            transport=transport, base_url="http://keycairn", headers=_bearer(Secret(passing))
        ) as http:
            yield Client(http, "this process")


def _bearer(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"}


def _named_url() -> str | None:
    url = os.environ.get("KEYCAIRN_URL", "").strip()
    if not url:
        return None
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo or parsed.query:
        raise SettingsError("KEYCAIRN_URL must look like https://keycairn.example:8765.")
    return url


def _token(settings: Settings, first_token_file: str | None) -> Secret:
    """A token for the server. The first token of the data folder is for the server of that folder and no other."""
    if given := os.environ.get("KEYCAIRN_TOKEN", "").strip():
        if not given.isascii() or not given.isprintable():
            raise SettingsError("KEYCAIRN_TOKEN holds characters no token has.")
        return Secret(given)
    if settings.admin_token:
        return settings.admin_token
    if first_token_file:
        with suppress(OSError, UnicodeDecodeError):
            return Secret((settings.data_dir / first_token_file).read_text().strip())
    raise SettingsError("A server is to be asked, and it wants a token. Set KEYCAIRN_TOKEN to one it knows.")
