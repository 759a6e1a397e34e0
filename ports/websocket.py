"""The gateway's way out for websockets: a guarded client that opens a connection and passes whole messages."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from keycairn.ports.upstream import UpstreamAnswer, UpstreamRequest

SWITCHING = 101
"""The status of an answer that is an open websocket."""


class Message(Struct, frozen=True):
    """One message, however many frames it came in. `text`: it is declared as text, and is UTF-8."""

    data: bytes
    text: bool = True


class Close(Struct, frozen=True):
    """How a connection ended: code and reason as in RFC 6455, 7.4. 1005 is an end without a code, 1006 a loss."""

    code: int
    reason: str = ""


class UpstreamSocket(UpstreamAnswer, Protocol):
    """An open connection: an answer whose status is 101, without a body."""

    @property
    def subprotocol(self) -> str:
        """The one that the provider chose, "" for none."""
        ...

    async def receive(self) -> Message | Close:
        """The next message, or how the connection ended; after that the same end again. Raises nothing.

        What is not drawn is not read from the network, but for one message and a few frames. Pings are answered. A
        message that is too large, or no UTF-8 though it is text, ends the connection with 1009 or 1007.
        """
        ...

    async def send(self, message: Message) -> None:
        """Send it, as fast as the provider takes it. What can no longer be sent is dropped; `receive` tells the end."""
        ...

    async def end(self, close: Close) -> None:
        """Close with that code and reason, and wait a few seconds for the provider's own. Repeatable."""
        ...


class Websockets(Protocol):
    """The guarded client. It judges every address before it connects, as `Upstream` does, and offers no extension."""

    async def open(
        self, request: UpstreamRequest, subprotocols: Sequence[str], *, connect_within: float, answer_within: float
    ) -> UpstreamAnswer | UpstreamSocket:
        """A socket where the provider agreed, with status 101; else its refusal, an answer with another status.

        `request.url` is http or https. Both limits are in seconds, the second for the handshake. Raises as
        `Upstream.start`; GarbledAnswerError also for an answer that is neither an agreement nor a refusal.
        """
        ...
