"""The model's name in a form: found wherever it is, replaced without touching another byte, and named once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bodies import a_form, arriving, in_pieces

from keycairn.app.gateway.form_naming import boundary_of, named_form
from keycairn.app.gateway.form_scan import MOST_PARTS
from keycairn.domain.errors import BodyTooLargeError, KeycairnError, RequestRefusedError

SIZES = st.lists(st.integers(1, 60), max_size=12)
CONTENT = st.binary(max_size=40) | st.sampled_from(
    [b'\x00--b-not\r\nname="model"\r\n\r\nx' * 3, b"\r\n-", b"\r\n--", b"\r", b"\n", b"\r\n\r\n", b"--b", b"-" * 30]
).filter(lambda content: not content.startswith(b"--b"))


async def sent(body: bytes, sizes: list[int], new: str = "new name") -> tuple[str, bytes]:
    """The name of the model, and what a provider gets."""
    incoming = arriving(*in_pieces(body, sizes))
    try:
        form = await named_form(incoming, b"b")
        content = (await form.renamed(new)).content
        changed = content if isinstance(content, bytes) else b"".join([chunk async for chunk in content])
    finally:
        incoming.close()
        assert incoming.intake.held == incoming.intake.spooled == 0
    return form.name, changed


@settings(deadline=None)
@given(st.lists(CONTENT, max_size=4), st.integers(0, 4), SIZES)
async def test_a_form_goes_on_with_another_name_and_nothing_else_changed(
    others: list[bytes], place: int, sizes: list[int]
) -> None:
    others = [content for content in others if b"\n--b" not in b"\n" + content]
    parts = [(f"file{number}", content) for number, content in enumerate(others)]
    parts.insert(place, ("model", b"old"))

    name, changed = await sent(a_form(*parts), sizes)

    assert name == "old"
    assert changed == a_form(*((part, b"new name" if part == "model" else content) for part, content in parts))


@pytest.mark.parametrize("size", [10, 9_000, 300_000])
async def test_the_model_is_found_behind_a_file_of_any_size(size: int) -> None:
    body = a_form(("a", b"x" * size), ("model", b"old"), ("b", b"x" * size))

    name, changed = await sent(body, [65_536] * (len(body) // 65_536))

    assert name == "old"
    assert changed == a_form(("a", b"x" * size), ("model", b"new name"), ("b", b"x" * size))


SECOND = [
    'form-data; name="model"',
    "form-data; name=model",
    'Form-Data;name="model"',
    'form-data; filename="x"; name="model"',
    'form-data; name = "model"; filename="a.txt"',
    'form-data; name="model";',
]


@pytest.mark.parametrize("disposition", SECOND)
@pytest.mark.parametrize("between", [0, 9_000, 600_000])
async def test_a_second_model_is_refused_however_far_behind(disposition: str, between: int) -> None:
    first = a_form(("model", b"old"), ("file", b"x" * between)).removesuffix(b"--b--\r\n")
    second = b"--b\r\nContent-Disposition: %s\r\n\r\nother\r\n--b--\r\n" % disposition.encode()

    with pytest.raises(RequestRefusedError, match="exactly one part"):
        await sent(first + second, [65_536] * 10)


def part(head: bytes, content: bytes = b"x") -> bytes:
    return b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", 'no part "model"'),
        (a_form(("file", b"x")), 'no part "model"'),
        (a_form(("Model", b"x")), "in small letters"),
        (a_form(("model", b"")), "1 to 512 printable"),
        (a_form(("model", b"a\r\nb")), "1 to 512 printable"),
        (a_form(("model", b"a" * 513)), "1 to 512 printable"),
        (a_form(("model", b"a" * 100_000)), "1 to 512 printable"),
        (a_form(("model", b"\xff")), "is not text"),
        (part(b'content-disposition: form-data; name="model"; name="file"'), "no clear name"),
        (part(b"content-disposition: form-data; name*=utf-8''model"), "no clear name"),
        (part(b'content-disposition: form-data; name="mod\\el"'), "no clear name"),
        (part(b"content-disposition: form-data"), "no clear name"),
        (part(b"content-disposition: form-data; name='mo del'"), "no clear content-disposition"),
        (part(b'content-disposition: attachment; name="model"'), "no clear content-disposition"),
        (part(b'content-disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"'), "no clear"),
        (part(b'content-disposition: form-data;\r\n name="model"'), "no clear name"),
        (part(b'content-disposition: form-data; name="x"\ncontent-disposition: form-data; name="model"'), "a head"),
        (part(b"x" * 20_000), "too long a head"),
        (part(b'content-disposition: form-data; name="x"', b"y\n--b\r\n"), "on a line of its own"),
        (part(b'content-disposition: form-data; name="x"', b"--b\r\n"), "on a line of its own"),
        (part(b'content-disposition: form-data; name="x"', b"y\r\n--bc\r\n"), "begins like a delimiter"),
        (a_form(("model", b"a")).replace(b"--b\r\n", b"--b\n"), "begins like a delimiter"),
        (a_form(("model", b"a")).replace(b"--b\r\n", b"--b" + b" " * 100 + b"\r\n"), "too many blanks"),
        (a_form(("model", b"a")) + a_form(("x", b"y")), "parts follow its end"),
        (a_form(*[("x", b"")] * (MOST_PARTS + 1)), f"more than {MOST_PARTS} parts"),
    ],
)
@pytest.mark.parametrize("sizes", [[], [1] * 200])
async def test_a_form_that_is_refused_says_why(body: bytes, reason: str, sizes: list[int]) -> None:
    with pytest.raises(KeycairnError) as refused:
        await sent(body, sizes)

    assert isinstance(refused.value, RequestRefusedError)
    assert reason in str(refused.value)


async def test_what_comes_before_and_after_a_form_goes_on_too() -> None:
    body = b"preamble\r\n" + a_form(("model", b"old")).replace(b"--b\r\n", b"--b \t\r\n") + b"epilogue"

    assert await sent(body, []) == ("old", body.replace(b"old", b"new name"))


async def test_a_model_that_never_comes_is_not_waited_for_for_ever() -> None:
    chunk = b"x" * 2**20

    with pytest.raises(BodyTooLargeError):  # nothing but memory to keep it in
        await sent(part(b'content-disposition: form-data; name="x"', chunk * 40), [2**20] * 40)


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data; boundary=----WebKitFormBoundaryABC", b"----WebKitFormBoundaryABC"),
        ("application/json", None),
        ("multipart/mixed; boundary=abc", None),
        ("", None),
    ],
)
def test_the_boundary(kind: str, boundary: bytes | None) -> None:
    assert boundary_of(kind) == boundary


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=a; boundary=b",
        'multipart/form-data; boundary=a; boundary="b\\"c"',
        "multipart/form-data; boundary*=utf-8''a",
        'multipart/form-data; boundary="a\\"b"',
    ],
)
def test_a_boundary_that_is_not_clear_is_refused(kind: str) -> None:
    with pytest.raises(RequestRefusedError):
        boundary_of(kind)
