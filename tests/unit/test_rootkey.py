import secrets
from base64 import b64encode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.domain.errors import RootKeyError
from keycairn.domain.rootkey import RootKeyForm, parse_root_key
from keycairn.domain.secret import Secret

RAW = bytes.fromhex("b5fb7e3f8a0d41ce93a7f2e06c18d45917fe88ab40c2337d9e61f5a8d20b74ef")
STANDARD = b64encode(RAW).decode()
URLSAFE = urlsafe_b64encode(RAW).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"base64:{STANDARD}",
        f"base64:{STANDARD.rstrip('=')}",
        f"base64:{URLSAFE}",
        f"base64:{URLSAFE.rstrip('=')}",
        f"  base64: {STANDARD}\r\n",
    ],
)
def test_32_bytes_are_read_in_both_alphabets_padded_or_not(text: str) -> None:
    key = parse_root_key(Secret(text))
    assert key.form is RootKeyForm.RAW
    assert key.raw() == RAW


def test_random_bytes_are_accepted() -> None:
    for raw in (secrets.token_bytes(32) for _ in range(1000)):
        assert parse_root_key(Secret("base64:" + b64encode(raw).decode())).raw() == raw


def test_a_passphrase_is_taken_as_it_is_between_its_ends() -> None:
    key = parse_root_key(Secret("passphrase: lantern orbit  velvet: 9 crumbs \n"))
    assert key.form is RootKeyForm.PASSPHRASE
    assert key.raw() == b"lantern orbit  velvet: 9 crumbs"


def test_the_same_passphrase_typed_on_another_system_is_the_same_key() -> None:
    composed, decomposed = "caf\u00e9 lantern velvet", "cafe\u0301 lantern velvet"
    assert parse_root_key(Secret("passphrase:" + composed)) == parse_root_key(Secret("passphrase:" + decomposed))


def encoded(raw: bytes) -> str:
    return "base64:" + b64encode(raw).decode()


REFUSED = {
    "nothing": "",
    "no form": STANDARD,
    "another form": f"hex:{RAW.hex()}",
    "the form in capitals": f"BASE64:{STANDARD}",
    "no value": "base64:",
    "not base64": "base64:not/base64/at*all",
    "not ASCII": "base64:" + "é" * 43,
    "white space inside": f"base64:{STANDARD[:20]} {STANDARD[20:]}",
    "too much padding": f"base64:{STANDARD}==",
    "left-over bits": "base64:" + STANDARD.rstrip("=")[:-1] + chr(ord(STANDARD.rstrip("=")[-1]) + 1),
    "31 bytes": encoded(RAW[:31]),
    "33 bytes": encoded(RAW + b"x"),
    "hex taken for base64": f"base64:{RAW.hex()}",
    "zeros": encoded(bytes(32)),
    "counting": encoded(bytes(range(32))),
    "counting down by three": encoded(bytes((250 - 3 * i) % 256 for i in range(32))),
    "one half twice": encoded(RAW[:16] * 2),
    "text": encoded(b"this-is-a-32-byte-long-secret-ok"),
    "a published key": "base64:cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=",
    "the key of NIST's examples": encoded(
        bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    ),
    "no passphrase": "passphrase:",
    "a short passphrase": "passphrase:tiny Words7",
    "an example": "passphrase:changeme",
    "an example in disguise": "passphrase:Change-Me-1234",
    "an example twice": "passphrase:password password",
    "the comic's": "passphrase:correct horse battery staple",
    "one letter": "passphrase:" + "a" * 40,
    "counting digits": "passphrase:1234567890123456",
    "an unfilled template": "passphrase:<your passphrase here>",
    "an unexpanded command": "passphrase:$(openssl rand -base64 32)",
    "no UTF-8": "passphrase:lantern orbit velvet \udcff",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_an_unusable_root_key_is_refused_with_a_way_to_make_one_and_without_an_echo(text: str) -> None:
    with pytest.raises(RootKeyError) as refusal:
        parse_root_key(Secret(text))
    said = str(refusal.value)
    assert "openssl rand -base64 32" in said
    value = text.partition(":")[2].strip()
    assert len(value) < 4 or value not in said.replace("$(openssl rand -base64 32)", "")
    assert not refusal.value.__cause__


def refusal(text: str) -> str | None:
    try:
        parse_root_key(Secret(text))
    except RootKeyError as error:
        return str(error)
    return None


@given(st.text(max_size=80))
def test_any_other_text_is_refused_or_read_never_a_foreign_error(text: str) -> None:
    for form in ("", "base64:", "passphrase:"):
        said = refusal(form + text)
        assert said is None or len(text) < 12 or text not in said


def test_a_long_passphrase_that_begins_like_an_example_is_fine() -> None:
    assert parse_root_key(Secret("passphrase:secret 9481 7261 5830 8472")).form is RootKeyForm.PASSPHRASE


def test_a_root_key_does_not_show_itself() -> None:
    assert STANDARD not in repr(parse_root_key(Secret(f"base64:{STANDARD}")))
