"""Secrets of a call in what its client receives."""

import base64
import json
import textwrap
from collections.abc import Callable, Mapping

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.nights import by_day
from tests.spelled import SECRETS, SPELLINGS, recoverable, spelled, telling

from keycairn.app.gateway.masking import ContentMask, is_packed, is_text
from keycairn.domain.redaction import Redactor
from keycairn.domain.secret import Secret

KEY = "sk-canary-sk-canary-0123456789/ab"
LONG = "sk-canary-0f9A7c2E81b6D05x4411"
LONG_KNOWN = Redactor([LONG])
COMMON: Mapping[str, Callable[[str], str]] = {
    "Basic": lambda text: base64.b64encode(f"x:{text}".encode()).decode(),
    "a token": lambda text: base64.urlsafe_b64encode(json.dumps({"sub": text}).encode()).decode().rstrip("="),
    "base64 in lines": lambda text: "\\n".join(textwrap.wrap(base64.b64encode(text.encode()).decode(), 16)),
}


def passed(parts: list[bytes], *secrets: str) -> bytes:
    mask = ContentMask(Redactor(map(Secret, secrets)))
    return b"".join([*map(mask.see, parts), mask.rest()])


def cut(data: st.DataObject, whole: bytes) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


@given(st.data())
def test_a_secret_is_masked_wherever_the_chunks_meet_and_the_length_stays(data: st.DataObject) -> None:
    pieces = st.sampled_from([KEY, KEY[:12], KEY.replace("/", "\\/"), "sk-", "s", "text", "\n\n", "}"])
    whole = "".join(data.draw(st.lists(pieces, max_size=8))).encode()

    after = passed(cut(data, whole), KEY)

    assert len(after) == len(whole)
    assert KEY.encode() not in after
    assert KEY.replace("/", "\\/").encode() not in after
    if KEY.encode() not in whole and b"\\/ab" not in whole:
        assert after == whole


@settings(max_examples=80, deadline=None)
@given(st.data(), SECRETS)
def test_no_spelling_of_a_secret_can_be_recovered_wherever_the_chunks_meet(data: st.DataObject, secret: str) -> None:
    said = json.dumps({"id": "chatcmpl-9f8Q", "content": "Your key is "})[:-2]
    whole = f"{said}{data.draw(spelled(secret))} and that is all." + '"}\n\n'

    after = passed(cut(data, whole.encode()), secret)

    assert len(after) == len(whole.encode())
    assert not recoverable(secret, after.decode("utf-8", "replace"))


@settings(max_examples=80, deadline=None)
@given(st.data(), st.text(max_size=200), SECRETS)
def test_what_holds_no_secret_passes_byte_for_byte(data: st.DataObject, text: str, secret: str) -> None:
    for said in (text, json.dumps({"content": text})):
        assume(not telling(secret, said))
        whole = said.encode("utf-8", "surrogatepass")
        assert passed(cut(data, whole), secret) == whole


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_masked_in_an_event_that_comes_byte_by_byte(spelling: str) -> None:
    event = f'data: {{"content": "{SPELLINGS[spelling](KEY)}"}}\n\n'.encode()

    after = passed([event[place : place + 1] for place in range(len(event))], KEY)

    assert not recoverable(KEY, after.decode("utf-8", "replace"))
    assert SPELLINGS[spelling](KEY).encode() not in after
    assert (after[:18], after[-4:], len(after)) == (event[:18], event[-4:], len(event))


def shown(parts: list[bytes], spelling: slice) -> int:
    """How many letters and digits of what stands in `spelling` are passed on."""
    mask = ContentMask(LONG_KNOWN)
    said, out = b"".join(parts), b"".join([*map(mask.see, parts), mask.rest()])
    return sum(one == other and chr(one).isalnum() for one, other in zip(said[spelling], out[spelling], strict=True))


@pytest.mark.parametrize("name", by_day([*SPELLINGS, *COMMON], one_in=12))
def test_a_spelling_in_two_chunks_shows_no_more_than_in_one(name: str) -> None:
    """But for seven characters, which may begin anything and do not wait."""
    head, said = b'{"choices":[{"message":{"content":"It is ', {**SPELLINGS, **COMMON}[name](LONG).encode()
    whole = head + said + b' for you"}}]}'
    spelling = slice(len(head), len(head) + len(said))
    in_one = shown([whole], spelling)
    worst = max((shown([whole[:at], whole[at:]], spelling), at) for at in range(len(head) + 1, spelling.stop))

    assert worst[0] <= in_one + 7, worst


def test_the_rest_of_a_run_that_comes_byte_by_byte_is_masked_to_its_end() -> None:
    run = base64.b64encode(base64.b64encode(f"x:{LONG} and no more".encode()))
    parts = [b'{"content":"It is ', *(bytes((one,)) for one in run), b' for you"}']

    assert passed(parts, LONG).count(b"*") >= len(run) - 7
    assert passed(parts, LONG).endswith(b' for you"}')


def test_a_key_that_goes_on_behind_a_finished_line_is_masked() -> None:
    for place in range(1, len(KEY)):
        after = passed([f"{KEY[:place]}\n".encode(), f"{KEY[place:]}\n".encode()], KEY)
        assert b"0123456789/ab" not in after
        assert not recoverable(KEY, after.decode())


@pytest.mark.parametrize("between", ['"}\n\ndata: {"content":"', "\ndata: ", '", "more": "', "]]><![CDATA["])
def test_of_a_key_in_two_parts_at_least_half_is_masked(between: str) -> None:
    for place in range(1, len(LONG)):
        parts = [f'data: {{"content":"{LONG[:place]}{between}'.encode(), f'{LONG[place:]}"}}\n\n'.encode()]
        after = passed(parts, LONG).decode()
        assert after.count("*") >= 12, after


def test_finished_events_do_not_wait_and_others_only_with_what_may_be_a_secret() -> None:
    mask = ContentMask(Redactor([KEY]))

    assert mask.see(b'data: {"a": 1}\n\n') == b'data: {"a": 1}\n\n'
    assert mask.see(b'data: {"sk": null}\n\n') == b'data: {"sk": null}\n\n'
    assert mask.see(b"task") == b"ta"
    assert mask.see(b"s") == b"sk"
    assert mask.rest() == b"s"
    held = [
        letter for letter in "abcdefghijklmnopqrstuvwxyz" if ContentMask(Redactor([KEY])).see(letter.encode()) == b""
    ]
    assert len(held) <= 10, "a letter waits only where a spelling that is often written begins with it"


def test_the_last_chunk_waits_for_nothing() -> None:
    assert ContentMask(Redactor([KEY])).see(b"task sk-canary", last=True) == b"task sk-canary"


@pytest.mark.parametrize("key", ["ollama", "none", "sk-no-key-required", ""])
def test_a_key_that_is_a_word_stays_in_content(key: str) -> None:
    assert passed([f"I run on {key}.".encode()], key) == f"I run on {key}.".encode()


def test_a_masked_answer_is_still_json() -> None:
    for value in (KEY, [KEY[:9], KEY[9:]], {KEY: {KEY: '"' + KEY + '\\"'}}, "\\" + KEY, '"\\\n' + KEY):
        after = passed([json.dumps(value).encode()], KEY)
        assert type(json.loads(after)) is type(value)
        assert not recoverable(KEY, after.decode())


def test_what_is_declared_as_sound_may_be_text_and_what_is_packed_is_recognized() -> None:
    assert is_text(b'{"key": 1}')
    assert not is_text(b"ID3\x04\x00\x00")
    assert is_packed(b"\x1f\x8b\x08\x00")
    assert not is_packed(b"data: {}")
