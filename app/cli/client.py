"""How commands reach Keycairn: its HTTP API, wherever it is served.

This is the one use of httpx outside the guarded client: it talks to Keycairn itself and to nobody else, over the
network when a server runs, inside this process when none does.
"""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
import msgspec
import rich_click as click
from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.server import create_app
from keycairn.app.settings import Settings
from keycairn.app.wiring import FIRST_TOKEN_FILE, open_with_birth
from keycairn.domain.errors import KeycairnError, SettingsError
from keycairn.domain.secret import Secret

SERVER_FILE = "server.json"
PATIENCE = 300.0
"""Seconds: a provider may be asked for many models, a page each."""


class RunningServer(Struct, frozen=True):
    """Where the server of a data folder listens. Written by `serve` for the commands beside it."""

    url: str
    pid: int


class RequestFailedError(KeycairnError):
    """Keycairn refused or failed a request; the text is its own sentence."""

    code = "request_failed"

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or f"Keycairn answered with status {status}."))
        self.status = status
        self.problem = problem


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


def segment(id: str) -> str:
    """An id as one segment of a path, whatever a person typed for it."""
    return quote(id, safe=":")


def _problem(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Client]:
    """A client of the server KEYCAIRN_URL names, else of the one running on the data folder, else of one in here.

    Raises SettingsError when KEYCAIRN_URL is no address or no token for a server is found, and what opening Keycairn
    raises.
    """
    named = _named_url()
    if url := named or await running_url(settings.data_dir):
        token = _token(settings, FIRST_TOKEN_FILE if named is None else None)
        async with httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token.reveal()}"},
            timeout=PATIENCE,
            trust_env=False,
        ) as http:
            yield Client(http, url)
        return
    passing = secrets.token_urlsafe(32)
    inside = replace(settings, admin_token=Secret(passing))
    async with open_with_birth(inside) as (keycairn, birth):
        if birth.root_key_file:
            click.echo(f"Made a root key: {birth.root_key_file}. Keep a copy away from the database.", err=True)
        app = create_app(inside, keycairn=keycairn)
        transport = httpx.ASGITransport(app=cast("Any", app), client=("in-process", 0))  # two spellings of ASGI
        headers = {"Authorization": f"Bearer {passing}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://keycairn", headers=headers) as http:
            yield Client(http, "this process")


async def running_url(data_dir: Path) -> str | None:
    """Where the server of the data folder listens; None when there is none, or its file outlived it."""
    try:
        server = msgspec.json.decode((data_dir / SERVER_FILE).read_bytes(), type=RunningServer)
    except (OSError, msgspec.MsgspecError):
        return None
    if not _lives(server.pid):
        return None  # on its port another may listen by now
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=2.0, trust_env=False) as http:
            answer = await http.get("/health/live")
    except httpx.HTTPError:
        return None
    return server.url if answer.status_code == 200 else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # it is there, and another user's
    except (OSError, OverflowError):
        return False
    return True


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
