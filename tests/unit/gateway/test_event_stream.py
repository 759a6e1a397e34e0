"""Amazon's event streams are read however their bytes are cut, and what is none harms nobody."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.servers.bedrock_api import frame

from keycairn.app.gateway.event_stream import KIND, LARGEST_FRAME, EventFrames, unwrapped
from keycairn.app.gateway.usage_scanner import UsageScanner

USAGE = {"usage": {"inputTokens": 9, "outputTokens": 3, "cacheReadInputTokens": 4}}
STREAM = frame("messageStart", {"role": "assistant"}) + frame("x", {"delta": "y" * 300}) + frame("metadata", USAGE)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_frames_are_found_wherever_the_stream_is_cut(sizes: list[int]) -> None:
    frames, found, at = EventFrames(), list[bytes](), 0
    for size in [*sizes, len(STREAM)]:
        found += frames.see(STREAM[at : at + size])
        at += size
    assert [json.loads(one) for one in found] == [{"role": "assistant"}, {"delta": "y" * 300}, USAGE]


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_the_usage_in_a_stream_is_counted(size: int) -> None:
    scanner = UsageScanner(KIND)
    for at in range(0, len(STREAM), size):
        scanner.see(STREAM[at : at + size])
    counted = scanner.counted(sent=100, estimates=True)
    assert (counted.input, counted.output, counted.cached, counted.estimated) == (13, 3, 4, False)


@given(st.binary(max_size=400))
def test_what_is_no_such_stream_gives_no_error(data: bytes) -> None:
    frames = EventFrames()
    for piece in (data[:13], data[13:], data):
        for payload in frames.see(piece):
            unwrapped(payload)
    scanner = UsageScanner(KIND)
    scanner.see(data)
    scanner.counted(sent=1, estimates=True)


def test_a_frame_that_is_too_long_is_passed_over_and_the_next_is_read() -> None:
    frames = EventFrames()
    assert list(frames.see((LARGEST_FRAME + 100).to_bytes(4) + b"\0" * 8)) == []
    for _ in range(LARGEST_FRAME // 1024):
        assert list(frames.see(b"\0" * 1024)) == []
    found = list(frames.see(b"\0" * (100 - 12) + STREAM))
    assert len(found) == 3


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'{"bytes":"%%"}', b'{"bytes":7}', b"\xff", b"[" * 5000])
def test_a_payload_that_wraps_nothing_is_itself(payload: bytes) -> None:
    assert unwrapped(payload) == payload
