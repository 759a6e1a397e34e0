"""Names the service answers to: those nobody else can point at it, and those it was told of."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keycairn.app.hosts import Hosts
from keycairn.app.server import guarded
from keycairn.app.settings import read_settings
from keycairn.domain.errors import SettingsError

OURS = Hosts(("keycairn.example.com", "*.cairn.test", "only.example.org:8443"), bound="box.lan")

GOOD = [
    "localhost",
    "LOCALHOST:8765",
    "localhost.",
    "a.localhost:1",
    "127.0.0.1:8765",
    "192.168.7.9",
    "[::1]:8765",
    "[fd00::7]",
    "keycairn",
    "keycairn:8765",
    "keycairn.example.com",
    "KeyCairn.Example.COM:443",
    "keycairn.example.com.:443",
    "a.cairn.test",
    "a.b.cairn.test:9",
    "only.example.org:8443",
    "box.lan:8765",
]
BAD = [
    "",
    ".",
    "..",
    "..:8765",
    "localhost..",
    ".localhost",
    "keycairn..example.com",
    "evil.example",
    "evil.example:8765",
    "keycairn.example.com.evil.example",
    "xkeycairn.example.com",
    "cairn.test",
    "only.example.org",
    "only.example.org:8444",
    "127.0.0.1.evil.example",
    "evil.example/127.0.0.1",
    "evil.example#localhost",
    "user@localhost",
    "localhost:x",
    "localhost:8765:8765",
    "[::1",
    "[evil.example]",
    "[::zz]",
    "localhost\tevil.example",
    "localhost, evil.example",
    "localhost\u0301",
    "*",
]


@pytest.mark.parametrize("header", GOOD)
def test_our_own_names_are_good(header: str) -> None:
    assert OURS.accept(header.encode())
    assert OURS.accept(header.encode()), "also the second time"


@pytest.mark.parametrize("header", BAD)
def test_others_are_not(header: str) -> None:
    assert not OURS.accept(header.encode())
    assert not OURS.accept(header.encode()), "also the second time"


def test_any_name_is_good_where_that_is_said_and_nonsense_still_is_not() -> None:
    anyone = Hosts(("*",))
    assert anyone.accept(b"evil.example:1")
    assert not anyone.accept(b"a b")


def test_what_is_remembered_is_bounded() -> None:
    hosts = Hosts()
    assert all(hosts.accept(f"name{number}".encode()) for number in range(1000))
    assert len(hosts._known) <= 256


async def ask(app: Callable[..., Awaitable[None]], path: str, *hosts: bytes, type: str = "http") -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    await app({"type": type, "path": path, "headers": [(b"host", host) for host in hosts]}, receive, send)
    return sent


async def test_only_health_is_told_to_every_name() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send("served")

    guard: Any = guarded(app, Hosts())
    for path in ("/api/credentials", "/v1/chat/completions", "/", "/openapi", "/metrics"):
        assert await ask(guard, path, b"localhost") == ["served"]
        for hosts in ((b"evil.example",), (b"localhost", b"localhost"), ()):
            (start, body) = await ask(guard, path, *hosts)
            assert start["status"] == 400
            assert b"host_not_allowed" in body["body"]
            assert b"evil" not in body["body"]
    assert await ask(guard, "/health/live", b"evil.example") == ["served"]
    start, body = await ask(guard, "/v1/realtime", b"evil.example", type="websocket")
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 400)
    assert (body["type"], b"host_not_allowed" in body["body"]) == ("websocket.http.response.body", True)


def test_the_setting_takes_names_and_says_so() -> None:
    read = read_settings({"KEYCAIRN_ALLOWED_HOSTS": "keycairn.example.com, *.x.test:8443 ,[fd00::7]:1,*"})
    assert read.allowed_hosts == ("keycairn.example.com", "*.x.test:8443", "[fd00::7]:1", "*")
    assert read_settings({}).allowed_hosts == ()
    for wrong in ("https://keycairn.example.com", "a.example/path", "a b", "*a.example", "a.example:x"):
        with pytest.raises(SettingsError, match="KEYCAIRN_ALLOWED_HOSTS takes host names"):
            read_settings({"KEYCAIRN_ALLOWED_HOSTS": wrong})
