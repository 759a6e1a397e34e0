"""A token goes to the service of the data folder, and to no other process that took its place."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from tests.nights import by_day
from tests.served import serving
from tests.shell import Shell

from keycairn.app.cli.running import RunningServer, announce, announced, proving_client, running
from keycairn.app.proof import PATH, new_nonce
from keycairn.domain.errors import UnprovenServerError

SECRET = "5" * 64
TOKEN = "kc_the-token-of-the-folder"

Answer = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Stranger:
    """A process that took the port, and remembers all it is sent."""

    def __init__(self, answer: Answer) -> None:
        self.heard = b""
        self.url = ""
        self.tasks: set[asyncio.Task[None]] = set()
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heard += head
                await self._answer(head, reader, writer)
                await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def stranger(answer: Answer, port: int = 0) -> AsyncIterator[Stranger]:
    one = Stranger(answer)
    server = await asyncio.start_server(one.serve, "127.0.0.1", port)
    one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield one
    finally:
        server.close()
        for task in one.tasks:
            task.cancel()
        await asyncio.gather(*one.tasks)


def always(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> Answer:
    async def answer(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n%s\r\n%s" % (status, len(body), more, body))

    return answer


async def hang_up(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def say_nothing(_: bytes, __: asyncio.StreamReader, ___: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def never_end(_: bytes, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1000\r\n" + b"a" * 4096 + b"\r\n")
        await writer.drain()


async def echo(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    nonce = head.partition(b"nonce=")[2][:64]
    await always(json.dumps({"proof": nonce.decode()}).encode())(head, reader, writer)


ANSWERS: dict[str, Answer] = {
    "as the health probe": always(b'{"status":"ok"}'),
    "a web page": always(b"<html>", more=b"content-type: text/html\r\n"),
    "an old proof": always(json.dumps({"proof": "a" * 64}).encode()),
    "the nonce": echo,
    "a proof that is no text": always(b'{"proof": null}'),
    "a list": always(b"[]"),
    "a redirect": always(b"", b"307 Temporary Redirect", b"location: /health/live\r\n"),
    "not found": always(b"{}", b"404 Not Found"),
    "no HTTP": always(b"", b"SSH-2.0-OpenSSH"),
    "a hang-up": hang_up,
    "nothing": say_nothing,
    "without end": never_end,
    "two answers": always(b'{"proof": "x"}HTTP/1.1 200 OK'),
}


def left_word(shell: Shell, url: str, secret: str = SECRET) -> None:
    """What a killed service leaves: its address, and the folder's token."""
    shell.data.mkdir(exist_ok=True, mode=0o700)
    announce(shell.data, RunningServer(url, os.getpid(), secret))


@pytest.mark.parametrize("how", by_day(ANSWERS, one_in=4))
async def test_a_stranger_on_the_port_gets_no_token_however_it_answers(shell: Shell, how: str) -> None:
    await shell.begin()
    (shell.data / "first-token").write_text(TOKEN)
    async with stranger(ANSWERS[how]) as other:
        left_word(shell, other.url)
        told = await shell.run("status", KEYCAIRN_TOKEN=TOKEN)
        assert "this process" in told.output
        assert other.heard, "it was asked for its proof"
        assert b"authorization" not in other.heard.lower()
        assert TOKEN.encode() not in other.heard


@pytest.mark.night
async def test_a_service_that_was_killed_and_replaced_on_its_port_gets_no_token(shell: Shell) -> None:
    async with serving(shell) as served:
        port = urlsplit(served.url).port
        await served.stop(signal.SIGKILL)
    async with stranger(always(b'{"status":"ok"}'), port or 0) as other:
        assert "this process" in (await shell.run("status")).output
        assert (shell.data / "first-token").read_text().strip().encode() not in other.heard


def relaying(real: str) -> Answer:
    """Hands requests to the real service and its answers back, as a process in between would."""

    async def answer(head: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to, from_ = await asyncio.open_connection("127.0.0.1", urlsplit(real).port)
        try:
            from_.write(head)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    writer.write(await to.read(65536))
        finally:
            from_.close()

    return answer


def spoofing(real: str) -> Answer:
    """As `relaying`, telling the real service that the client's address is that of the command."""

    async def answer(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("peername")
        for header in (b"X-Forwarded-For: %s:%d", b"Forwarded: for=%s:%d"):
            forged = head[:-2] + header % (host.encode(), port) + b"\r\n\r\n"
            await relaying(real)(forged, reader, writer)

    return answer


@pytest.mark.parametrize("between", [relaying, spoofing])
async def test_a_process_in_between_cannot_borrow_the_proof(shell: Shell, between: Callable[[str], Answer]) -> None:
    async with serving(shell) as served:
        known = announced(shell.data)
        assert known is not None
        async with stranger(between(served.url)) as other:
            left_word(shell, other.url, known.secret)
            refused = await shell.run("status")
            assert refused.exit_code == 1
            assert other.url in refused.stderr
            assert "KEYCAIRN_URL" in refused.stderr
            assert len(refused.stderr.splitlines()) == 1
            assert b"authorization" not in other.heard.lower()


@pytest.mark.night
async def test_each_connection_is_proven_anew(shell: Shell) -> None:
    async with serving(shell) as served:
        known = announced(shell.data)
        assert known is not None
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with proving_client(known, headers=headers, timeout=5) as http:
            assert (await http.get("/health/ready")).status_code == 200
            assert (await http.get("/health/ready")).status_code == 200
            await served.stop(signal.SIGKILL)
            async with stranger(always(b'{"status":"ok"}'), urlsplit(served.url).port or 0) as other:
                with pytest.raises((UnprovenServerError, httpx.TransportError)):
                    await http.get("/health/ready")
                with pytest.raises(UnprovenServerError):
                    await http.get("/health/ready")
                assert TOKEN.encode() not in other.heard


async def test_the_service_answers_nonces_and_nothing_else(shell: Shell) -> None:
    async with serving(shell) as served, httpx.AsyncClient(base_url=served.url) as http:
        known = announced(shell.data)
        assert known is not None
        seen = set()
        for _ in range(3):
            answer = await http.get(PATH, params={"nonce": new_nonce()})
            assert answer.status_code == 200
            assert re.fullmatch(r'\{"proof":"[0-9a-f]{64}"\}', answer.text)
            seen.add(answer.text)
        assert len(seen) == 3
        for bad in ({}, {"nonce": ""}, {"nonce": "x"}, {"nonce": "0" * 4_000}, {"nonce": "A" * 64}):
            refused = await http.get(PATH, params=bad)
            assert refused.status_code == 400
            assert known.secret not in refused.text
        assert (await http.post(PATH, params={"nonce": new_nonce()})).status_code == 405
        document = (await http.get("/openapi/openapi.json")).json()
        assert document["paths"][PATH]["get"]["security"] == [{}]


@pytest.mark.parametrize(
    "how", ["link", "pipe", "others may write", "empty", "of an earlier version", "huge", "folder"]
)
async def test_word_that_others_could_have_left_is_not_believed(tmp_path: Path, how: str) -> None:
    async with stranger(always(b'{"status":"ok"}')) as other:
        announce(tmp_path, RunningServer(other.url, os.getpid(), SECRET))
        file = tmp_path / "server.json"
        match how:
            case "link":
                file.rename(tmp_path / "elsewhere")
                file.symlink_to(tmp_path / "elsewhere")
            case "pipe":
                file.unlink()
                os.mkfifo(file)
            case "others may write":
                file.chmod(0o622)
            case "empty":
                file.write_text("")
            case "of an earlier version":
                file.write_text(json.dumps({"url": other.url, "pid": os.getpid()}))
            case "huge":
                file.write_text(file.read_text() + " " * 1_000_000)
            case "folder":
                file.unlink()
                file.mkdir()
        assert await running(tmp_path) == (None, False)
        assert other.heard == b""


async def test_word_left_by_another_user_is_not_believed(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    announce(tmp_path, RunningServer("http://127.0.0.1:1", 1, SECRET))
    assert announced(tmp_path) is not None
    os.chown(tmp_path / "server.json", 12345, 12345)
    assert announced(tmp_path) is None


async def test_a_second_service_leaves_the_first_ones_word_alone(shell: Shell) -> None:
    memory = {"KEYCAIRN_DATABASE_URL": "mem://"}
    async with serving(shell, **memory):
        before = (shell.data / "server.json").read_bytes()
        refused = await shell.run("serve", "--port", "0", **memory)
        assert refused.exit_code == 1
        assert "Another Keycairn process is using the data folder" in refused.stderr
        assert (shell.data / "server.json").read_bytes() == before
