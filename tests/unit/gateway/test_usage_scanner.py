"""What a provider's answer tells of tokens is read to the token, in every dialect, however its bytes are cut."""

import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.app.gateway.usage_scanner import LARGEST_WHOLE, LONGEST_LINE, Counted, UsageScanner
from keycairn.domain.usage import MOST_ESTIMATED_INPUT, estimated_input, estimated_output

EVENTS = b"text/event-stream; charset=utf-8"
LINES = b"application/x-ndjson"
JSON = b"application/json"


def sse(*events: Any, end: bytes = b"\n\n", done: bool = True) -> bytes:
    texts = [json.dumps(event).encode() for event in events] + ([b"[DONE]"] if done else [])
    return b"".join(b"data: " + text + end for text in texts)


def named(*events: Any) -> bytes:
    """As Anthropic and OpenAI's responses name them."""
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def whole(answer: Any) -> bytes:
    return json.dumps(answer).encode()


def lines(*answers: Any) -> bytes:
    return b"".join(whole(answer) + b"\n" for answer in answers)


def word(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}], "usage": None}


OPENAI = {
    "prompt_tokens": 19,
    "completion_tokens": 21,
    "total_tokens": 40,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 10},
}
NONE_YET = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
RESPONSES = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 123,
}
ANTHROPIC = {
    "input_tokens": 3,
    "cache_creation_input_tokens": 5,
    "cache_read_input_tokens": 7,
    "output_tokens": 12,
    "server_tool_use": {"web_search_requests": 1},
}
GOOGLE = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 30,
    "toolUsePromptTokenCount": 2,
    "cachedContentTokenCount": 4,
    "totalTokenCount": 47,
}
COHERE = {"billed_units": {"input_tokens": 5, "output_tokens": 6}, "tokens": {"input_tokens": 71, "output_tokens": 8}}
OLLAMA = {"model": "llama3", "done": True, "total_duration": 5, "prompt_eval_count": 26, "eval_count": 298}
AMAZON = {"inputTokens": 30, "outputTokens": 628, "totalTokens": 658, "cacheReadInputTokens": 20}

TOLD = {
    "openai": (JSON, whole({"choices": [{"message": {"content": "Hi"}}], "usage": OPENAI}), (19, 21, 16)),
    "openai, streamed": (EVENTS, sse(word("Hi"), {"choices": [], "usage": OPENAI}), (19, 21, 16)),
    "openai, streamed with carriage returns": (
        EVENTS,
        sse(word("a"), {"choices": [], "usage": OPENAI}, end=b"\r\n\r\n"),
        (19, 21, 16),
    ),
    "openai, no space behind the colon": (
        EVENTS,
        sse({"choices": [], "usage": OPENAI}).replace(b"data: ", b"data:"),
        (19, 21, 16),
    ),
    "openai, in the last choice": (EVENTS, sse({**word("Hi"), "usage": OPENAI}), (19, 21, 16)),
    "openai, after every word": (
        EVENTS,
        sse(*({**word("a"), "usage": {**OPENAI, "completion_tokens": n}} for n in range(1, 22))),
        (19, 21, 16),
    ),
    "openai, no line end at the end": (
        EVENTS,
        sse(word("a"), {"choices": [], "usage": OPENAI}, done=False).rstrip(),
        (19, 21, 16),
    ),
    "openai, streamed as plain text": (b"text/plain", sse(word("Hi"), {"choices": [], "usage": OPENAI}), (19, 21, 16)),
    "openai, a comment first": (
        b"",
        b": keep-alive\n\n" + sse(word("Hi"), {"choices": [], "usage": OPENAI}),
        (19, 21, 16),
    ),
    "openai, spaced out": (
        JSON,
        b' \n { "usage"  :\n {"prompt_tokens" : 19 , "completion_tokens":21 } } ',
        (19, 21, 0),
    ),
    "openai, 3 KiB of details": (JSON, whole({"usage": {"notes": "x" * 3000, **OPENAI}}), (19, 21, 16)),
    "openai, numbers with a point": (
        JSON,
        whole({"usage": {"prompt_tokens": 26.0, "completion_tokens": 4.0}}),
        (26, 4, 0),
    ),
    "deepseek": (
        JSON,
        whole({"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 8}}),
        (9, 2, 8),
    ),
    "openrouter, with anthropic's names too": (
        JSON,
        whole({"usage": {"prompt_tokens": 9, "completion_tokens": 2, "cache_read_input_tokens": 8}}),
        (9, 2, 0),
    ),
    "responses": (JSON, whole({"object": "response", "usage": RESPONSES}), (36, 87, 4)),
    "responses, streamed": (
        EVENTS,
        named(
            {"type": "response.created", "response": {"usage": None}},
            {"type": "response.output_text.delta", "delta": "Hi"},
            {"type": "response.completed", "response": {"usage": RESPONSES, "metadata": {"note": "y" * 9000}}},
        ),
        (36, 87, 4),
    ),
    "responses, cut short by the provider": (
        EVENTS,
        named({"type": "response.incomplete", "response": {"usage": RESPONSES, "status": "incomplete"}}),
        (36, 87, 4),
    ),
    "anthropic": (
        JSON,
        whole({"type": "message", "content": [{"type": "text", "text": "Hi"}], "usage": ANTHROPIC}),
        (15, 12, 7),
    ),
    "anthropic, streamed": (
        EVENTS,
        named(
            {"type": "message_start", "message": {"usage": {**ANTHROPIC, "output_tokens": 1}}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 12}},
            {"type": "message_stop"},
        ),
        (15, 12, 7),
    ),
    "anthropic, tools searched, so that the input grew": (
        EVENTS,
        named(
            {"type": "message_start", "message": {"usage": {**ANTHROPIC, "output_tokens": 1}}},
            {"type": "message_delta", "usage": {**ANTHROPIC, "input_tokens": 103, "output_tokens": 12}},
        ),
        (115, 12, 7),
    ),
    "google": (JSON, whole({"candidates": [], "usageMetadata": GOOGLE}), (12, 35, 4)),
    "google, streamed": (
        EVENTS,
        sse(
            {"candidates": [{"content": {}}], "usageMetadata": {"promptTokenCount": 10}},
            {"candidates": [{"finishReason": "STOP"}], "usageMetadata": GOOGLE},
            done=False,
        ),
        (12, 35, 4),
    ),
    "google, streamed as a list": (
        JSON,
        whole([{"usageMetadata": {"promptTokenCount": 10}}, {"usageMetadata": GOOGLE}]),
        (12, 35, 4),
    ),
    "google, only thoughts": (
        JSON,
        whole({"usageMetadata": {"promptTokenCount": 1, "thoughtsTokenCount": 9}}),
        (1, 9, 0),
    ),
    "cohere, version 2": (JSON, whole({"message": {"content": []}, "usage": COHERE}), (71, 8, 0)),
    "cohere, version 2, streamed": (
        EVENTS,
        named(
            {"type": "content-delta", "delta": {}},
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE}},
        ),
        (71, 8, 0),
    ),
    "cohere, version 1": (JSON, whole({"text": "Hi", "meta": {"api_version": {}, **COHERE}}), (71, 8, 0)),
    "cohere, billed units only": (
        JSON,
        whole({"embeddings": [[0.1]], "meta": {"billed_units": {"input_tokens": 5}}}),
        (5, 0, 0),
    ),
    "cohere, version 1, streamed": (
        LINES,
        lines(
            {"event_type": "text-generation", "text": "Hi"},
            {"event_type": "stream-end", "response": {"text": "Hi", "meta": COHERE}},
        ),
        (71, 8, 0),
    ),
    "ollama": (JSON, whole({**OLLAMA, "message": {"role": "assistant", "content": "Hi"}}), (26, 298, 0)),
    "ollama, streamed": (LINES, lines({"message": {"content": "Hi"}, "done": False}, OLLAMA), (26, 298, 0)),
    "ollama, streamed and called JSON": (
        JSON,
        lines({"message": {"content": "Hi"}, "done": False}, OLLAMA),
        (26, 298, 0),
    ),
    "ollama, the prompt was in its cache": (
        LINES,
        lines({"done": True, "eval_count": 5, "prompt_eval_count": 0}),
        (0, 5, 0),
    ),
    "amazon's converse": (JSON, whole({"output": {}, "usage": AMAZON}), (50, 628, 20)),
    "voyage": (JSON, whole({"data": [], "usage": {"total_tokens": 10}}), (10, 0, 0)),
    "a transcription": (
        JSON,
        whole({"text": "hi", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 45}}),
        (14, 45, 0),
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_what_the_provider_tells_is_read_to_the_token(name: str) -> None:
    kind, body, told = TOLD[name]
    for size in (len(body), 1, 7, 64):
        scanner = UsageScanner(kind)
        for at in range(0, len(body), size):
            scanner.see(body[at : at + size])
        counted = scanner.counted(sent=400)
        assert (counted.input, counted.output, counted.cached) == told, f"in pieces of {size}"


@pytest.mark.parametrize("name", [name for name, (_, _, told) in TOLD.items() if told[1]])
def test_what_is_told_is_not_called_an_estimate(name: str) -> None:
    kind, body, _ = TOLD[name]
    scanner = UsageScanner(kind)
    scanner.see(body)
    assert not scanner.counted(sent=400, estimates=True).estimated


CONTENT = json.dumps({"usage": {"prompt_tokens": 1, "completion_tokens": 1}, "eval_count": 1, "meta": COHERE})


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"message": {"content": CONTENT}}], "usage": OPENAI},
        {"usage": OPENAI, "choices": [{"message": {"content": CONTENT}}]},
        {"usage": OPENAI, "choices": [{"message": {"tool_calls": [{"function": {"arguments": CONTENT}}]}}]},
        {"usage": OPENAI, "content": [{"type": "tool_use", "input": json.loads(CONTENT)}]},
        {"usage": OPENAI, "choices": [{"usage": {"prompt_tokens": 10**6, "completion_tokens": 10**6}}]},
    ],
)
def test_what_a_model_says_about_usage_is_not_its_usage(answer: Any) -> None:
    for kind, body in ((JSON, whole(answer)), (EVENTS, sse(answer))):
        scanner = UsageScanner(kind)
        scanner.see(body)
        counted = scanner.counted()
        assert (counted.input, counted.output) == (19, 21)


def test_a_long_answer_is_read_from_its_ends_in_little_memory() -> None:
    scanner = UsageScanner(JSON)
    scanner.see(b'{"data":[')
    for _ in range(5 * LARGEST_WHOLE // 4096):
        scanner.see(b"0.25," * 819)
    scanner.see(b'0],"usage":{"prompt_tokens":8,"total_tokens":8}}')
    assert sum(map(len, scanner._kept)) < 2 * LARGEST_WHOLE
    assert scanner.counted(sent=400, estimates=True, answers=False) == Counted(input=8)


def test_a_line_without_an_end_is_not_kept() -> None:
    scanner = UsageScanner(EVENTS)
    for _ in range(3):
        scanner.see(b"data: " + b"x" * LONGEST_LINE)
    assert len(scanner._line) <= LONGEST_LINE
    scanner.see(b"\n\n" + sse({"choices": [], "usage": OPENAI}))
    assert scanner.counted().output == 21


@pytest.mark.parametrize("kind", [JSON, EVENTS])
def test_what_only_looks_like_reports_in_a_long_answer_is_not_read_for_long(kind: bytes) -> None:
    scanner = UsageScanner(kind)
    scanner.see(b"data: " * (kind == EVENTS) + b"x" * LARGEST_WHOLE)
    scanner.see(b'"usage":{' * 8_000)
    begun = process_time()
    assert scanner.counted(sent=400, estimates=True).estimated
    assert process_time() - begun < 1


@pytest.mark.parametrize("kind", [JSON, EVENTS])
def test_an_answer_of_very_many_lines_is_read_at_once(kind: bytes) -> None:
    scanner = UsageScanner(kind)
    begun = process_time()
    scanner.see(b":\n" * (LARGEST_WHOLE // 4) + whole({"usage": OPENAI}) + b"\n" + b":\n" * (LARGEST_WHOLE // 8))
    assert scanner.counted(sent=400, estimates=True).input == 19
    assert process_time() - begun < 1


def test_the_report_at_the_end_of_a_long_event_is_read() -> None:
    """As the last event of a response repeats a picture that was drawn."""
    picture = {"type": "image_generation_call", "result": "A" * 2 * LONGEST_LINE}
    last = named({"type": "response.completed", "response": {"output": [picture], "usage": RESPONSES}})
    for size in (len(last), 70_000, 4_096):
        scanner = UsageScanner(EVENTS)
        for at in range(0, len(last), size):
            scanner.see(last[at : at + size])
        assert scanner.counted(sent=400, estimates=True) == Counted(input=36, output=87, cached=4)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\x00",
        b"data: {",
        b'{"usage": 5}',
        b'{"usage": {"prompt_tokens": -1, "completion_tokens": "9"}}',
        b'{"usage": {"prompt_tokens": true}}',
        b'{"usage": {"prompt_tokens": 1e300}}',
        b'{"usage": null, "meta": [], "message": "hi", "response": 3, "delta": {"usage": []}}',
        b'{"usage": {"tokens": {"tokens": {"tokens": 5}}}}',
        b"[" * 5000,
        b'data: {"usage":' + b"[" * 5000 + b"\n\n",
    ],
)
@pytest.mark.parametrize("kind", [JSON, EVENTS, LINES, b""])
def test_nonsense_counts_nothing_and_breaks_nothing(kind: bytes, body: bytes) -> None:
    scanner = UsageScanner(kind)
    scanner.see(body)
    counted = scanner.counted()
    assert (counted.input, counted.cached) == (0, 0)


class TestEstimates:
    def test_a_stream_that_tells_nothing_is_charged_and_marked(self) -> None:
        scanner = UsageScanner(EVENTS)
        scanner.see(sse(*(word("a") for _ in range(40)), done=False))
        counted = scanner.counted(sent=400, estimates=True)
        assert counted.estimated
        assert counted.input == 100
        assert 40 <= counted.output <= 60

    def test_a_stream_cut_short_is_charged_what_came(self) -> None:
        """Anthropic tells the input at the beginning, and of the output nothing but its first token."""
        scanner = UsageScanner(EVENTS)
        scanner.see(named({"type": "message_start", "message": {"usage": {**ANTHROPIC, "output_tokens": 1}}}))
        scanner.see(named(*({"type": "content_block_delta", "delta": {"text": "a"}} for _ in range(30))))
        counted = scanner.counted(sent=4_000, estimates=True)
        assert counted.estimated
        assert counted.input == 15
        assert counted.output >= 30

    @pytest.mark.parametrize(
        "first", [{"usage": NONE_YET}, {"type": "response.created", "response": {"usage": NONE_YET}}]
    )
    def test_a_report_of_nothing_before_the_text_is_not_the_last_word(self, first: Any) -> None:
        scanner = UsageScanner(EVENTS)
        scanner.see(sse(first, *(word("a") for _ in range(40)), done=False))
        counted = scanner.counted(sent=400, estimates=True)
        assert counted.estimated
        assert counted.output >= 40

    def test_the_text_in_long_events_is_charged_too(self) -> None:
        scanner = UsageScanner(EVENTS)
        scanner.see(sse({"candidates": [{"content": {"parts": [{"text": "word " * 800}]}}]}, done=False))
        assert 800 <= scanner.counted(estimates=True).output <= 1100

    def test_an_answer_cut_short_is_charged_what_came(self) -> None:
        scanner = UsageScanner(JSON)
        scanner.see(b'{"choices": [{"message": {"content": "' + b"word " * 800)
        counted = scanner.counted(sent=40, estimates=True)
        assert counted.estimated
        assert 800 <= counted.output <= 1100

    def test_a_native_answer_that_is_no_stream_is_charged_what_it_tells(self) -> None:
        scanner = UsageScanner(JSON)
        scanner.see(b'{"totalTokens": 31}')
        assert scanner.counted(sent=400) == Counted()

    def test_vectors_have_no_output_to_estimate(self) -> None:
        scanner = UsageScanner(JSON)
        scanner.see(b'{"data": [{"embedding": [0.1, 0.2]}]}')
        assert scanner.counted(sent=400, estimates=True, answers=False) == Counted(input=100, estimated=True)

    def test_a_picture_in_a_request_is_not_charged_by_its_bytes(self) -> None:
        assert estimated_input(8 * 2**20) == MOST_ESTIMATED_INPUT

    @given(st.integers(0, 2**40), st.integers(0, 2**30))
    def test_something_is_never_charged_nothing(self, received: int, events: int) -> None:
        assert estimated_output(received, events) >= min(received, 1)
        assert (estimated_input(received) > 0) == (received > 0)
