"""OpenAI's realtime API over websockets.

Source: platform.openai.com/docs/api-reference/realtime-client-events and realtime-server-events, and the types in
github.com/openai/openai-python (types/realtime).
"""

import base64
import itertools
import json
from collections.abc import Sequence
from typing import Any, ClassVar

from tests.servers.sockets import SocketServer
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from keycairn.testing.server import KEY

USAGE = {
    "total_tokens": 30,
    "input_tokens": 20,
    "output_tokens": 10,
    "input_token_details": {"text_tokens": 20, "audio_tokens": 0, "cached_tokens": 8},
    "output_token_details": {"text_tokens": 10, "audio_tokens": 0},
}
SOUND = base64.b64encode(bytes(4800)).decode()


class RealtimeServer(SocketServer):
    """Text and sound of one model. `echo` is put into what it says."""

    base: ClassVar[str] = "/v1"
    path: ClassVar[str] = "/v1/realtime"
    subprotocols: ClassVar[Sequence[str]] = ("realtime",)

    def __init__(self, *, key: str = KEY) -> None:
        super().__init__(key=key)
        self.echo = "Hello!"
        self.usage: dict[str, Any] | None = USAGE
        self.done = True
        """Whether it ends its responses."""
        self._numbers = itertools.count(1)

    def presented(self, request: Request) -> str | None:
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        assert "openai-insecure-api-key" not in offered
        return super().presented(request)

    async def session(self, socket: ServerConnection) -> None:
        request = socket.request
        assert request is not None
        if self.presented(request) != self.key:
            error = {
                "type": "invalid_request_error",
                "code": "invalid_api_key",
                "message": f"Incorrect API key provided: {self.presented(request)}.",
                "param": None,
                "event_id": None,
            }
            await self._say(socket, "error", error=error)
            await socket.close(3000, "invalid_request_error.invalid_api_key")
            return
        session: dict[str, Any] = {"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "m"}
        await self._say(socket, "session.created", session=session)
        while True:
            event = await self.hear(socket)
            if event["type"] == "session.update":
                session |= event["session"]
                await self._say(socket, "session.updated", session=session)
            elif event["type"] == "conversation.item.create":
                item = {"id": "item_1", "object": "realtime.item", "status": "completed", **event["item"]}
                await self._say(socket, "conversation.item.added", previous_item_id=None, item=item)
            elif event["type"] == "response.create":
                await self._respond(socket)
            elif event["type"] != "input_audio_buffer.append":
                await self._say(socket, "error", error={"type": "invalid_request_error", "message": "Unknown event."})

    async def _respond(self, socket: ServerConnection) -> None:
        response: dict[str, Any] = {
            "object": "realtime.response",
            "id": "resp_1",
            "output": [],
            "status": "in_progress",
        }
        at = {"response_id": "resp_1", "item_id": "item_2", "output_index": 0, "content_index": 0}
        await self._say(socket, "response.created", response={**response, "usage": None})
        await self._say(socket, "response.output_text.delta", **at, delta=self.echo)
        await self._say(socket, "response.output_audio.delta", **at, delta=SOUND)
        if self.done:
            done = {**response, "status": "completed", "usage": self.usage}
            await self._say(socket, "response.done", response=done)

    async def _say(self, socket: ServerConnection, type: str, **members: Any) -> None:
        await socket.send(json.dumps({"type": type, "event_id": f"event_{next(self._numbers)}", **members}))


class TellingRealtimeServer(RealtimeServer):
    """One that takes every handshake, and says over the connection that the key is bad."""

    told_later: ClassVar[bool] = True
