"""The body of a batch of messages, whose requests each name a model. Source: docs.anthropic.com, Message Batches."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from keycairn.app.gateway.naming import json_model
from keycairn.app.gateway.outgoing import Outgoing, WholeBody
from keycairn.app.gateway.request_body import Incoming
from keycairn.app.gateway.resource_ids import sealed_in
from keycairn.domain.errors import RequestRefusedError

MOST_AT_ONCE = 100
"""Requests that are read before others are served."""
_SHAPE = 'A batch is {"requests": [{"custom_id": ..., "params": {"model": ..., ...}}, ...]}, and nothing else.'


class _Request(Struct, forbid_unknown_fields=True):
    params: Raw
    custom_id: Raw


class _Batch(Struct, forbid_unknown_fields=True):
    requests: list[_Request]


_decode = msgspec.json.Decoder(_Batch).decode


class MessageBatch:
    """A batch of requests of one model. `name` is the client's for it; `references` are the sealed ids in the body."""

    repeatable = True

    def __init__(self, body: bytes, name: str, places: Sequence[tuple[int, int]]) -> None:
        self.name = name
        self._body = body
        self._places = list(places)
        self._ids = list(sealed_in(body))
        self.references: list[bytes] = [body[begin:end] for begin, end in self._ids]
        self._own: dict[tuple[int, int], bytes] = {}

    def refer_to(self, ids: Sequence[str]) -> None:
        """Put `ids` in the places of the `references`."""
        self._own = {place: id.encode() for place, id in zip(self._ids, ids, strict=True)}

    async def renamed(self, new: str, *, ask_usage: bool = False) -> Outgoing:  # noqa: ARG002  # as the others are called
        """The body with `new` for the model of every request."""
        written = msgspec.json.encode(new)
        changes = {**self._own, **dict.fromkeys(self._places, written)}
        pieces: list[bytes] = []
        at = 0
        for begin, end in sorted(changes):
            pieces += [self._body[at:begin], changes[begin, end]]
            at = end
        return WholeBody(b"".join([*pieces, self._body[at:]]))


async def message_batch(incoming: Incoming) -> MessageBatch:
    """The batch that comes. Raises RequestRefusedError, or as `Incoming.read`."""
    body = await incoming.read()
    try:
        requests = _decode(body).requests
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise RequestRefusedError(_SHAPE) from None
    names: set[str] = set()
    places: list[tuple[int, int]] = []
    at = 0
    for number, one in enumerate(requests):
        params = bytes(one.params)
        named = json_model(params)
        at = body.index(params, at)  # its quotation marks are escaped wherever it stands within a text
        places.append((at + named.place[0], at + named.place[1]))
        at += len(params)
        names.add(named.name)
        if number % MOST_AT_ONCE == MOST_AT_ONCE - 1:
            await incoming.intake.pause()
    if len(names) != 1:
        raise RequestRefusedError("All requests of a batch name the same model. Make a batch for each.")
    return MessageBatch(body, names.pop(), places)
