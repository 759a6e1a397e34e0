"""A stream is asked for its usage where its client did not ask, and passes as if it had not been."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bodies import arriving, in_pieces

from keycairn.app.gateway.answer_edits import LONGEST_EVENT, EventEdits
from keycairn.app.gateway.naming import READ_AT_ONCE, named_json
from keycairn.app.gateway.stream_usage import UsageEdit

WORD = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null}'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":8,"completion_tokens":2}}'
SPACED = b'data: {"choices": [ ], "usage": {"prompt_tokens": 8, "completion_tokens": 2}}'
FILTERED = b'data: {"choices":[],"prompt_filter_results":[],"usage":null}'
HIDING = b'data: {"choices":[{"delta":{"content":"a"}}], "usage": null ,"obfuscation":"x"}'
QUOTING = b'data: {"choices":[{"delta":{"content":"\\"choices\\":[],\\"usage\\":{}"}}],"usage":null}'
DONE = b"data: [DONE]"
PAD = {"messages": [{"role": "user", "content": "x" * READ_AT_ONCE}]}


def unasked(event: bytes) -> bytes:
    """The event as it would be if nobody had asked."""
    return event.replace(b',"usage":null', b"")


def passed(pieces: Sequence[bytes]) -> bytes:
    edits = EventEdits([UsageEdit()])
    return b"".join(edits.see(piece) for piece in pieces) + edits.rest()


@given(
    st.lists(st.sampled_from([WORD, USAGE, SPACED, FILTERED, QUOTING, b": ping", DONE]), max_size=8),
    st.sampled_from([b"\n\n", b"\r\n\r\n"]),
    st.lists(st.integers(1, 90), max_size=9),
)
def test_only_the_events_that_tell_the_usage_are_taken_out(events: list[bytes], end: bytes, sizes: list[int]) -> None:
    stream = b"".join(event + end for event in events)
    left = b"".join(unasked(event) + end for event in events if event not in {USAGE, SPACED})
    assert passed(in_pieces(stream, sizes)) == left


@pytest.mark.parametrize("rest", [b"", WORD, b"data: {", b"\xff"])
def test_what_comes_behind_the_last_event_is_passed_on(rest: bytes) -> None:
    assert passed([WORD + b"\n\n" + rest]) == unasked(WORD) + b"\n\n" + unasked(rest)


def test_a_stream_that_ends_in_its_usage_ends_without_it() -> None:
    assert passed([WORD + b"\n\n", USAGE]) == unasked(WORD) + b"\n\n"


def test_an_event_passes_on_as_soon_as_it_is_whole() -> None:
    edits = EventEdits([UsageEdit()])
    assert edits.see(WORD + b"\n\n" + WORD[:20]) == unasked(WORD) + b"\n\n"
    assert edits.see(WORD[20:] + b"\n\n") == unasked(WORD) + b"\n\n"


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 2 * LONGEST_EVENT), max_size=6), st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r"]))
def test_an_event_as_long_as_a_picture_passes_on_as_it_comes(sizes: list[int], end: bytes) -> None:
    picture = b"data: " + b"x" * (2 * LONGEST_EVENT)
    stream = [WORD, picture, USAGE, picture, USAGE, WORD]
    left = b"".join(unasked(event) + end for event in stream if event is not USAGE)
    assert passed(in_pieces(b"".join(event + end for event in stream), sizes)) == left


def test_an_event_without_an_end_is_not_held_for_ever() -> None:
    edits = EventEdits([UsageEdit()])
    long = b"data: " + b"x" * LONGEST_EVENT
    assert edits.see(long) + edits.see(b"y") == long + b"y"


@pytest.mark.parametrize(
    ("event", "left"),
    [
        (HIDING, b'data: {"choices":[{"delta":{"content":"a"}}] ,"obfuscation":"x"}'),
        (b'data: {"choices":[{"text":",\\"usage\\":null}"}]}', None),
        (b'data: {"choices":[{}],"usage":nullish}', None),
        (b'data: {"choices":[{}],"usage":{"total_tokens":1}}', None),
        (b'data: {"choices":[{}],"cousage":null}', None),
    ],
)
def test_only_the_member_that_was_asked_for_is_taken_out_of_an_event(event: bytes, left: bytes | None) -> None:
    assert passed([event + b"\n\n"]) == (event if left is None else left) + b"\n\n"


class Renaming:
    """Puts an id in the place of another one, as whole text or not."""

    marks = (b"own",)

    def __call__(self, text: bytes) -> bytes:
        return text.replace(b"own", b"ours")


@pytest.mark.parametrize("size", [4_096, 70_000, 3 * LONGEST_EVENT])
def test_of_an_event_that_is_too_long_to_be_held_the_beginning_is_edited(size: int) -> None:
    """As the last one of a response repeats its id, and behind that a picture that was drawn."""
    stream = b'data: {"id":"own","output":"' + b"x" * (2 * LONGEST_EVENT) + b'"}\n\n'
    edits = EventEdits([Renaming()])
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert b"".join(edits.see(piece) for piece in pieces) + edits.rest() == stream.replace(b"own", b"ours")


@pytest.mark.parametrize("more", [{}, PAD], ids=["short", "long"])
class TestAsking:
    @pytest.mark.parametrize("order", [("model", "stream"), ("stream", "model")])
    async def test_a_stream_that_does_not_ask_comes_to_ask(self, more: dict[str, object], order: Sequence[str]) -> None:
        body = {name: {"model": "m", "stream": True}[name] for name in order} | more
        named = await named_json(arriving(json.dumps(body).encode()))
        assert named.silent
        changed = json.loads((await named.renamed("n", ask_usage=True)).beginning)
        assert changed == {**body, "model": "n", "stream_options": {"include_usage": True}}
        assert json.loads((await named.renamed("m")).beginning) == body

    @pytest.mark.parametrize("before", [True, False], ids=["before the model", "behind it"])
    @pytest.mark.parametrize(
        "options",
        [
            {"include_usage": False},
            {},
            None,
            {"include_usage": None},
            {"include_usage": "true"},
            {"include_obfuscation": False, "include_usage": False},
            {"\u00fc": '}"', "deep": {"stream_options": {}}},
        ],
    )
    async def test_a_stream_whose_usage_is_turned_off_asks_all_the_same(
        self, more: dict[str, object], options: dict[str, object] | None, *, before: bool
    ) -> None:
        said: dict[str, object] = {"stream": True, "stream_options": options}
        members = {**said, "model": "m"} if before else {"model": "m", **said}
        nested = {"nested": {"stream_options": {"include_usage": True}}}
        written = json.dumps({**nested, **members, **more}, ensure_ascii=False).encode()
        named = await named_json(arriving(*in_pieces(written, [50_000])))
        assert named.silent
        for new, asks in (("n", True), ("longer/name", True), ("n", False), ("x", True), ("m", False)):
            sent = (await named.renamed(new, ask_usage=asks)).beginning
            asked = {**(options or {}), "include_usage": True} if asks else options
            assert json.loads(sent) == {**nested, **members, **more, "model": new, "stream_options": asked}
        assert sent == written

    @pytest.mark.parametrize(
        "said",
        [
            {},
            {"stream": False},
            {"stream": None},
            {"stream": 1},
            {"stream": "true"},
            {"stream": {"stream": True}},
            {"stream": [True]},
            {"nested": {"stream": True}},
            {"nested": [{"stream": True}]},
            {"text": '"stream": true'},
            {"stream": True, "stream_options": {"include_usage": True}},
            {"stream": True, "stream_options": {"include_usage": True, "more": {"a": [1]}}},
            {"stream": True, "stream_options": "none"},
            {"stream": False, "stream_options": {"include_usage": False}},
            {"stream_options": {"include_usage": False}},
        ],
    )
    async def test_any_other_body_stays_as_it_is(self, more: dict[str, object], said: dict[str, object]) -> None:
        body = json.dumps({"model": "m", **said, **more}).encode()
        named = await named_json(arriving(*in_pieces(body, [50_000])))
        assert not named.silent
        assert (await named.renamed("m", ask_usage=True)).beginning == body
