"""Keeping the secrets of a session out of the messages that its provider sends."""

import asyncio

from keycairn.app.gateway.masking import ContentMask, is_text, starred
from keycairn.domain.redaction import Redactor
from keycairn.ports.websocket import Close, Message

SLICE = 2**16
"""Bytes of a message that are looked through at a time; between two slices, others are served."""
OVERLAP = 512
"""Bytes of the next slice that are looked at with one, for a secret that lies across both."""


class SocketMask:
    """Masks secrets by as many stars, as in answers over HTTP. `see` one message after the other."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._text = ContentMask(redactor)

    async def see(self, message: Message) -> Message:
        """The message for the client. Text may stand in binary messages, too; sound is looked through as it is."""
        if not self._redactor:
            return message
        data = message.data
        if message.text or is_text(data):
            return Message(await self._masked(data), message.text)
        for begin in range(0, len(data), SLICE):
            piece = data[begin : begin + SLICE + OVERLAP]
            if self._redactor.within(piece, depth=0):
                piece = starred(piece, self._redactor.spans(piece, depth=0))
                data = data[:begin] + piece + data[begin + len(piece) :]
            if begin + SLICE < len(data):
                await asyncio.sleep(0)
        return Message(data, message.text)

    def end(self, close: Close) -> Close:
        """The same of an end: its reason may repeat a key."""
        reason = close.reason.encode()
        spans = self._redactor.spans(reason)
        return Close(close.code, starred(reason, spans).decode("utf-8", "replace")) if spans else close

    async def _masked(self, data: bytes) -> bytes:
        if len(data) <= SLICE:
            return self._text.see(data, last=True)
        shown: list[bytes] = []
        for begin in range(0, len(data), SLICE):
            last = begin + SLICE >= len(data)
            shown.append(self._text.see(data[begin : begin + SLICE], last=last))
            await asyncio.sleep(0)
        return b"".join(shown)
