"""A provider, its server and the guarded client, set up for one test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.ports.http import Request
from keycairn.ports.provider import Provider
from keycairn.testing.case import ProviderCase, Sent
from keycairn.testing.recording_http import RecordingHttp
from keycairn.testing.server import LocalServer

_S = TypeVar("_S")
_P = ParamSpec("_P")


@dataclass(frozen=True)
class Stage:
    """What a test of a provider plays on: `account` is one of `server`, `http` the real guarded client."""

    case: ProviderCase
    server: LocalServer
    http: RecordingHttp
    account: Account

    @property
    def provider(self) -> Provider:
        """The case's."""
        return self.case.provider

    def sent(self) -> list[Sent]:
        """Every request so far, as it left with its headers and as its body arrived."""
        pairs = zip(self.http.sent, self.server.requests, strict=True)
        return [_sent(left, arrived.target, arrived.content) for left, arrived in pairs]

    def expected(self, *requests: Sent) -> list[Sent]:
        """`requests` with their headers filled in."""
        return [
            Sent(one.method, one.target, one.body, dict(self.case.auth if one.headers is None else one.headers))
            for one in requests
        ]


def plain_headers(request: Request) -> dict[str, str]:
    """Its headers, secrets revealed."""
    return {name: one.reveal() if isinstance(one, Secret) else one for name, one in request.headers.items()}


def _sent(request: Request, target: str, content: Any) -> Sent:
    parts = urlsplit(request.url)
    left = parts.path + (f"?{parts.query}" if parts.query else "")
    headers = {name: value for name, value in plain_headers(request).items() if name.lower() != "content-type"}
    return Sent(request.method, left if left == target else f"{left} (arrived as {target})", content, headers)


@asynccontextmanager
async def set_up(case: ProviderCase) -> AsyncIterator[Stage]:
    """The server of `case`, running, and a client of it."""
    async with case.server() as server:
        http = GuardedHttp(EgressPolicy())
        try:
            yield Stage(case, server, RecordingHttp(http), case.account(server.url))
        finally:
            await http.aclose()  # before the server stops, which waits for the connections that end by this
            await asyncio.sleep(0)


def staged(
    test: Callable[Concatenate[_S, Stage, _P], Awaitable[None]],
) -> Callable[Concatenate[_S, ProviderCase, _P], None]:
    """`test`, which takes a stage, as one that takes a fixture `case` and needs no plugin of pytest to be awaited."""

    @wraps(test)
    def run(self: _S, case: ProviderCase, *args: _P.args, **options: _P.kwargs) -> None:
        async def play() -> None:
            async with set_up(case) as stage:
                await test(self, stage, *args, **options)

        asyncio.run(play())

    shape = signature(test)
    parameters = [one.replace(name="case") if one.name == "stage" else one for one in shape.parameters.values()]
    run.__signature__ = shape.replace(parameters=parameters)  # type: ignore[attr-defined]  # what pytest reads
    return cast("Callable[Concatenate[_S, ProviderCase, _P], None]", run)
