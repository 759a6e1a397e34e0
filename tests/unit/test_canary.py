from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from tests.canary import scan

KEY = "sk-canary/4f9A7c2E+81b6D05x"


@pytest.mark.parametrize(
    "text",
    [
        f"key={KEY}",
        KEY.encode(),
        KEY[3:],
        KEY[::-1],
        KEY.encode().hex(),
        f"?k={quote(KEY, safe='')}",
        b64encode(KEY.encode()),
        b64encode(f"Bearer {KEY}".encode()),
        b64encode(f"user:{KEY}".encode()),
        urlsafe_b64encode(f"a{KEY}b".encode()),
    ],
)
def test_a_key_is_found_in_every_form(text: str | bytes) -> None:
    assert scan(text, KEY) == [KEY]


@pytest.mark.parametrize("text", ["", "sk-...D05x", b64encode(b"something else entirely")])
def test_clean_text_is_clean(text: str | bytes) -> None:
    assert scan(text, KEY) == []
