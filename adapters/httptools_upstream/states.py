"""What a connection can be in, what can happen to it, and what it is in then."""

from collections.abc import Mapping
from enum import IntEnum, auto


class ConnectionState(IntEnum):
    """Where a connection stands between a request and the end of its answer."""

    IDLE = auto()
    """An exchange may begin."""
    QUEUED = auto()
    """One has begun. Nothing of the request went out, so that repeating it is safe."""
    WAITING = auto()
    """The request is going out, or went. The head of the answer is to come."""
    INTERIM = auto()
    """The head of an interim answer (1xx) is there; its end is to come."""
    KEPT_BODY = auto()
    """The body comes, and the connection may be kept after its end."""
    LAST_BODY = auto()
    """The body comes, and the provider closes the connection after its end."""
    OPEN_BODY = auto()
    """The body comes, and ends where the provider closes the connection."""
    COMPLETE = auto()
    """The answer is all there, and the connection may be kept."""
    SPENT = auto()
    """The answer is all there, and the connection is good for no other."""
    CLOSED = auto()
    """Nothing may happen any more."""


class Event(IntEnum):
    """What happens to a connection."""

    BEGIN = auto()
    """An exchange begins."""
    SEND = auto()
    """The request, or its beginning, goes out."""
    INTERIM_HEAD = auto()
    """The head of an interim answer (1xx)."""
    KEPT_HEAD = auto()
    """The head of an answer after which the connection is kept. It says where its body ends."""
    LAST_HEAD = auto()
    """The head of an answer that says where its body ends, after which the connection is closed."""
    OPEN_HEAD = auto()
    """The head of an answer that ends where the connection is closed."""
    SOLE_HEAD = auto()
    """The head of an answer without the body it tells of: to HEAD. The parser goes on to wait for that body."""
    END = auto()
    """The end of an answer, interim ones too."""
    EXCESS = auto()
    """Bytes that belong to no answer: what is no HTTP, or another answer than the one that was asked for."""
    RELEASE = auto()
    """The exchange ends, and nothing of its request waits to be sent."""
    CUT = auto()
    """The exchange or the connection is ended, by either side."""


_TABLE: Mapping[ConnectionState, Mapping[Event, ConnectionState]] = {
    ConnectionState.IDLE: {Event.BEGIN: ConnectionState.QUEUED},
    ConnectionState.QUEUED: {Event.SEND: ConnectionState.WAITING},
    ConnectionState.WAITING: {
        Event.INTERIM_HEAD: ConnectionState.INTERIM,
        Event.KEPT_HEAD: ConnectionState.KEPT_BODY,
        Event.LAST_HEAD: ConnectionState.LAST_BODY,
        Event.OPEN_HEAD: ConnectionState.OPEN_BODY,
        Event.SOLE_HEAD: ConnectionState.SPENT,
    },
    ConnectionState.INTERIM: {Event.END: ConnectionState.WAITING},
    ConnectionState.KEPT_BODY: {Event.END: ConnectionState.COMPLETE},
    ConnectionState.LAST_BODY: {Event.END: ConnectionState.SPENT},
    ConnectionState.OPEN_BODY: {Event.END: ConnectionState.SPENT},
    ConnectionState.COMPLETE: {Event.EXCESS: ConnectionState.SPENT, Event.RELEASE: ConnectionState.IDLE},
    ConnectionState.SPENT: {Event.EXCESS: ConnectionState.SPENT, Event.END: ConnectionState.SPENT},
    ConnectionState.CLOSED: {},
}
_CLOSED = ConnectionState.CLOSED


def after(state: ConnectionState, event: Event) -> ConnectionState:
    """The state after an event. What is not foreseen closes the connection: nobody knows what would come next on it."""
    return _TABLE[state].get(event, _CLOSED)
