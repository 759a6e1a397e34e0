"""The model's name in a body: found where it counts, replaced without touching another byte."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.app.gateway.errors import OverloadedError, RequestRefusedError
from keycairn.app.gateway.incoming import ClientGoneError, Incoming, Intake
from keycairn.app.gateway.naming import boundary_of, form_model, json_model, with_form_model, with_json_model

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12) | st.just('"model": "x", '),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.just("model"), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=6).filter(lambda key: key != "model"), VALUES, max_size=4), st.booleans())
def test_only_the_outermost_name_is_replaced_whatever_else_the_body_holds(rest: dict[str, Any], ascii: bool) -> None:  # noqa: FBT001  # hypothesis passes by place
    body = json.dumps({**rest, "model": "old name", "z": rest}, ensure_ascii=ascii).encode("utf-8", "replace")

    changed = with_json_model(body, json_model(body), 'new "name"')

    assert json.loads(changed) == {**json.loads(body), "model": 'new "name"'}
    at = changed.index(b'"new \\"name\\""')
    assert changed.replace(b'"new \\"name\\""', b'"old name"', 1) == body
    assert body[:at] == changed[:at]


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","mod\\u0065l":"b"}',
        b'{"m\\u006fdel":"a", "x": {"model": "c"}, "model" : "b"}',
    ],
)
def test_two_names_are_refused_even_where_nothing_changes(body: bytes) -> None:
    with pytest.raises(RequestRefusedError):
        with_json_model(body, json_model(body), json_model(body))


def test_a_name_spelled_with_escapes_is_the_name() -> None:
    assert with_json_model(b'{"mod\\u0065l": "a"}', "a", "b") == b'{"mod\\u0065l": "b"}'


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"model"', b'{"model":1}', b'{"model":""}', b'{"model":"a\\n"}', b"{" * 10_000, b'{"model":"\xff"}'],
)
def test_a_body_without_a_usable_name_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefusedError):
        json_model(body)


def arriving(*chunks: bytes, intake: Intake | None = None) -> Incoming:
    """A body that arrives in these chunks; after them the client is gone."""
    left = list(chunks)

    async def receive() -> Any:
        if not left:
            return {"type": "http.disconnect"}
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    return Incoming(receive, intake or Intake(), None)


def a_form(*parts: tuple[str, bytes]) -> bytes:
    lines = [
        b'--b\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in parts
    ]
    return b"".join(lines) + b"--b--\r\n"


def in_pieces(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(body[:size])
        body = body[size:]
    return [*pieces, body]


@given(st.lists(st.integers(1, 60), max_size=8), st.booleans())
async def test_a_form_arrives_with_another_name_and_nothing_else_changed(sizes: list[int], first: bool) -> None:  # noqa: FBT001  # hypothesis passes by place
    parts = [("model", b"old"), ("file", b'\x00--b-not\r\nname="model"\r\n\r\nx' * 3)]
    order = parts if first else parts[::-1]
    incoming = arriving(*in_pieces(a_form(*order), sizes))

    name, begin, end = await form_model(incoming, b"b")
    changed = b"".join([chunk async for chunk in with_form_model(incoming, (begin, end), "new name").chunks()])

    assert name == "old"
    assert changed == a_form(*((part, b"new name" if part == "model" else value) for part, value in order))


async def test_a_form_without_a_model_is_refused() -> None:
    with pytest.raises(RequestRefusedError):
        await form_model(arriving(a_form(("file", b"x"))), b"b")


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


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("application/json", None),
        ("multipart/mixed; boundary=abc", None),
    ],
)
def test_the_boundary(kind: str, boundary: bytes | None) -> None:
    assert boundary_of(kind) == boundary
