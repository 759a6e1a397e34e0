"""Where a secret shows: in texts that are printed, logged or raised, and in headers that are not marked as secret."""

from collections.abc import Iterable, Iterator, Mapping

from keycairn.ports.http import Request
from keycairn.testing.server import KEY
from keycairn.testing.staging import Stage


def shows_secret(stage: Stage, *things: object, hidden: Mapping[str, str] | None = None) -> bool:
    """Whether a text of `things` holds a secret: one of `hidden`, else of the case."""
    secrets = {one for one in (stage.case.secrets if hidden is None else hidden).values() if one.strip()} | {KEY}
    return any(secret in text for text in _texts(things) for secret in secrets)


def unmarked_headers(request: Request) -> list[str]:
    """The names of headers that hold the key in the open."""
    return [name for name, value in request.headers.items() if isinstance(value, str) and KEY in value]


def _texts(things: Iterable[object]) -> Iterator[str]:
    """What shows when `things` are printed, logged or raised."""
    for thing in things:
        yield repr(thing)
        if isinstance(thing, BaseException):
            yield str(thing)
            yield from _texts([thing.__cause__])
