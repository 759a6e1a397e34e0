"""What a connection can be in, what can happen to it, and what it is in then."""

from collections.abc import Mapping
from enum import IntEnum, auto


class State(IntEnum):
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


_TABLE: Mapping[State, Mapping[Event, State]] = {
    State.IDLE: {Event.BEGIN: State.QUEUED},
    State.QUEUED: {Event.SEND: State.WAITING},
    State.WAITING: {
        Event.INTERIM_HEAD: State.INTERIM,
        Event.KEPT_HEAD: State.KEPT_BODY,
        Event.LAST_HEAD: State.LAST_BODY,
        Event.OPEN_HEAD: State.OPEN_BODY,
        Event.SOLE_HEAD: State.SPENT,
    },
    State.INTERIM: {Event.END: State.WAITING},
    State.KEPT_BODY: {Event.END: State.COMPLETE},
    State.LAST_BODY: {Event.END: State.SPENT},
    State.OPEN_BODY: {Event.END: State.SPENT},
    State.COMPLETE: {Event.EXCESS: State.SPENT, Event.RELEASE: State.IDLE},
    State.SPENT: {Event.EXCESS: State.SPENT, Event.END: State.SPENT},
    State.CLOSED: {},
}
_CLOSED = State.CLOSED


def after(state: State, event: Event) -> State:
    """The state after an event. What is not foreseen closes the connection: nobody knows what would come next on it."""
    return _TABLE[state].get(event, _CLOSED)
