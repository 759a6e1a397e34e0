"""Finding secrets in every spelling, and nothing else."""

import base64
import bz2
import gzip
import json
import lzma
import time
import zlib
from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.spelled import SECRETS, SPELLINGS, recoverable, spelled, telling

from keycairn.domain.redaction import LONGEST, WITHHELD, Redactor
from keycairn.domain.secret import MASK, Secret

KEY = "sk-canary-4f9A7c2E81/b6D05x"
SEEN = Redactor([Secret(KEY)])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_is_found_and_masked(spelling: str) -> None:
    said = f"The key is {SPELLINGS[spelling](KEY)}, sorry."

    assert SEEN.holds(said)
    assert not recoverable(KEY, SEEN.masked(said))
    assert SPELLINGS[spelling](KEY) not in SEEN.masked(said)


@settings(max_examples=80, deadline=None)
@given(st.data(), SECRETS)
def test_what_is_left_of_a_text_holds_no_secret(data: st.DataObject, secret: str) -> None:
    said = f"{data.draw(st.text(max_size=20))} {data.draw(spelled(secret))} {data.draw(st.text(max_size=20))}"
    assert not recoverable(secret, Redactor([secret]).masked(said))


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=300), SECRETS)
def test_a_text_without_the_secret_stays_as_it_is(text: str, secret: str) -> None:
    assume(not telling(secret, text))
    redactor = Redactor([secret])
    body = json.dumps({"error": text}).encode()

    assert redactor.masked(text) == text
    assert redactor.masked_json(body) is body


def test_a_secret_inside_of_something_compressed_is_found() -> None:
    packed = base64.b64encode(gzip.compress(json.dumps({"key": KEY}).encode())).decode()
    assert packed[4:20] not in SEEN.masked(f"see {packed}")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bz2.compress, lzma.compress])
def test_a_secret_behind_padding_that_packs_small_is_found(pack: Callable[[bytes], bytes]) -> None:
    packed = base64.b64encode(pack(b"a" * 10**6 + KEY.encode())).decode()
    assert packed[4:20] not in SEEN.masked(f"see {packed}")


def test_an_equals_sign_before_a_secret_that_begins_as_hex_hides_nothing_of_it() -> None:
    secret = "4f9A7c2E81b6"
    assert Redactor([secret]).holds(f"key={secret[:4]}\\u0037{secret[5:]}")
    assert Redactor([secret]).holds(f"=\r{SPELLINGS['all JSON escapes'](secret)}\n")


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_secret_in_many_pieces_of_base64_is_found_in_what_is_kept(size: int) -> None:
    pieces = [base64.b64encode(KEY[place : place + size].encode()).decode() for place in range(0, len(KEY), size)]
    assert SEEN.holds(f"It is {' '.join(pieces)}, sorry.")


def test_what_cannot_be_looked_into_is_left_out() -> None:
    assert SEEN.masked("x" * (LONGEST + 1)) == WITHHELD


def test_an_error_stays_json_and_is_masked_in_names_too() -> None:
    body = json.dumps({"error": {KEY: [f"Bearer {KEY}", {"deep": KEY[::-1]}]}}).encode()
    assert json.loads(SEEN.masked_json(body) or b"") == {"error": {MASK: [f"Bearer {MASK}", {"deep": MASK}]}}
    assert SEEN.masked_json(b"no JSON, but " + KEY.encode()) is None


def test_a_word_is_masked_in_a_message_only() -> None:
    local = Redactor(["ollama"])
    assert local.masked("no such key: ollama") == f"no such key: {MASK}"
    assert not local.holds("ollama/llama3")


def test_of_a_key_file_the_key_counts_and_not_the_words() -> None:
    line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    key = f"-----BEGIN PRIVATE KEY-----\n{line}\n{line[::-1]}\n-----END PRIVATE KEY-----\n"
    file = {"type": "service_account", "private_key": key, "token_uri": "https://oauth2.googleapis.com/token"}
    redactor = Redactor([json.dumps(file, indent=2)])

    assert redactor.masked("a service_account of https://oauth2.googleapis.com/token") == (
        "a service_account of https://oauth2.googleapis.com/token"
    )
    assert redactor.holds(f"it holds {line}")


def test_one_more_secret_is_known_from_then_on_and_what_is_known_costs_nothing() -> None:
    assert SEEN.and_also(KEY) is SEEN
    more = SEEN.and_also("ya29.minted-for-this-call-only")
    assert more is SEEN.and_also("ya29.minted-for-this-call-only")
    assert more.holds("ya29.minted-for-this-call-only")
    assert more.holds(KEY)
    assert KEY not in repr(more)


HALF = KEY[:13]
HOSTILE = {
    "pieces": HALF.encode(),
    "beginnings": " ".join(KEY[:size] for size in range(1, len(KEY))).encode(),
    "backslashes": b"\\",
    "percents of percents": b"%25",
    "escapes": "".join(f"\\u{ord(one):04x}" for one in HALF).encode(),
    "entities": "".join(f"&#{ord(one)};" for one in HALF).encode(),
    "open markup": b"<a",
    "base64 of base64": base64.b64encode(base64.b64encode(base64.b64encode(HALF.encode() * 4))),
    "words of base64": b"aGVsbG8gd29ybGQgaGVs %41 ",
    "heads of gzip": b"H4sIAAAAAAAAAAAAAAAA ",
    "hex": HALF.encode().hex().encode() + b" ",
    "accents": "e\u0301\u0316\u0301".encode(),
    "letters in other forms": "\uff53\uff4b".encode(),
    "codes": b"115, 107, 45, ",
    "brackets": b"[",
    "ampersands": b"&",
    "half elements": b"<" + b"a" * 199,
    "half colours": b"\x1b[" + b"0" * 19,
    "octal": b"\\101\\102 ",
    "braced escapes": b"\\u{41} ",
    "halves of characters": b"\\ud835\\udc1a",
    "wrong escapes": b"\\u00zz%u%zz",
    "gzip of much": base64.b64encode(gzip.compress(b"a" * 60000)) + b" ",
    "a code without separators": b"115107045099097110097114",
    "a dump": b"\n00000010: 736b 2d63 616e 6172 792d 3466 3941 3763  sk-canary-4f9A7c",
    "offsets": b"\n0000 ",
    "numbered characters": b"11: s, ",
    "uuencode": b"M<VLM8V%N87)Y+31F.4$W8S)%.#$O8C9$,#5X<VLM8V%N87)Y+31F.4$W8S)%\n",
    "every layer": b"<b>&#65;%41\\u0041=41\\101\xef\xbd\x81 aGVsbG8gd29ybGQgaGVsbG8= 414243444546474849505152535455 ",
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_what_is_made_to_take_long_takes_no_longer_than_it_is(shape: str) -> None:
    """Before there was a bound, some of these took five seconds for a megabyte, and a minute in a kept text."""
    hostile = (HOSTILE[shape] * 2**18)[: 2**18]
    begun = time.process_time()
    SEEN.within(hostile)
    answer = time.process_time() - begun
    begun = time.process_time()
    SEEN.masked(hostile[:LONGEST].decode("utf-8", "ignore"))
    kept = time.process_time() - begun
    assert (answer < 0.15, kept < 0.15) == (True, True), (answer, kept)


HARMLESS = {
    "ids": b'{"id": "chatcmpl-9f8QabcDEF123456789xyz", "file": "file-Zq81LmNoPaQrStUvWxYz0192"},',
    "escaped markup": b'\\u003cp\\u003eA \\"quoted\\" word &amp; &lt;more&gt; AbstractFactoryBean\\u003c/p\\u003e ',
    "escapes and base64": b"%2541%2542 aGVsbG8gd29ybGQgaGVsbG8= \\u0041 ",
    "a file in base64": base64.b64encode(b"The quick brown fox jumps over the lazy dog. " * 40) + b"\n",
    "base64 in base64": base64.b64encode(base64.b64encode(b"The quick brown fox jumps over the lazy dog. " * 40)),
    "hex": b"9e107d9d372bb6826bd81d3542a419d6 e4d909c290d0fb1ca068ffaddf22cbd0 ",
    "numbers": b"[0.00123, -0.98321, 115, 107, 45, 112], ",
    "other letters": "Größe, élève, быстрая лиса, 快速的棕色狐狸 ①② ".encode(),
    "program text": b'for (let i = 0; i < n; i++) { a[i] = `<td class="x">${b[i]}</td>`; } // getElementsByClassName\n',
}


@pytest.mark.parametrize("shape", HARMLESS)
@pytest.mark.parametrize("size", [2**9, 2**14])
def test_an_answer_full_of_what_looks_encoded_passes(shape: str, size: int) -> None:
    text = (HARMLESS[shape] * (size // len(HARMLESS[shape]) + 1))[:size]
    assert not SEEN.within(text)
