"""The gateway's way out: a guarded client that starts an exchange and streams both bodies."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct

from keycairn.domain.options import NO_OPTIONS, Options
from keycairn.domain.secret import Secret

Headers = Sequence[tuple[str, str]]
"""Names in lower case, in the order they came, repeated where they were."""


class UpstreamRequest(Struct, frozen=True, kw_only=True):
    """A request to start. `url` has been authorized; a header that carries a secret is a `Secret`.

    `body` is bytes, or chunks that are drawn as fast as the provider takes them. `length` is the number of bytes of
    such chunks where it is known; otherwise they go out chunked. `options` are those of the account that is called: its
    limits of time, in place of the general ones, and its authorities.
    """

    method: str
    url: str
    headers: Sequence[tuple[str, str | Secret]] = ()
    body: bytes | AsyncIterator[bytes] | None = None
    length: int | None = None
    options: Options = NO_OPTIONS

    def __repr__(self) -> str:
        origin = "/".join(self.url.split("/", 3)[:3])
        return f"UpstreamRequest({self.method} {origin}/..., headers={sorted(name for name, _ in self.headers)})"


class Chunks(Protocol):
    """What a body comes in: an asynchronous generator, or what is cheaper and as good."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Itself."""
        ...

    async def __anext__(self) -> bytes:
        """The next one."""
        ...

    async def aclose(self) -> None:
        """End it, whether it was drawn to its end or not. Repeatable."""
        ...


class UpstreamAnswer(Protocol):
    """An answer whose body has not been read. Its bytes are as the provider sent them, compressed ones too."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> Headers:
        """All headers."""
        ...

    async def beginning(self) -> bytes | None:
        """What there is of the body, without taking it: some of it, all where it is empty. None where that cannot be.

        Raises as `chunks`.
        """
        ...

    def chunks(self) -> Chunks:
        """The body as it comes, never empty chunks. What is not drawn is not read from the network.

        Raises CannotConnectError when the provider breaks off, GarbledAnswerError when it breaks HTTP.
        """
        ...

    def close(self) -> None:
        """End the exchange now. A connection with an unread body is cut, so that the provider stops. Repeatable."""
        ...


class Upstream(Protocol):
    """The guarded client. It judges every address before it connects, follows no redirect, reads no proxy settings."""

    async def start(self, request: UpstreamRequest, *, connect_within: float, answer_within: float) -> UpstreamAnswer:
        """The status and headers of the answer; both limits are in seconds, the second from the last byte connected.

        Raises EgressRefusedError before anything is sent to a forbidden destination; NotSentError when nothing was
        sent, so that repeating is safe; CannotConnectError, ProviderTimeoutError or GarbledAnswerError after that.
        Cancelling the call ends the exchange. An exception of the body's own iterator passes through unchanged.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection. The client can be used again after."""
        ...
