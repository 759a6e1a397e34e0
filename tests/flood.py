"""Requests of strangers against a real service, and what they leave: memory and disk."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

ANSWERED = tuple(f"HTTP/1.1 {status} ".encode() for status in (200, 400, 401, 403, 404, 405, 414, 429))
ROOT = Path(__file__).parents[1]
ADMIN = "admin-0123456789-0123456789-0123456789"
LONG = "x" * 30_000
"""What makes a header long."""


class Service(Struct):
    """A `keycairn serve` of its own process, in a folder of its own."""

    port: int
    pid: int
    data: Path
    log: Path

    def memory(self) -> int:
        """Bytes of it in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def disk(self) -> int:
        """Bytes of all it left, its log too."""
        return sum(file.stat().st_size for file in [*self.data.rglob("*"), self.log] if file.is_file())

    async def send(self, *requests: bytes) -> list[bytes]:
        """Each request on one connection, one after the other; the heads of the answers."""
        return await exchange(self.port, requests)


async def exchange(port: int, requests: Sequence[bytes]) -> list[bytes]:
    """The answers to requests that are sent one after the other, on as few connections as the server allows."""
    answers = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for request in requests:
            if writer.is_closing() or reader.at_eof():
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            try:
                async with asyncio.timeout(20):
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = next(
                        (
                            int(line.split(b":")[1])
                            for line in head.split(b"\r\n")
                            if line.startswith(b"content-length:")
                        ),
                        0,
                    )
                    body = b"" if request.startswith(b"HEAD") else await reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                answers.append(getattr(error, "partial", b"") or b"cut")
                writer.close()
                continue
            answers.append(head + body)
            if b"connection: close" in head.lower():
                writer.close()
    finally:
        writer.close()
    return answers


def request(method: str = "GET", path: str = "/api/credentials", *lines: str, host: str = "localhost") -> bytes:
    """The bytes of a request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode("latin-1")


def bearer(token: str = ADMIN) -> str:
    return f"Authorization: Bearer {token}"


@asynccontextmanager
async def serving(folder: Path, variables: Mapping[str, str] | None = None) -> AsyncIterator[Service]:
    """A service that has answered its first request."""
    data, log = folder / "data", folder / "log"
    data.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT / "src")),
        "KEYCAIRN_DATA_DIR": str(data),
        "KEYCAIRN_PORT": "0",
        "KEYCAIRN_ADMIN_TOKEN": ADMIN,
        "KEYCAIRN_EXTERNAL_PLUGINS": "off",
        **(variables or {}),
    }
    with log.open("a") as stream:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from keycairn.app.cli import main; main()", "serve"),
            cwd=folder,
            env=environment,
            stdout=stream,
            stderr=stream,
        )
    try:
        announced = data / "server.json"
        async with asyncio.timeout(60):
            while True:
                if process.returncode is not None:
                    raise AssertionError(log.read_text())
                if announced.exists() and announced.stat().st_size:
                    found = json.loads(announced.read_text())
                    if found["pid"] == process.pid:
                        break
                await asyncio.sleep(0.05)
        port = int(found["url"].rpartition(":")[2])
        async with asyncio.timeout(30):
            while True:
                try:
                    await exchange(port, [request(path="/health/live")])
                    break
                except ConnectionError:
                    await asyncio.sleep(0.05)
        yield Service(port, process.pid, data, log)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def flood(service: Service, count: int, make: Callable[[int], bytes], *, connections: int = 8) -> None:
    """`count` requests over several connections."""

    async def some(first: int) -> None:
        for begin in range(first, count, 100 * connections):
            numbers = range(begin, min(begin + 100 * connections, count), connections)
            for answer in await service.send(*(make(number) for number in numbers)):
                assert answer.startswith(ANSWERED), answer

    await asyncio.gather(*(some(first) for first in range(connections)))


KINDS: Mapping[str, Callable[[int], bytes]] = {
    "no token": lambda n: request("GET", "/api/credentials", f"X-Long: {n}{LONG}"),
    "no token, through a proxy": lambda n: request(
        "GET", "/api/credentials", f"X-Forwarded-For: {LONG}, 198.51.{n // 256 % 256}.{n % 256}"
    ),
    "no token, many networks": lambda n: request("GET", f"/v1/models/{n}", f"X-Forwarded-For: 2001:db8:{n:x}::{n:x}"),
    "a wrong token each": lambda n: request(
        "GET",
        "/api/models",
        bearer(f"kc_{n}{LONG[:4000]}"),
        f"X-Forwarded-For: 10.{n // 65536}.{n // 256 % 256}.{n % 256}",
    ),
    "a query each": lambda n: request("GET", f"/api/models?q={n}{LONG[:7000]}", f"X-Request-Id: {n}{LONG}"),
    "a foreign page": lambda n: request("POST", "/v1/chat/completions", f"Origin: https://{n}.example", f"X-A: {LONG}"),
    "a method and path each": lambda n: request(f"{('GET', 'PUT', 'DELETE')[n % 3]}", f"/api/{n}/{LONG[:4000]}"),
    "short paths": lambda n: request("GET", f"/api/{n}/{LONG[:480]}"),
    "an open page": lambda n: request("GET", f"/health/live?{n}{LONG[:7000]}", f"X-Long: {n}{LONG}"),
    "no HTTP": lambda n: request("G\x01T", f"/{n}"),
}
"""Requests of strangers, by what is particular about them."""
