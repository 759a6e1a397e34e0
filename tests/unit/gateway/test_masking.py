"""Secrets of a call in what its client receives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.app.gateway.masking import ContentMask, masked, texts, with_sent
from keycairn.domain.secret import Secret

KEY = "sk-canary-sk-canary-0123456789/ab"


def passed(parts: list[bytes], *secrets: str) -> bytes:
    mask = ContentMask(texts(map(Secret, secrets)))
    return b"".join([*map(mask.see, parts), mask.rest()])


@given(st.data())
def test_a_secret_is_masked_wherever_the_chunks_meet_and_the_length_stays(data: st.DataObject) -> None:
    pieces = st.sampled_from([KEY, KEY[:12], KEY.replace("/", "\\/"), "sk-", "s", "text", "\n\n", "}"])
    whole = "".join(data.draw(st.lists(pieces, max_size=8))).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    parts = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    after = passed(parts, KEY)

    assert len(after) == len(whole)
    assert KEY.encode() not in after
    assert KEY.replace("/", "\\/").encode() not in after
    if KEY.encode() not in whole and b"\\/ab" not in whole:
        assert after == whole


def test_only_what_may_be_the_beginning_of_a_secret_waits() -> None:
    mask = ContentMask([KEY])

    assert mask.see(b'data: {"a": 1}\n\n') == b'data: {"a": 1}\n\n'
    assert mask.see(b"task") == b"ta"
    assert mask.see(b"s") == b"sk"
    assert mask.rest() == b"s"


@pytest.mark.parametrize("key", ["ollama", "sk-no-key-required", ""])
def test_a_key_that_is_a_word_stays_in_content(key: str) -> None:
    assert passed([f"I run on {key}.".encode()], key) == f"I run on {key}.".encode()


def test_a_word_is_masked_in_an_error() -> None:
    assert masked(b"no such key: ollama", texts([Secret("ollama")])) == b"no such key: ********"


def test_a_token_made_for_the_call_is_a_secret_of_it() -> None:
    known = texts([Secret(KEY)])

    assert with_sent(known, [Secret(f"Bearer {KEY}"), "application/json"]) is known
    minted = with_sent(known, [Secret("Bearer ya29.minted-for-this-call-only")])
    assert sorted(minted) == sorted([KEY, "ya29.minted-for-this-call-only"])
