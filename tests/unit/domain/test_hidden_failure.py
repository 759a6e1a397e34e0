"""Failures that come with a good status."""

import json
from time import process_time

import pytest

from keycairn.domain.hidden_failure import error_json, hidden_failure, is_suspect, is_undecided, is_whole
from keycairn.domain.outcome import Outcome

OVERLOADED = (
    b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n'
)


def said(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (said({"error": {"code": 429, "message": "Provider returned error"}}), Outcome.RATE_LIMITED, 429),
        (said({"error": {"code": 402, "message": "Insufficient credits"}}), Outcome.QUOTA, 402),
        (said({"error": {"message": "m", "type": "invalid_request_error"}}), Outcome.BAD_REQUEST, 400),
        (said({"error": {"message": "m", "type": "server_error"}}), Outcome.PROVIDER_DOWN, 503),
        (said({"error": "Unexpected endpoint or method. (GET /models)"}), Outcome.NOT_FOUND, 404),
        (said({"id": "1", "error": {"message": "Incorrect API key provided"}}), Outcome.INVALID_AUTH, 401),
        (said({"error": {"message": "something"}}), Outcome.UNKNOWN, 502),
        (said({"error": {"code": 429}, "choices": []}), Outcome.RATE_LIMITED, 429),
        (said([{"error": {"code": 503, "status": "UNAVAILABLE"}}]), Outcome.PROVIDER_DOWN, 503),
        (said({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}), Outcome.INVALID_AUTH, 401),
        (said({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}), Outcome.QUOTA, 402),
        (said({"code": 500, "msg": "404 NOT_FOUND", "success": False}), Outcome.PROVIDER_DOWN, 500),
        (said({"object": "error", "message": "m", "type": "BadRequest", "code": 400}), Outcome.BAD_REQUEST, 400),
        (b"\xef\xbb\xbf" + said({"error": {"code": 429}}), Outcome.RATE_LIMITED, 429),
        (b'{"error": "model is loading", "code": 503}\n{"more": 1}', Outcome.PROVIDER_DOWN, 503),
        (OVERLOADED, Outcome.PROVIDER_DOWN, 503),
        (b'data: {"error": {"code": 429, "message": "m"}}\n\ndata: [DONE]\n\n', Outcome.RATE_LIMITED, 429),
        (b': keep alive\n\ndata: {"error": {"code": 402}}\r\n\r\n', Outcome.QUOTA, 402),
        (b"<!doctype html><title>Sign in</title>", Outcome.NOT_A_PROVIDER, 502),
        (b"\xef\xbb\xbf\r\n <HTML lang=en>", Outcome.NOT_A_PROVIDER, 502),
        (b'<?xml version="1.0"?><Error/>', Outcome.NOT_A_PROVIDER, 502),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_a_failure_is_one_whatever_its_status(body: bytes, kind: Outcome, status: int) -> None:
    failure = hidden_failure(200, (), body)
    assert failure is not None
    assert (failure.kind, failure.status) == (kind, status)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"RIFF sound",
        said({"choices": [{"message": {"content": '{"error": "x"}'}}]}),
        said({"id": "resp_1", "object": "response", "status": "failed", "error": {"code": "server_error"}}),
        said({"id": "resp_1", "object": "response", "error": None, "output": []}),
        said({"error": None, "choices": [1]}),
        said({"error": {"code": 429}, "choices": [{"delta": {"content": "cut"}}]}),
        said({"message": {"role": "assistant", "content": "Hi"}, "usage": {}}),
        said({"code": 0, "msg": "success", "data": [1]}),
        said({"status": "pulling manifest"}),
        said({"base_resp": {"status_code": 0, "status_msg": ""}, "choices": [1]}),
        said({"detail": "of a transcription", "text": "Hello"}),
        b'data: {"id": "1", "choices": [{"delta": {"content": "error"}}]}\n\n',
        b'event: message_start\ndata: {"type": "message_start", "message": {}}\n\n',
        b'{"error": {"cut off',
        b"<speak>Hello</speak>",
        b"null",
        b"[]",
    ],
    ids=lambda body: repr(body)[:40],
)
def test_what_is_good_is_left_alone(body: bytes) -> None:
    assert hidden_failure(200, (), body) is None


@pytest.mark.parametrize("cut", [1, 20, 40, len(OVERLOADED) - 1])
def test_an_event_is_judged_when_it_is_whole(cut: int) -> None:
    assert not is_whole(OVERLOADED[:cut])
    assert is_whole(OVERLOADED)


@pytest.mark.parametrize("piece", [b" ", b"\n", b":\n", b": \n ", b"\r\n", b"{ ", b"data: ", b"<!---->"])
def test_an_answer_that_begins_with_much_of_nothing_is_judged_at_once(piece: bytes) -> None:
    first = piece * (60_000 // len(piece)) + b"x"
    begun = process_time()
    is_suspect(first)
    is_whole(first)
    assert hidden_failure(200, (), first) is None
    assert process_time() - begun < 1


@pytest.mark.parametrize("first", [b"x", b"RIFF", b"data: {}\n\n", b": alive\n\n", b"He", b'{"id": "1", "choices'])
def test_what_can_be_no_failure_any_more_waits_for_nothing(first: bytes) -> None:
    assert not is_undecided(first)


@pytest.mark.parametrize(
    "first", [b"", b" ", b"{", b'{"err', b"<", b"ev", b"event: er", b"d", b"data: {", b"[", b"\xef\xbb"]
)
def test_what_may_become_a_failure_waits_for_a_few_bytes(first: bytes) -> None:
    assert is_undecided(first)


def test_of_an_event_stream_the_error_alone_is_told() -> None:
    assert json.loads(error_json(OVERLOADED))["error"]["message"] == "Overloaded"


@pytest.mark.parametrize(
    "first",
    [
        b'{"id":"chatcmpl-1","object":"chat.completion","choices":[{"message":{"content":"' + b"x" * 60_000,
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[]}\n\n',
        b'event: response.created\ndata: {"response": {"error": null}}\n\n',
    ],
    ids=["chat", "stream", "response"],
)
def test_ordinary_answers_are_not_read_any_further(first: bytes) -> None:
    assert not is_suspect(first)
