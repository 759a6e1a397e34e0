"""Google's live API over websockets. It answers in binary frames that hold JSON, and says of a bad key in its close.

Source: ai.google.dev/api/live, and google/genai/live.py in github.com/googleapis/python-genai.
"""

import json
import re
from typing import Any, ClassVar

from tests.servers.sockets import SocketServer
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

USAGE = {"promptTokenCount": 7, "responseTokenCount": 3, "totalTokenCount": 10}
_PATH = re.compile(r"/ws/google\.ai\.generativelanguage\.v1(?:alpha|beta)?\.GenerativeService\.BidiGenerateContent")
REFUSAL = "API key not valid. Please pass a valid API key."


class LiveServer(SocketServer):
    """Text turns of one model."""

    base: ClassVar[str] = "/v1beta"
    told_later: ClassVar[bool] = True

    def has(self, path: str) -> bool:
        return _PATH.fullmatch(path) is not None

    def presented(self, request: Request) -> str | None:
        return request.headers.get("x-goog-api-key")

    async def session(self, socket: ServerConnection) -> None:
        request = socket.request
        assert request is not None
        setup = await self.hear(socket)
        if self.presented(request) != self.key:
            await socket.close(1007, REFUSAL)
            return
        assert setup["setup"]["model"].startswith("models/")
        await self._say(socket, {"setupComplete": {}})
        while True:
            told = await self.hear(socket)
            if "clientContent" in told or "client_content" in told or "realtimeInput" in told:
                parts = [{"text": "Hello!"}]
                await self._say(socket, {"serverContent": {"modelTurn": {"role": "model", "parts": parts}}})
                await self._say(socket, {"serverContent": {"turnComplete": True}, "usageMetadata": USAGE})

    async def _say(self, socket: ServerConnection, message: Any) -> None:
        await socket.send(json.dumps(message).encode())
