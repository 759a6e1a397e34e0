"""A provider on a real socket: checks the key, records what it was asked, and fails on demand in the provider's way."""

import asyncio
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

KEY = "sk-local-canary-0123456789"
"""The key a `LocalServer` takes unless told otherwise."""
LARGEST_BODY = 64 * 1024 * 1024
"""Bytes of a request's body."""
LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/x-jsonlines"})
"""The types of answers that are a JSON value a line."""


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived. `target` is path and query as sent; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def json(self) -> Any:
        """The body as JSON. Raises ValueError."""
        return json.loads(self.body)

    def form(self) -> dict[str, bytes]:
        """The fields of a multipart body. Raises ValueError."""
        boundary = re.search(r'boundary="?([^";]+)', self.headers.get("content-type", ""))
        if boundary is None:
            raise ValueError("The request has no multipart body.")
        found: dict[str, bytes] = {}
        for part in self.body.split(b"--" + boundary[1].encode())[1:-1]:
            head, _, value = part.partition(b"\r\n\r\n")
            name = re.search(rb'name="?([^";\r\n]+)', head)
            if name is None:
                raise ValueError("A part of the form has no name.")
            found[name[1].decode()] = value.removesuffix(b"\r\n")
        return found

    @property
    def content(self) -> Any:
        """The body as its content type says: JSON, the fields of a form, else bytes; None when there is none."""
        kind = self.headers.get("content-type", "")
        if not self.body:
            return None
        if kind.startswith("application/json"):
            return self.json()
        if kind.startswith("multipart/form-data"):
            return self.form()
        if kind.startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        return self.body


@dataclass(frozen=True)
class Answer:
    """An answer in one piece, or as `chunks` of an event stream."""

    status: int = 200
    body: bytes = b""
    type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that holds `value`."""
    return Answer(status, json.dumps(value).encode(), headers=headers or {})


def _roomy_request(*parts: Any) -> web.BaseRequest:
    """A request as aiohttp makes it, with room for a body as large as the gateway passes on."""
    message, payload, protocol, writer, task = parts
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY)


class LocalServer:
    """One provider. Subclasses say its routes (`answer`), its authorization and the shape of its errors (`error`).

    An async context manager that listens on `port` of 127.0.0.1, 0 for a free one. `url` is what an account names as
    its base URL.
    A request is authorized by the header `header`, which has to hold `scheme` and the key; override `authorized` for
    anything else.

    `key` and `fault` may be changed at any time. `fault` is a status, answered in the provider's own error shape, or
    one of "html", "truncated", "empty" (no body), "wrong_shape", "no_models" (every list of the answer emptied),
    "redirect", "slow" (no answer); `faults` gives one fault for each coming request before that.
    """

    base: ClassVar[str] = ""
    header: ClassVar[str] = "authorization"
    scheme: ClassVar[str] = "Bearer "

    def __init__(self, *, key: str | None = KEY, port: int = 0) -> None:
        self.key = key
        self.port = port
        self.requests: list[Recorded] = []
        self.fault: int | str | None = None
        self.faults: list[int | str | None] = []
        self.retry_after: str | None = "7"
        self._runner: web.ServerRunner | None = None
        self._stopping = asyncio.Event()
        self.origin: str = ""

    @property
    def url(self) -> str:
        """The origin and `base`."""
        return self.origin + self.base

    async def __aenter__(self) -> Self:
        server = web.Server(self._handle, request_factory=_roomy_request)
        self._runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await self._runner.setup()
        # Bound here, since the loop would ask a thread for the address of its own.
        await web.SockSite(self._runner, socket.create_server(("127.0.0.1", self.port))).start()
        host, port = self._runner.addresses[0][:2]
        self.origin = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def answer(self, recorded: Recorded) -> Answer:
        """The answer to an authorized request."""
        raise NotImplementedError

    def error(self, status: int) -> object:
        """The JSON body of an error with that status, or for another format all of the answer."""
        raise NotImplementedError

    def without_models(self, good: Answer) -> Answer:
        """`good`, an answer with models, without any: for "no_models". JSON and lines of JSON need no override."""
        if good.type.partition(";")[0] in LINES:
            return replace(good, body=b"", chunks=())
        if good.body and good.type.partition(";")[0] != "application/json":
            raise NotImplementedError(f"{type(self).__name__}.without_models: nobody else can empty {good.type}.")
        return _without_items(good)

    def authorized(self, recorded: Recorded) -> bool:
        """Whether the request carries the key; without a `key` every request is welcome."""
        return self.key is None or recorded.headers.get(self.header) == self.scheme + self.key

    def refusal(self) -> tuple[object, int]:
        """Body and status of the answer to a request that is not authorized."""
        return self.error(401), 401

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        recorded = Recorded(request.method, request.raw_path, headers, await request.content.read())
        self.requests.append(recorded)
        fault = self.faults.pop(0) if self.faults else self.fault
        answer = await self._faulty(fault, recorded) if fault is not None else self._proper(recorded)
        if not answer.chunks:
            return web.Response(
                status=answer.status, body=answer.body, headers={"Content-Type": answer.type, **answer.headers}
            )
        response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.type, **answer.headers})
        await response.prepare(request)
        for chunk in answer.chunks:
            await response.write(chunk)
            await asyncio.sleep(0)
        await response.write_eof()
        return response

    async def _faulty(self, fault: int | str, recorded: Recorded) -> Answer:
        if isinstance(fault, int):
            hint = {"Retry-After": self.retry_after} if fault in {429, 503} and self.retry_after else {}
            return _whole(self.error(fault), fault, hint)
        if fault == "slow":
            await self._stopping.wait()
        good = self._proper(recorded)
        answers = {
            "html": Answer(200, b"<!doctype html><title>Sign in</title>", "text/html"),
            "truncated": Answer(200, good.body[: len(good.body) // 2] or b"{"),
            "empty": Answer(200, b""),
            "wrong_shape": as_json({"data": "none", "models": 7, "candidates": {}}),
            "no_models": self.without_models(good) if fault == "no_models" else good,
            "redirect": Answer(302, b"", headers={"Location": "http://127.0.0.1:9/elsewhere"}),
            "slow": good,
        }
        return answers[fault]

    def _proper(self, recorded: Recorded) -> Answer:
        if not self.authorized(recorded):
            return _whole(*self.refusal())
        return self.answer(recorded)


def _whole(body: object, status: int, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer whose JSON body is given, or that is given itself."""
    if isinstance(body, Answer):
        return replace(body, status=status, headers={**body.headers, **(headers or {})})
    return as_json(body, status, headers)


def _without_items(good: Answer) -> Answer:
    """`good`, with every list at the top of its JSON emptied."""
    if good.type != "application/json" or not good.body:
        return good
    value = json.loads(good.body)
    if isinstance(value, dict):
        value = {name: [] if isinstance(one, list) else one for name, one in value.items()}
    return as_json([] if isinstance(value, list) else value, good.status)


def sse(*events: object, names: tuple[str, ...] = (), done: bool = True) -> Answer:
    """An event stream of JSON events, ended OpenAI's way when `done`."""
    lines = [f"event: {names[i]}\n" if names else "" for i in range(len(events))]
    chunks = [f"{line}data: {json.dumps(event)}\n\n".encode() for line, event in zip(lines, events, strict=True)]
    return Answer(type="text/event-stream", chunks=(*chunks, *((b"data: [DONE]\n\n",) if done else ())))
