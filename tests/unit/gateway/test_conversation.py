"""The turns of one conversation have one key, those of another another."""

import json
from typing import Any

import pytest

from keycairn.app.gateway.conversation import LONG, conversation_key

SYSTEM = {"role": "system", "content": "Be brief."}
FIRST = {"role": "user", "content": "Hello"}
MORE = [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "And?"}]


def key(**body: Any) -> bytes:
    return conversation_key(json.dumps({"model": "m", **body}).encode())


@pytest.mark.parametrize(
    ("turn", "next_turn"),
    [
        ({"messages": [SYSTEM, FIRST]}, {"messages": [SYSTEM, FIRST, *MORE]}),
        ({"messages": [SYSTEM, FIRST], "stream": True}, {"messages": [SYSTEM, FIRST, *MORE], "temperature": 1}),
        ({"system": "s", "messages": [FIRST, *MORE]}, {"system": "s", "messages": [FIRST, MORE[0], *MORE]}),
        ({"instructions": "i", "input": [SYSTEM, FIRST]}, {"instructions": "i", "input": [SYSTEM, FIRST, *MORE]}),
        ({"prompt_cache_key": "k", "messages": [FIRST]}, {"prompt_cache_key": "k", "messages": [SYSTEM]}),
        ({"input": "Hello"}, {"input": "Hello", "stream": True}),
    ],
)
def test_the_next_turn_has_the_key_of_the_one_before(turn: dict[str, Any], next_turn: dict[str, Any]) -> None:
    assert key(**turn) == key(**next_turn)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"messages": [SYSTEM, FIRST]}, {"messages": [SYSTEM, {**FIRST, "content": "Bye"}]}),
        ({"messages": [SYSTEM, FIRST]}, {"messages": [{**SYSTEM, "content": "Be long."}, FIRST]}),
        ({"system": "s", "messages": [FIRST]}, {"system": "t", "messages": [FIRST]}),
        ({"prompt_cache_key": "k", "messages": [FIRST]}, {"prompt_cache_key": "l", "messages": [FIRST]}),
        ({"input": "Hello"}, {"input": "Bye"}),
    ],
)
def test_another_conversation_has_another_key(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert key(**one) != key(**other)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"messages": 5}', b'{"messages": []}', b"\xff", b"[" * 5000])
def test_any_body_has_a_key(body: bytes) -> None:
    assert len(conversation_key(body)) == 16


def test_a_long_body_is_known_by_how_it_begins() -> None:
    begun = b'{"messages": [' + b"x" * LONG
    assert conversation_key(begun + b"a") == conversation_key(begun + b"b")
    assert conversation_key(b"y" + begun) != conversation_key(begun)
