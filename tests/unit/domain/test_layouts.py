"""Finding a secret in what programs show of the bytes of a request."""

import json

import pytest
from tests.dumped import LAYOUTS

from keycairn.app.gateway.masking import ContentMask
from keycairn.domain.redaction import Redactor

KEY = "sk-proj-Zq8Lw2Xv9TnB4mRy7KcD1hGf6Ja3sPe5UtWo0iYxQvNzEkHr"
KNOWN = Redactor([KEY])


def request(before: int) -> bytes:
    return f"{'A' * before}POST / HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nHost: models.test\r\n".encode()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_secret_is_found_in_every_layout_wherever_its_lines_begin(layout: str) -> None:
    for before in range(0, 48, 5):
        said = f"cannot read:\n{LAYOUTS[layout](request(before))}\nand so on"
        assert KNOWN.within(said.encode()), before
        assert KNOWN.within(json.dumps({"error": {"message": said}}).encode()), before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_an_answer_in_a_layout_nothing_is_passed_on_that_holds_a_secret(layout: str) -> None:
    said = json.dumps({"error": {"message": f"cannot read:\n{LAYOUTS[layout](request(3))}"}}).encode()

    shown = ContentMask(KNOWN).see(said, last=True)

    assert len(shown) == len(said)
    assert not KNOWN.within(shown)
    assert shown.count(b"*") > len(KEY)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_without_a_secret_passes(layout: str) -> None:
    said = f"cannot read:\n{LAYOUTS[layout](request(3).replace(KEY.encode(), b'none'))}"
    assert not KNOWN.within(said.encode())
    assert KNOWN.masked(said) == said


@pytest.mark.parametrize("layout", ["hexdump -C", "xxd", "od -x", "od -c"])
def test_of_a_dump_in_two_chunks_no_more_than_half_of_the_secret_is_passed_on(layout: str) -> None:
    said = f"cannot read:\n{LAYOUTS[layout](request(3))}\n".encode()
    for place in range(20, len(said), 7):
        mask = ContentMask(KNOWN)
        shown = b"".join([mask.see(said[:place]), mask.see(said[place:], last=True)])
        assert not KNOWN.within(shown), place
        assert len(shown) == len(said)
