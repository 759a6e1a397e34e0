"""The model's name in a body: found where it counts, replaced without touching another byte."""

import json
import tracemalloc
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.bodies import arriving, in_pieces

from keycairn.app.gateway.json_scan import JsonScanner
from keycairn.app.gateway.naming import JOINED_AT_ONCE, READ_AT_ONCE, json_model, named_json
from keycairn.app.gateway.request_body import ClientGoneError, Incoming, Intake
from keycairn.domain.errors import OverloadedError, RequestRefusedError

TEXTS = st.text(max_size=12) | st.sampled_from(
    ['"model": "x", ', "model", "\\", '"', "mod\u00e9l", "\x7f", "\U0001f600"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
SPACES = st.sampled_from([(", ", ": "), (",", ":"), (" ,\r\n", "\t: "), (",\n\n", " :")])
SPELLINGS = ["model", "mod\\u0065l", "\\u006dodel", "m\\u006Fd\\u0065\\u006C"]


def verdict_of_a_strict_parser(body: bytes) -> str | None:
    """The outermost `model`; None where the body is not an object in I-JSON with exactly one, a usable text."""

    def outermost(pairs: list[tuple[str, Any]]) -> Any:
        return pairs

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    def texts(value: Any) -> list[str]:
        if isinstance(value, str):
            return [value]
        return [text for inner in value for text in texts(inner)] if isinstance(value, list | tuple) else []

    try:
        found = json.loads(
            body.decode(), object_pairs_hook=outermost, parse_constant=refuse, parse_int=float, parse_float=float
        )
        "".join(texts(found)).encode()
    except (ValueError, RecursionError):
        return None
    if not body.lstrip(b" \t\r\n").startswith(b"{"):
        return None
    if any(name.lower() == "model" != name for name, _ in found):
        return None
    models = [value for name, value in found if name == "model"]
    usable = len(models) == 1 and isinstance(models[0], str) and 0 < len(models[0]) <= 512 and models[0].isprintable()
    return models[0] if usable else None


def scanned(body: bytes, sizes: Sequence[int]) -> str | None:
    scanner = JsonScanner()
    try:
        for piece in in_pieces(body, sizes):
            for _ in scanner.feed(piece):
                pass
        scanner.finish()
        name: str = json.loads(scanner.model or b'""')
    except RequestRefusedError:
        return None
    assert body[slice(*scanner.place)] == scanner.model
    return name if name and len(name) <= 512 and name.isprintable() else None


def named(body: bytes) -> str | None:
    try:
        found = json_model(body)
        name, (begin, end) = found.name, found.place
    except RequestRefusedError:
        return None
    assert json.loads(body[begin:end]) == name
    return name


@settings(deadline=None)
@given(st.dictionaries(TEXTS.filter(lambda name: name != "model"), VALUES, max_size=5), st.data())
async def test_only_the_outermost_name_is_replaced_whatever_else_the_body_holds(
    rest: dict[str, Any], data: st.DataObject
) -> None:
    members = [*rest.items(), ("model", "old name")]
    order = data.draw(st.permutations(members))
    body = json.dumps(dict(order), ensure_ascii=data.draw(st.booleans()), separators=data.draw(SPACES)).encode()
    # Only the outermost name is followed by this text.
    spelled = data.draw(st.sampled_from(SPELLINGS)).encode()
    incoming = arriving(*in_pieces(body, data.draw(st.lists(st.integers(1, 40), max_size=6))))

    call = await named_json(incoming)
    changed = (await call.renamed('new "name"')).beginning

    assert call.name == "old name"
    assert json.loads(changed) == {**json.loads(body), "model": 'new "name"'}
    at = changed.index(b'"new \\"name\\""')
    assert changed.replace(b'"new \\"name\\""', b'"old name"', 1) == body
    assert body[:at] == changed[:at]
    respelled = body[:at][::-1].replace(b'"ledom"', b'"' + spelled[::-1] + b'"', 1)[::-1] + body[at:]
    assert named(respelled) == "old name"
    assert scanned(respelled, data.draw(st.lists(st.integers(1, 9), max_size=9))) == "old name"


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'"model"', b'"mod\\u0065l"', b'"a"', b'"x":',
            b'"model":"a"',
            b"1", b"0", b"-", b".", b"e", b"E+", b"12.5e-3", b"true", b"null", b"false", b"nul", b"NaN", b"-Infinity",
            b" ", b"\n", b"\r\n", b"\x0c", b"\x00", b"\\u", b"\\ud83d", b"\\ude00", b"\\n", b"\\x", b"\xc3\xa9",
            b"\xed\xa0\x80", b"\xff", b"\xef\xbb\xbf", b"/", b"'",
        ]
    ),
    max_size=14,
).map(b"".join)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good body with a few bytes of it replaced, taken out or put in."""
    body = json.dumps({**draw(st.dictionaries(TEXTS, VALUES, max_size=3)), "model": "a"}).encode()
    for _ in range(draw(st.integers(0, 3))):
        at, out = draw(st.integers(0, len(body))), draw(st.integers(0, 2))
        body = body[:at] + draw(FRAGMENTS) + body[at + out :]
    return body


@settings(deadline=None)
@given(FRAGMENTS | mutated() | st.binary(max_size=12), st.lists(st.integers(1, 9), max_size=9))
@example(b'{"model":"a","x":1' + b"0" * 200 + b".5e1}", [90, 90])
@example(b'{"model":"a","x":0' + b"0" * 200 + b"}", [90, 90])
@example(b'{"model":"a","x":1' + b".1" * 200 + b"}", [90, 90])
def test_the_verdict_is_that_of_a_strict_parser(body: bytes, sizes: list[int]) -> None:
    expected = verdict_of_a_strict_parser(body)

    assert named(body) == expected
    assert scanned(body, sizes) == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"  \r\n", "ends too early"),
        (b"[]", "must be a JSON object"),
        (b'"model"', "must be a JSON object"),
        (b"model=a&x=1", "not valid JSON: an object is expected (byte 0)"),
        (b"{}", 'no member "model"'),
        (b'{"x":{"model":"a"}}', 'no member "model"'),
        (b'{"model":1}', "must be a text"),
        (b'{"model":null}', "must be a text"),
        (b'{"model":{"model":"a"}}', "must be a text"),
        (b'{"model":""}', "1 to 512 printable"),
        (b'{"model":"a\\n"}', "1 to 512 printable"),
        (b'{"model":"' + b"a" * 513 + b'"}', "1 to 512 printable"),
        (b'{"model":"' + b"a" * 2**17 + b'"}', "1 to 512 printable"),
        (b'{"model":"a","model":"b"}', "exactly once"),
        (b'{"model":"a","model":"a"}', "exactly once"),
        (b'{"model":"a","model":1}', "exactly once"),
        (b'{"model":"a","Model":"b"}', "exactly once"),
        (b'{"model":"a","MODEL":null}', "exactly once"),
        (b'{"model":"a","\\u004dodel":"b"}', "exactly once"),
        (b'{"model":"a","M\\u006FdeL":"b"}', "exactly once"),
        (b'{"Model":"a"}', "small letters"),
        (b'{"Model":"a","model":"b"}', "small letters"),
        (b'{"model":"a","mod\\u0065l":"b"}', "exactly once"),
        (b'{"m\\u006fdel":"a", "x": {"model": "c"}, "model" : "b"}', "exactly once"),
        (b'{"model":"a","x":NaN}', "NaN is no value in JSON (byte 17)"),
        (b'{"model":"a","x":[1,-Infinity]}', "-Infinity is no value in JSON (byte 20)"),
        (b'{"model":"a","x":[Infinity]}', "Infinity is no value in JSON (byte 18)"),
        (b'{"model":"a","x":undefined}', "a value is expected (byte 17)"),
        (b'\xef\xbb\xbf{"model":"a"}', "byte order mark"),
        ('{"model":"a"}'.encode("utf-16"), "UTF-16"),
        ('{"model":"a"}'.encode("utf-16-le"), "UTF-16"),
        ('{"model":"a"}'.encode("utf-32-be"), "UTF-32"),
        (b"\x1f\x8b\x08\x00\x00", "gzip"),
        (b"\x28\xb5\x2f\xfd\x00", "zstd"),
        (b"\x78\x9c\xab\x56", "deflate"),
        (b'{"model":"a","x":"\\ud83d"}', "one half of a surrogate pair (byte 18)"),
        (b'{"model":"a","x":"\\ude00\\ud83d"}', "one half of a surrogate pair (byte 18)"),
        (b'{"model":"\\ud83d x"}', "one half of a surrogate pair"),
        (b'{"model":"a","x":"\xed\xa0\x80"}', "one half of a surrogate pair (byte 18)"),
        (b'{"model":"\xff"}', "not UTF-8 (byte 10)"),
        (b'{"model":"a","x":"\xe9"}', "not UTF-8 (byte 18)"),
        (b'{"model":"a","x":"\n"}', "control character that is not escaped (byte 18)"),
        (b'{"model":"a","x":"\\x41"}', "escape that does not exist (byte 18)"),
        (b"{'model':'a'}", "name in double quotes"),
        (b'{"model":"a",}', "name in double quotes is expected (byte 13)"),
        (b'{"model":"a","x":[1,]}', "a value is expected (byte 20)"),
        (b'{"model":"a" "x":1}', '"," or "}" is expected (byte 13)'),
        (b'{"model":"a","x":[1}', '"," or "]" is expected (byte 19)'),
        (b'{"model" "a"}', '":" is expected (byte 9)'),
        (b'{"model":"a"} x', "nothing may follow the object (byte 14)"),
        (b'{"model":"a"}{"model":"b"}', "nothing may follow"),
        (b'{"model":"a","x":01}', "is no number (byte 17)"),
        (b'{"model":"a","x":1.}', "is no number (byte 17)"),
        (b'{"model":"a"', "ends too early (byte 12)"),
        (b'{"model":"a","x":"', "ends too early"),
        (b'{"x":' * 2000, "more than 1000 lists and objects"),
        (b'{"model":"a","x":' + b"[" * 2000 + b"]" * 2000 + b"}", "more than 1000 lists and objects"),
    ],
)
async def test_a_body_that_is_refused_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(RequestRefusedError) as small:
        json_model(body)
    assert reason in str(small.value)

    if body.startswith(b'{"model":"a","x":'):
        padding = b'{"z":"' + b"z" * 2 * READ_AT_ONCE + b'",'
        with pytest.raises(RequestRefusedError) as large:
            await named_json(arriving(padding + body[1:]))
        assert str(large.value).partition("(byte")[0] == str(small.value).partition("(byte")[0]


def large_bodies() -> list[Any]:
    size = 2**18
    text, nested = b"x" * size, b'{"model":"inner"}'
    return [
        pytest.param(b'"' + text + b'"', id="one text"),
        pytest.param(b'"' + b'\\n\\"\\u00e9\\ud83d\\ude00' * (size // 24) + b'"', id="escapes"),
        pytest.param(('"' + "\U0001f600é" * (size // 6) + '"').encode(), id="not ASCII"),
        pytest.param(b"[" + b"0.125," * (size // 6) + b"1]", id="numbers"),
        pytest.param(b"1" + b"0" * size, id="one number"),
        pytest.param(b"[" + b'"m",' * (size // 4) + b'"m"]', id="short texts"),
        pytest.param(b"[" + b"[[[[1]]]]," * (size // 10) + b"1]", id="lists"),
        pytest.param(b"[" + (nested + b",") * (size // 18) + nested + b"]", id="other models"),
        pytest.param(b"{" + b'"model":"m",' * (size // 12) + b'"model":1}', id="names that repeat inside"),
        pytest.param(b"1" + b',"b":2' * (size // 6), id="many members"),
        pytest.param(b"[" + b'{"a":{"b":{"c":{"d":"e"}}}},' * (size // 28) + b"1]", id="objects"),
        pytest.param(b"[" + b" \r\n\t" * (size // 4) + b"]", id="blanks"),
        pytest.param(b'[{"type":"image","data":"' + text + b'"},' + nested + b"]", id="a picture and a tool"),
    ]


@pytest.mark.parametrize("value", large_bodies())
@pytest.mark.parametrize("first", [True, False])
async def test_a_large_body_costs_little_more_than_itself(value: bytes, first: bool) -> None:  # noqa: FBT001
    body = b'{"model":"old","x":' + value + b"}" if first else b'{"x":' + value + b',"model" : "old"}'
    chunks = in_pieces(body, [60_001] * (len(body) // 60_001))
    incoming = arriving(*chunks)
    del chunks

    tracemalloc.start()
    call = await named_json(incoming)
    sent = (await call.renamed("new")).beginning
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert call.name == "old"
    at = 9 if first else len(body) - 6
    assert sent == body[:at] + b'"new"' + body[at + 5 :]
    assert peak < 2 * len(body) + 2**18
    incoming.close()
    assert incoming.intake.held == 0


@pytest.mark.parametrize("size", [10, READ_AT_ONCE, JOINED_AT_ONCE])
@pytest.mark.parametrize("news", list(permutations(["old", "n", 'a longer "name" ü'])))
async def test_a_body_is_renamed_as_often_as_it_is_sent(size: int, news: tuple[str, ...]) -> None:
    body = b'{"x":"' + b"x" * size + b'", "model" : "old", "y":{"model":"old"}}'
    incoming = arriving(*in_pieces(body, [60_001] * (len(body) // 60_001)))

    call = await named_json(incoming)
    sent = [(await call.renamed(new)).beginning for new in (*news, news[-1])]

    head, _, tail = body.partition(b'"old"')
    assert sent == [head + msgspec.json.encode(new) + tail for new in (*news, news[-1])]
    incoming.close()
    assert incoming.intake.held == 0


async def test_what_is_held_is_counted_and_given_back() -> None:
    intake = Intake(most=10)
    first, second = arriving(b"123456", intake=intake), arriving(b"123456", intake=intake)

    await first.read()
    with pytest.raises(OverloadedError):
        await second.read()
    first.close()

    assert intake.held == 0


async def test_a_client_that_leaves_within_its_body_is_gone() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGoneError):
        await Incoming(receive, Intake(), None).read()
