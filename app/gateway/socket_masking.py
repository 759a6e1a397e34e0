"""Keeping the secrets of a session out of the messages that its provider sends."""

import asyncio

from keycairn.app.gateway.masking import SLICE, ContentMask, is_text, without_secrets
from keycairn.domain.redaction import Redactor
from keycairn.ports.websocket import Close, Message

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
            return Message(await self._text.see_long(data, last=True), message.text)
        for begin in range(0, len(data), SLICE):
            piece = data[begin : begin + SLICE + OVERLAP]
            if self._redactor.within(piece, depth=0):
                piece = without_secrets(piece, self._redactor, depth=0)
                data = data[:begin] + piece + data[begin + len(piece) :]
            if begin + SLICE < len(data):
                await asyncio.sleep(0)
        return Message(data, message.text)

    def end(self, close: Close) -> Close:
        """The same of an end: its reason may repeat a key."""
        reason = close.reason.encode()
        if not self._redactor.within(reason):
            return close
        return Close(close.code, without_secrets(reason, self._redactor).decode("utf-8", "replace"))
