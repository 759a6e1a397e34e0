"""Deepgram's live transcription over websockets.

Source: developers.deepgram.com/reference/speech-to-text/listen-streaming, and its SDK's types (listen/v1/types).
"""

import json
from typing import Any, ClassVar

from tests.servers.sockets import SocketServer
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

BYTES_A_SECOND = 32_000
"""Of linear16 at 16 kHz."""


class ListenServer(SocketServer):
    """Hears `you` in any sound."""

    base: ClassVar[str] = "/v1"
    path: ClassVar[str] = "/v1/listen"

    def presented(self, request: Request) -> str | None:
        return request.headers.get("Authorization", "").removeprefix("Token ")

    def refused(self, status: int) -> object:
        codes = {401: "INVALID_AUTH", 429: "TOO_MANY_REQUESTS"}
        return {"err_code": codes.get(status, "ERROR"), "err_msg": "Invalid credentials.", "request_id": "r"}

    async def session(self, socket: ServerConnection) -> None:
        heard = 0
        while True:
            told = await self.hear(socket)
            if isinstance(told, bytes):
                heard += len(told)
                await self._say(socket, self._result(heard / BYTES_A_SECOND))
            elif told["type"] == "CloseStream":
                await self._say(socket, {"type": "Metadata", "duration": heard / BYTES_A_SECOND, **_METADATA})
                await socket.close(1000)
                return

    def _result(self, duration: float) -> dict[str, Any]:
        word = {"word": "you", "start": 0.0, "end": 0.1, "confidence": 0.9}
        return {
            "type": "Results",
            "channel_index": [0, 1],
            "duration": duration,
            "start": 0.0,
            "is_final": True,
            "speech_final": True,
            "channel": {"alternatives": [{"transcript": "you", "confidence": 0.9, "words": [word]}]},
            "metadata": {
                "request_id": "r",
                "model_uuid": "u",
                "model_info": {"name": "nova-3", "version": "1", "arch": "nova-3"},
            },
            "from_finalize": False,
        }

    async def _say(self, socket: ServerConnection, message: Any) -> None:
        await socket.send(json.dumps(message))


_METADATA = {
    "transaction_key": "deprecated",
    "request_id": "r",
    "sha256": "0" * 64,
    "created": "2026-01-01T00:00:00Z",
    "channels": 1,
}
