"""The playground: one message to a model, the gateway's way, and what came of it."""

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post
from msgspec import Struct

from keycairn.app.gateway import PRINCIPAL
from keycairn.app.page.form_reader import FormReader
from keycairn.app.page.view import TheView, View
from keycairn.app.services.access import Principal
from keycairn.app.web.auth import Options, Touches
from keycairn.domain.errors import NotFoundError
from keycairn.domain.modality import Modality
from keycairn.domain.model import LONGEST_CALLED_NAME, Slot
from keycairn.domain.token import Scope

INVOKE: Options = {"scope": Scope.INVOKE, "touches": Touches.CHOSEN}
LONGEST_MESSAGE = 8_000
LONGEST_ANSWER = 20_000
"""Characters that are shown."""
SUGGESTED = 200
GREETING = "Say hello in one sentence."


class PlaygroundAnswer(Struct, frozen=True, kw_only=True):
    """What came of a call. `served` is the credential that did it, as far as the gateway says; time in ms."""

    status: int
    text: str
    served: str
    credential: str
    milliseconds: int
    tokens: str
    wrong: bool


@get("/playground", opt=INVOKE, include_in_schema=False)
async def playground(view: TheView) -> Response[Any]:
    """A model and a message."""
    return await _page(view, view.query("model") or f"default:{Slot.CHAT.called}", GREETING)


@post("/playground", opt=INVOKE, include_in_schema=False)
async def say(view: TheView) -> Response[Any]:
    """Call the model, as the session's token: its limits count, its reach holds."""
    form = await view.form()
    reader = FormReader(form)
    model, message = reader.needed("model", "name a model"), reader.needed("message", "write a message")
    if len(model) > LONGEST_CALLED_NAME:
        reader.wrong["model"] = f"must be at most {LONGEST_CALLED_NAME} characters"
    if len(message) > LONGEST_MESSAGE:
        reader.wrong["message"] = f"must be at most {LONGEST_MESSAGE:,} characters; it has {len(message):,}"
    again = form.again("model"), form.again("message")
    if reader.wrong:
        return await _page(view, *again, errors=reader.wrong, status=422)
    return await _page(view, *again, answer=await _call(view, model, message))


async def _call(view: View, model: str, message: str) -> PlaygroundAnswer:
    gateway = view.keycairn.gateway
    if gateway is None:
        raise NotFoundError("Nothing serves calls of models here.")
    body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": message}]})
    caller = view.caller
    principal = Principal(caller.actor, caller.workspace, view.scopes, caller.reach)
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/chat/completions",
        "raw_path": b"/v1/chat/completions",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
        "client": (caller.source, 0),
        "server": None,
        "extensions": {},
        PRINCIPAL: principal,
    }
    sent: list[Any] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if waiting:
            return waiting.pop()
        await asyncio.Event().wait()  # the browser is served by the handler around this
        raise AssertionError

    async def send(part: Any) -> None:
        sent.append(part)

    begun = view.keycairn.clock.monotonic()
    await gateway(scope, receive, send)  # type: ignore[arg-type]  # a scope of our own making
    took = round((view.keycairn.clock.monotonic() - begun) * 1000)
    nothing: Any = {"status": 502, "headers": []}
    start = next((part for part in sent if part["type"] == "http.response.start"), nothing)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
    raw = b"".join(part.get("body", b"") for part in sent if part["type"] == "http.response.body")
    return _read(start["status"], headers, raw, took)


def _read(status: int, headers: dict[str, str], raw: bytes, took: int) -> PlaygroundAnswer:
    try:
        said = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        said = {}
    text, tokens = "", ""
    if isinstance(said, dict):
        choices, error, usage = said.get("choices"), said.get("error"), said.get("usage")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            message = choices[0].get("message")
            text = str(message.get("content") or "") if isinstance(message, dict) else ""
        if isinstance(error, dict):
            text = str(error.get("message") or "")
        if isinstance(usage, dict):
            counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
            tokens = f"{counts[0]} tokens in, {counts[1]} out" if all(isinstance(one, int) for one in counts) else ""
    return PlaygroundAnswer(
        status=status,
        text=text[:LONGEST_ANSWER] or "It answered without a text.",
        served=headers.get("x-keycairn-provider", ""),
        credential=headers.get("x-keycairn-credential", ""),
        milliseconds=took,
        tokens=tokens,
        wrong=status >= 400,
    )


async def _page(
    view: View,
    model: str,
    message: str,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
    answer: PlaygroundAnswer | None = None,
) -> Response[Any]:
    caller = view.caller
    found = await view.keycairn.models.list(type=Modality.LANGUAGE, limit=SUGGESTED, workspace=caller.workspace)
    names = sorted({one.name for one in found if caller.reach.serves(one)})
    credential = None
    if answer is not None and answer.credential:
        key: Any = answer.credential if ":" in answer.credential else f"credential:{answer.credential}"
        credential = await view.keycairn.store.credential(caller.workspace, key)
    return view.page(
        "playground.html",
        status=status,
        model=model,
        message=message,
        names=[f"default:{Slot.CHAT.called}", *names],
        errors=errors or {},
        answer=answer,
        served_by=credential,
    )
