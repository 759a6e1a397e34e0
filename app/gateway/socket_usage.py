"""Reading what a provider tells of tokens in the messages of a session, turn by turn.

Sources: platform.openai.com/docs/api-reference/realtime-server-events (response.done, and
conversation.item.input_audio_transcription.completed); ai.google.dev/api/live (usageMetadata);
developers.deepgram.com/reference (Metadata of listen).
"""

from typing import Any

import msgspec
from msgspec import Struct

from keycairn.app.gateway.usage_scanner import Counted
from keycairn.domain.usage import BYTES_A_TOKEN, NOTHING_KNOWN, TokenCount, estimated_input, tokens_in

SOUND_A_TOKEN = 3200
"""Characters of base64 of a token of sound: OpenAI counts one for 50 ms, which are 2,400 bytes of pcm16 at 24 kHz."""


class _Part(Struct):
    text: Any = None
    inlineData: Any = None  # noqa: N815  # Google's spelling


class _Turn(Struct):
    parts: list[_Part] = []


class _Content(Struct):
    modelTurn: _Turn | None = None  # noqa: N815  # Google's spelling


class _Response(Struct):
    usage: Any = None


class _Event(Struct):
    type: Any = ""
    delta: Any = None
    usage: Any = None
    response: _Response | None = None
    usageMetadata: Any = None  # noqa: N815  # Google's spelling
    serverContent: _Content | None = None  # noqa: N815  # Google's spelling
    duration: Any = None


_event = msgspec.json.Decoder(_Event).decode


class SocketUsage:
    """Looks at the messages of one session. A turn whose tokens were not told is estimated, also where it was cut."""

    def __init__(self) -> None:
        self.sound: float | None = None
        """Seconds of sound that the provider says it heard, None where it says nothing."""
        self._said = self._sounded = 0
        self._open = False
        """Whether a turn is under way whose tokens were not told."""
        self._sent = self._input = 0

    def sent(self, size: int, *, text: bool) -> None:
        """So many bytes of a message that the client sent."""
        if text:
            self._sent += size

    def see(self, data: bytes) -> Counted | None:
        """What one message of the provider tells, or ends without telling; None for one that does neither."""
        if not data.startswith((b"{", b" ", b"\n", b"\t", b"\r")):
            return None
        try:
            event = _event(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None
        if event.usageMetadata is not None:
            return self._told(event.usageMetadata) or self._guessed()
        kind = event.type if isinstance(event.type, str) else ""
        if kind == "response.done":
            return self._told(event.response.usage if event.response else None) or self._guessed()
        if event.usage is not None:
            return self._told(event.usage, turn=False)
        self._note(kind, event)
        return None

    def rest(self) -> Counted | None:
        """What is charged for a turn that the end of the session cut off."""
        return self._guessed() if self._open else None

    def _note(self, kind: str, event: _Event) -> None:
        if kind == "Metadata" and isinstance(event.duration, int | float):
            self.sound = (self.sound or 0.0) + float(event.duration)
        elif kind == "response.created":
            self._open = True
        elif kind.startswith("response.") and isinstance(event.delta, str):
            self._open = True
            if kind.endswith("audio.delta"):
                self._sounded += len(event.delta)
            else:
                self._said += len(event.delta.encode())
        elif event.serverContent is not None and event.serverContent.modelTurn is not None:
            self._open = True
            for part in event.serverContent.modelTurn.parts:
                if isinstance(part.text, str):
                    self._said += len(part.text.encode())
                elif isinstance(part.inlineData, dict):
                    self._sounded += len(str(part.inlineData.get("data", "")))

    def _told(self, report: object, *, turn: bool = True) -> Counted | None:
        found: TokenCount = tokens_in(report) if isinstance(report, dict) else NOTHING_KNOWN
        if found == NOTHING_KNOWN:
            return None
        counted = Counted(input=found.input or 0, output=found.output or 0, cached=found.cached or 0)
        if turn:
            self._input = counted.input
            self._close()
        return counted

    def _guessed(self) -> Counted:
        """A turn by what came of it, on as much as went into the one before it or was written since."""
        output = -(-self._said // BYTES_A_TOKEN) + -(-self._sounded // SOUND_A_TOKEN)
        input = max(self._input, estimated_input(self._sent))
        self._close()
        return Counted(input=input, output=output, estimated=True)

    def _close(self) -> None:
        self._open = False
        self._said = self._sounded = self._sent = 0
