from base64 import urlsafe_b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.domain.errors import UndecryptableError
from keycairn.domain.sealed import HEADER_BYTES, LONGEST_TEXT, SealedSecret, join, pad, split, unpad

HEAD = b"\x01\x00\x00\x01\x02" + b"s" * 32 + b"c" * 32
RAW = HEAD + b"x" * (64 + 16)


def test_the_parts_lie_where_the_format_says() -> None:
    parts = split(join(RAW))
    assert (parts.kid, parts.salt, parts.commitment) == (258, b"s" * 32, b"c" * 32)
    assert (parts.header, parts.ciphertext) == (HEAD, b"x" * 80)
    assert len(parts.header) == HEADER_BYTES == 69


BODY = join(RAW).removeprefix("kc1:")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kc1:",
        BODY,
        "gAAAAABm",
        "KC1:" + BODY,
        f"kc1:{BODY}=",
        f"kc1:{BODY}\n",
        f" kc1:{BODY}",
        f"kc1:{BODY[:50]} {BODY[50:]}",
        f"kc1:{BODY[:50]}\x00{BODY[50:]}",
        "kc1:" + "é" * 200,
        "kc1:" + "\udcff" * 200,
        "kc1:" + BODY.replace("_", "/").replace("c", "+", 1),
        join(RAW[:-1]),
        join(RAW + b"x"),
        join(HEAD + b"x" * 16),
        join(HEAD + b"x" * (LONGEST_TEXT + 2000)),
        join(b"\x03" + RAW[1:]),
        join(b""),
    ],
)
def test_text_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(UndecryptableError) as refusal:
        split(SealedSecret(text))
    assert refusal.value.__cause__ is None


def test_a_second_spelling_of_the_same_bytes_is_refused() -> None:
    twin = BODY[:-1] + chr(ord(BODY[-1]) + 1)
    assert urlsafe_b64decode(twin + "=") == RAW
    with pytest.raises(UndecryptableError):
        split(SealedSecret("kc1:" + twin))


@given(st.binary(max_size=300) | st.just(b"x" * LONGEST_TEXT))
def test_padding_comes_off_again_and_is_a_multiple_of_64(text: bytes) -> None:
    frame = pad(text)
    assert unpad(frame) == text
    assert len(frame) % 64 == 0
    assert len(frame) - len(text) <= 65


def test_the_longest_text_fits_the_form() -> None:
    assert split(join(HEAD + pad(b"x" * LONGEST_TEXT) + bytes(16))).kid == 258
