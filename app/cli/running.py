"""The service that runs on a data folder: where it listens, and the proof that it is this one."""

import os
import ssl
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import h11
import httpx
import msgspec
from msgspec import Struct

from keycairn.app.data_folder import SERVER_FILE, write_private
from keycairn.app.proof import PATH, new_nonce, proves
from keycairn.domain.errors import UnprovenServerError

PATIENCE = 2.0
"""Seconds each step of a proof may take."""
LARGEST_ANSWER = 16 * 1024
"""Bytes of an answer to a nonce that are read."""


class RunningServer(Struct, frozen=True):
    """Where the service of a data folder listens, and the secret by which it proves that. Left by `serve`."""

    url: str
    pid: int
    secret: str


class Stream(Protocol):
    """A connection as the HTTP client holds it."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  # the client's
        """Some bytes; none at the end."""
        ...

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  # the client's
        """Send all of it."""
        ...

    async def aclose(self) -> None:
        """Close it."""
        ...

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection by that name."""
        ...


def announced(data_dir: Path) -> RunningServer | None:
    """What `serve` left word of; None without, and for a file that others could have written."""
    file = data_dir / SERVER_FILE
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            owners = {os.geteuid(), 0, data_dir.stat().st_uid}
            if not stat.S_ISREG(status.st_mode) or status.st_uid not in owners or status.st_mode & 0o022:
                return None
            text = stream.read(LARGEST_ANSWER + 1)
            return msgspec.json.decode(text, type=RunningServer) if len(text) <= LARGEST_ANSWER else None
    except (OSError, msgspec.MsgspecError):
        return None


def announce(data_dir: Path, server: RunningServer) -> None:
    """Leave word for the commands beside a server. Raises DataFolderError."""
    write_private(data_dir / SERVER_FILE, msgspec.json.encode(server).decode())


def withdraw(data_dir: Path, server: RunningServer) -> None:
    """Take back the word, unless another server left its own in the meantime."""
    if announced(data_dir) == server:
        with suppress(OSError):
            (data_dir / SERVER_FILE).unlink(missing_ok=True)


def proving_client(server: RunningServer, **options: Any) -> httpx.AsyncClient:
    """A client that sends no byte of a request before the other end of that very connection has proven itself.

    Its requests raise UnprovenServerError where it does not, and httpx.TransportError.
    """

    async def watch(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            await _prove(info["return_value"], server)

    async def arrange(request: httpx.Request) -> None:
        request.extensions["trace"] = watch

    return httpx.AsyncClient(
        base_url=server.url,
        verify=trusting_nobody(),
        trust_env=False,
        follow_redirects=False,
        event_hooks={"request": [arrange]},
        **options,
    )


def trusting_nobody() -> ssl.SSLContext:
    """For plain HTTP: no certificate is good. Reading the system's list of authorities takes 40 ms."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def running(data_dir: Path) -> tuple[RunningServer | None, bool]:
    """The server of the data folder, None when there is none; and whether something else answers in its place."""
    server = announced(data_dir)
    if server is None:
        return None, False
    try:
        async with proving_client(server, timeout=PATIENCE) as http:
            answer = await http.get("/health/live")
    except UnprovenServerError:
        return None, True
    except (httpx.HTTPError, httpx.InvalidURL):
        return None, False
    return (server, False) if answer.status_code == 200 else (None, True)


async def _prove(stream: Stream, server: RunningServer) -> None:
    """Ask the other end for its proof. The stream is as new afterwards. Raises UnprovenServerError."""
    nonce = new_nonce()
    try:
        proof = await _answer(stream, server.url, nonce)
        ends = {"client": _end(stream, "client_addr"), "server": _end(stream, "server_addr")}
        good = proves(proof, server.secret, nonce, **ends)
    except Exception:  # noqa: BLE001  # whatever a stranger does, it has not proven itself
        good = False
    if not good:
        await stream.aclose()
        raise UnprovenServerError(server.url)


async def _answer(stream: Stream, url: str, nonce: str) -> str:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_ANSWER)
    target = f"{PATH}?nonce={nonce}"
    asked = h11.Request(method="GET", target=target, headers=[("Host", httpx.URL(url).netloc.decode())])
    await stream.write(http.send(asked) + http.send(h11.EndOfMessage()), PATIENCE)
    body = b""
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            http.receive_data(await stream.read(LARGEST_ANSWER, PATIENCE))
        elif isinstance(event, h11.Data):
            body += event.data
        elif not isinstance(event, h11.Response) or event.status_code != 200:
            raise ValueError
        if len(body) > LARGEST_ANSWER:
            raise ValueError
    http.start_next_cycle()
    if http.trailing_data[0]:
        raise ValueError
    return str(msgspec.json.decode(body)["proof"])


def _end(stream: Stream, which: str) -> tuple[str, int]:
    address = stream.get_extra_info(which)
    return str(address[0]), int(address[1])
