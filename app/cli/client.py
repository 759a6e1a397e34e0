"""How commands reach Keycairn: its HTTP API, wherever it is served.

This is the one use of httpx outside the guarded client: it talks to Keycairn itself and to nobody else, over the
network when a server runs, inside this process when none does.
"""

import asyncio
import secrets
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import click
import httpx
from msgspec.structs import replace

from keycairn.app.cli import services
from keycairn.app.cli.running import RunningServer, announced, proving_client, running, trusting_nobody
from keycairn.app.cli.where import is_default, named, said_token
from keycairn.app.data_folder import FIRST_TOKEN_FILE, traces
from keycairn.app.settings import Settings
from keycairn.domain.errors import (
    NotKeycairnError,
    RequestFailedError,
    SettingsError,
    StoreLockedError,
    UnprovenServerError,
)
from keycairn.domain.secret import Secret

QueryValue = str | int | list[str]
PATIENCE = 300.0
"""Seconds: a provider may be asked for many models, a page each."""
LOCK_PATIENCE = 15.0
"""Seconds a command waits for another one that has the database open."""
LOCK_GLANCE = 0.2
"""Seconds between two looks whether it is free."""


class Client:
    """Calls the API and gives decoded JSON. `where` tells a person whom it talks to."""

    def __init__(self, http: httpx.AsyncClient, where: str, *, empty: bool = False) -> None:
        self._http = http
        self.where = where
        self.empty = empty
        """Whether nothing is stored, and what answers is an empty Keycairn made for this command."""

    async def get(self, path: str, **query: QueryValue) -> Any:
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
            raise RequestFailedError(0, {"detail": f"{self.where} {_trouble(error)}"}) from None

    async def put(self, path: str, body: object, **query: str | int) -> Any:
        """The decoded answer. Raises RequestFailedError."""
        return await self._call("PUT", path, query, body)

    async def patch(self, path: str, body: object) -> Any:
        """The decoded answer. Raises RequestFailedError."""
        return await self._call("PATCH", path, {}, body)

    async def delete(self, path: str, **query: str | int) -> Any:
        """The decoded answer. Raises RequestFailedError."""
        return await self._call("DELETE", path, query)

    async def all(self, path: str, **query: QueryValue) -> list[Any]:
        """Every page of a list.

        Of a link to the next page, only the query is used: the token goes where it went before, and nowhere else.
        """
        items: list[Any] = []
        url = path
        while True:
            answer = await self._send("GET", url, query)
            query = {}  # a link has it all
            items += self._decoded(answer)
            link = answer.links.get("next", {}).get("url")
            if not link:
                return items
            url = f"{path.partition('?')[0]}?{link.partition('?')[2]}"

    async def _call(self, method: str, path: str, query: Mapping[str, QueryValue], body: object = None) -> Any:
        return self._decoded(await self._send(method, path, query, body))

    def _decoded(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()
        except ValueError:
            problem = {"detail": f"{self.where} does not answer as Keycairn does."}
            raise RequestFailedError(answer.status_code, problem) from None

    async def _send(
        self, method: str, path: str, query: Mapping[str, QueryValue] | None = None, body: object = None
    ) -> httpx.Response:
        try:
            answer = await self._http.request(method, path, params=query or None, json=body)
        except httpx.TransportError as error:
            raise RequestFailedError(0, {"detail": f"{self.where} {_trouble(error)}"}) from None
        if not answer.is_success:
            raise RequestFailedError(answer.status_code, _problem(answer))
        return answer


def _trouble(error: httpx.TransportError) -> str:
    """What became of a request that got no answer, in words of a command line."""
    if isinstance(error, httpx.ConnectTimeout):
        return "cannot be reached: nothing answers there. Look at the address and the network."
    if isinstance(error, httpx.TimeoutException):
        return "did not answer in time. What was asked for may have been done all the same; look before you repeat it."
    if isinstance(error, httpx.ConnectError):
        secure = isinstance(error.__cause__ or error.__context__, ssl.SSLError) or "certificate" in str(error).lower()
        if secure:
            return "has no certificate that this machine trusts, or speaks no TLS. Look at the address."
        return "cannot be reached: no service listens there, or its name is not known. Look at the address."
    if isinstance(error, httpx.UnsupportedProtocol | httpx.ProtocolError):
        return "does not answer as Keycairn does. Look at the address."
    return "broke the connection off. What was asked for may have been done all the same; look before you repeat it."


def _problem(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


@asynccontextmanager
async def connect(settings: Settings, *, reads: bool = False) -> AsyncIterator[Client]:
    """A client of the service that is named, else of the one running on the data folder, else of one in here.

    Named is what `--url`, KEYCAIRN_URL or a login says. Where nobody says which data folder is meant and the usual one
    is not here, a service that runs on this machine is taken. A named server gets the token as it is, once it
    answers as Keycairn does; others have to prove themselves first, on each connection. `reads`: nothing is made where
    nothing is, an empty Keycairn answers.

    Raises SettingsError for an address that is none, without a token for a server, or when several services run;
    UnprovenServerError when something else answers in place of the service that uses the data folder, and what opening
    Keycairn raises.
    """
    patience: float | None = None
    while True:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(connect_to_running(settings))
            if client is None:
                try:
                    client = await stack.enter_async_context(_inside(settings, reads=reads))
                except StoreLockedError:
                    await _look_who_answers(settings)
                    patience = patience or time.monotonic() + LOCK_PATIENCE  # from the first refusal on
                    if time.monotonic() > patience:
                        raise
            if client is not None:
                yield client
                return
        await asyncio.sleep(LOCK_GLANCE)  # another command is at work, or a service is about to listen


@asynccontextmanager
async def client_of(url: str, token: Secret) -> AsyncIterator[Client]:
    """A client of the service at an address. It gets the token as it is, once it answered as Keycairn does.

    Raises NotKeycairnError for anything else, such as a provider whose address was meant as one of an account.
    """
    verify = trusting_nobody() if url.startswith("http://") else True
    async with httpx.AsyncClient(base_url=url, verify=verify, timeout=PATIENCE, trust_env=False) as http:
        http.auth = _OnlyToKeycairn(url, token)
        yield Client(http, url)


class _OnlyToKeycairn(httpx.Auth):
    """Adds the token to each request, once something has answered as Keycairn does: it is asked before the first one.

    Raises NotKeycairnError for what does not, RequestFailedError where a proxy has nobody behind it.
    """

    def __init__(self, url: str, token: Secret) -> None:
        self._url = url
        self._token = token
        self._known = False

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The question, if it was not asked yet, then the request."""
        if not self._known:
            answer = yield httpx.Request("GET", f"{self._url.rstrip('/')}/health/live")
            await answer.aread()
            if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise RequestFailedError(answer.status_code, _problem(answer))
            if _problem(answer).get("service") != "keycairn":
                raise NotKeycairnError(self._url)
            self._known = True
        request.headers.update(_bearer(self._token))
        yield request


@asynccontextmanager
async def connect_to_running(settings: Settings) -> AsyncIterator[Client | None]:
    """As `connect`, without one in here: None where no service runs."""
    service = named()
    if service is not None:
        async with client_of(service.url, _token(settings, service.token)) as client:
            yield client
        return
    data_dir, server = await _running(settings)
    if server is None:
        yield None
        return
    headers = _bearer(_token(settings, _first_token(data_dir)))
    async with proving_client(server, headers=headers, timeout=PATIENCE) as http:
        yield Client(http, server.url)


async def _look_who_answers(settings: Settings) -> None:
    """Raise UnprovenServerError where something else answers in place of the service that has the data folder."""
    left = announced(settings.data_dir)
    if left is not None and (await running(settings.data_dir))[1]:
        raise UnprovenServerError(left.url)


async def _running(settings: Settings) -> tuple[Path, RunningServer | None]:
    """The data folder and its service, None without. Raises SettingsError where several services could be meant."""
    server, taken = await running(settings.data_dir)
    if server is None and not taken and is_default(settings):
        found = await services.found()
        if len(found) > 1:
            places = ", ".join(f"{folder} ({server.url})" for folder, server in found)
            raise SettingsError(f"Several services run here: {places}. Choose one with KEYCAIRN_DATA_DIR.")
        for folder, other in found:
            click.echo(f"Talking to the service of {folder}.", err=True)
            return folder, other
    return settings.data_dir, server


@asynccontextmanager
async def _inside(settings: Settings, *, reads: bool) -> AsyncIterator[Client]:
    """A client of a Keycairn in this process."""
    from keycairn.app.logs import configure_logs  # noqa: PLC0415  # all of the service, 1 s: not beside a running one
    from keycairn.app.server import create_app  # noqa: PLC0415
    from keycairn.app.wiring import open_with_first_run  # noqa: PLC0415

    configure_logs("warning")
    passing = secrets.token_urlsafe(32)
    inside = replace(settings, admin_token=Secret(passing))
    async with AsyncExitStack() as stack:
        nothing = reads and nothing_here(settings)
        if nothing:
            empty = stack.enter_context(TemporaryDirectory(prefix="keycairn-"))
            inside = replace(inside, database_url="mem://", data_dir=Path(empty))
        keycairn, first_run = await stack.enter_async_context(open_with_first_run(inside))
        if nothing:
            click.echo(
                f"Nothing is stored in {settings.data_dir}, and no service runs on this machine. `keycairn serve` "
                "starts one; another is named with KEYCAIRN_URL, another folder with KEYCAIRN_DATA_DIR.",
                err=True,
            )
        elif first_run.root_key_file:
            click.echo(f"Made a root key: {first_run.root_key_file}. Keep a copy away from the database.", err=True)
        app = create_app(inside, keycairn=keycairn)
        transport = httpx.ASGITransport(app=cast("Any", app), client=("in-process", 0))  # two spellings of ASGI
        async with httpx.AsyncClient(
            transport=transport, base_url="http://keycairn", headers=_bearer(Secret(passing))
        ) as http:
            yield Client(http, "this process", empty=nothing)


def nothing_here(settings: Settings) -> bool:
    """Whether the data folder has no database, and never had one."""
    usable = all(parent.is_dir() for parent in settings.data_dir.absolute().parents if parent.exists())
    return settings.embedded and not settings.database_url and usable and not any(traces(settings))


def _bearer(token: Secret) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"}


def _first_token(data_dir: Path) -> Secret | None:
    """The first token of a data folder, which is for the service of that folder and no other."""
    with suppress(OSError, UnicodeDecodeError):
        return Secret((data_dir / FIRST_TOKEN_FILE).read_text().strip())
    return None


def _token(settings: Settings, known: Secret | None) -> Secret:
    """The token to show: the one that is said, else the fixed one, else the `known` one. Raises SettingsError."""
    token = said_token() or (known if named() is not None else None) or settings.admin_token or known
    if token is None:
        raise SettingsError(
            "A server is to be asked, and it wants a token. Set KEYCAIRN_TOKEN to one it knows, name its file with "
            "--token-file, or log in: keycairn login URL"
        )
    return token
