"""No id of a provider passes in the events of an answer, however these are written."""

import json
from typing import Any, cast

import pytest

from keycairn.app.gateway.answer_edits import EventEdits
from keycairn.app.gateway.resource_ids import IdEdit

OWN, GIVEN = b"resp_own0123456789", b"resp_kc_given"
WHOLE = json.dumps({"type": "response.completed", "response": {"id": OWN.decode(), "object": "response"}}).encode()


class Sealing:
    """Seals by a word."""

    def sealed(self, id: bytes, credential: object, caller: object) -> bytes:
        return b"sealed-" + id[::-1]


def passed(stream: bytes, referred: dict[bytes, bytes] | None = None, size: int = 7) -> bytes:
    edits = EventEdits([IdEdit(cast("Any", Sealing()), cast("Any", "credential:1"), cast("Any", None), referred or {})])
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    return b"".join(edits.see(piece) for piece in pieces) + edits.rest()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("name", [b"", b"event: response.completed", b": ping"])
@pytest.mark.parametrize(
    "lines",
    [
        [b"data: " + WHOLE],
        [b"data:" + WHOLE],
        [b"data: {", *(b"data: " + line for line in json.dumps(json.loads(WHOLE), indent=1).encode().splitlines()[1:])],
    ],
    ids=["one line", "no space", "many lines"],
)
def test_the_id_of_an_event_is_sealed(end: bytes, name: bytes, lines: list[bytes]) -> None:
    stream = end.join([*filter(None, [name]), *lines, b"", b""])
    left = passed(stream + b"data: {}" + end + end)
    assert OWN not in left
    assert left.count(end) == stream.count(end) + 2


def test_an_error_in_a_stream_names_what_the_client_named() -> None:
    error = b'event: error\ndata: {"type":"error","error":{"message":"Response %b not found."}}\n\n' % OWN
    left = passed(error, {OWN: GIVEN})
    assert OWN not in left
    assert GIVEN in left


def test_a_short_id_is_no_word_of_a_sentence() -> None:
    event = b'data: {"id":"x","text":"file of a file"}\n\n'
    assert b"file of a file" in passed(event, {b"file": GIVEN})
