"""How commands reach Keycairn: its HTTP API, wherever it is served.

This is the one use of httpx outside the guarded client: it talks to Keycairn itself and to nobody else, over the
network when a server runs, inside this process when none does.
"""

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
from litestar import Litestar
from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.settings import Settings
from keycairn.app.wiring import FIRST_TOKEN_FILE, open_keycairn
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

    async def delete(self, path: str) -> Any:
        """The decoded answer. Raises RequestFailedError."""
        return await self._call("DELETE", path, {})

    async def all(self, path: str) -> list[Any]:
        """Every page of a list."""
        items: list[Any] = []
        url: str | None = path
        while url:
            answer = await self._send("GET", url)
            items += answer.json()
            url = answer.links.get("next", {}).get("url")
        return items

    async def _call(self, method: str, path: str, query: Mapping[str, str | int], body: object = None) -> Any:
        return (await self._send(method, path, query, body)).json()

    async def _send(
        self, method: str, path: str, query: Mapping[str, str | int] | None = None, body: object = None
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, params=query or None, json=body)
        except httpx.TransportError as error:
            raise RequestFailedError(0, {"detail": f"{self.where} does not answer ({type(error).__name__})."}) from None
        if answer.is_error:
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

    Raises SettingsError when a running server is found but no token, and what opening Keycairn raises.
    """
    url = os.environ.get("KEYCAIRN_URL", "").strip() or await running_url(settings.data_dir)
    if url:
        token = _token(settings)
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
    async with open_keycairn(inside) as keycairn:
        app = Litestar(plugins=[KeycairnPlugin(inside, keycairn=keycairn)], openapi_config=None, logging_config=None)
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
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=2.0, trust_env=False) as http:
            answer = await http.get("/health/live")
    except httpx.HTTPError:
        return None
    return server.url if answer.status_code == 200 else None


def _token(settings: Settings) -> Secret:
    if given := os.environ.get("KEYCAIRN_TOKEN", "").strip():
        return Secret(given)
    if settings.admin_token:
        return settings.admin_token
    try:
        return Secret((settings.data_dir / FIRST_TOKEN_FILE).read_text().strip())
    except OSError:
        raise SettingsError("A server is running. Set KEYCAIRN_TOKEN to a token it knows.") from None
