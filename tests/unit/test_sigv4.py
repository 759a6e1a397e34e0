"""Amazon's signature, by the vectors Amazon published for it.

Source: the `aws4_testsuite` of docs.aws.amazon.com, as it lies in github.com/boto/botocore, tests/unit/auth.
"""

from collections.abc import Mapping
from hashlib import sha256

import pytest

from keycairn.domain.secret import Secret
from keycairn.plugins.sigv4 import EMPTY, Keys, signed_headers

KEYS = Keys(Secret("AKIDEXAMPLE"), Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
SESSION = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx"
    "7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q"
    "6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
AT = "20150830T123600Z"
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VECTORS = {
    "get-vanilla": ("GET", "/", {}, "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-vanilla-query-order-key-case": (
        *("GET", "/?Param2=value2&Param1=value1", {}, ""),
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-order-value": (
        *("GET", "/?Param1=value2&Param1=value1", {}, ""),
        "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694",
    ),
    "get-vanilla-query-order-encoded": (
        *("GET", "/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1", {}, ""),
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    "get-vanilla-query-unreserved": (
        *("GET", f"/?{UNRESERVED}={UNRESERVED}", {}, ""),
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-vanilla-utf8-query": (
        *("GET", "/?ሴ=bar", {}, ""),
        "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    "get-utf8": ("GET", "/ሴ", {}, "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    "get-unreserved": (
        *("GET", f"/{UNRESERVED}", {}, ""),
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-space": (
        *("GET", "/example space/", {}, ""),
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    "get-header-value-trim": (
        *("GET", "/", {"My-Header1": " value1", "My-Header2": ' "a   b   c"'}, ""),
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-header-key-sort": (
        *("POST", "/", {"My-Header1": "value1"}, ""),
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-vanilla": ("POST", "/", {}, "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-vanilla-query": (
        *("POST", "/?Param1=value1", {}, ""),
        "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    "post-x-www-form-urlencoded": (
        *("POST", "/", FORM, "Param1=value1"),
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}


def signed(method: str, target: str, headers: Mapping[str, str], body: str, keys: Keys) -> dict[str, str | Secret]:
    digest = sha256(body.encode()).hexdigest() if body else EMPTY
    url = f"https://example.amazonaws.com{target}"
    return signed_headers(
        method, url, headers, body_sha256=digest, keys=keys, region="us-east-1", service="service", at=AT
    )


@pytest.mark.parametrize("name", VECTORS)
def test_a_request_is_signed_as_amazon_says(name: str) -> None:
    method, target, headers, body, signature = VECTORS[name]
    said = signed(method, target, headers, body, KEYS)["authorization"]
    assert isinstance(said, Secret)
    names = ";".join(sorted(["host", "x-amz-date", *(one.lower() for one in headers)]))
    assert said.reveal() == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def test_the_token_of_lent_keys_is_signed_along() -> None:
    given = signed("POST", "/", {}, "", Keys(KEYS.id, KEYS.secret, Secret(SESSION)))
    said = given["authorization"]
    assert isinstance(said, Secret)
    assert said.reveal().endswith(
        "SignedHeaders=host;x-amz-date;x-amz-security-token, "
        "Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
    )
    assert isinstance(given["x-amz-security-token"], Secret)


def authorization(url: str) -> str:
    said = signed_headers("GET", url, {}, body_sha256=EMPTY, keys=KEYS, region="r", service="s", at=AT)["authorization"]
    assert isinstance(said, Secret)
    return said.reveal()


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://a.example:443/", "https://a.example/"),
        ("http://127.0.0.1:80/", "http://127.0.0.1/"),
        ("https://a.example", "https://a.example/"),
    ],
)
def test_the_host_is_signed_as_it_is_sent(url: str, same: str) -> None:
    assert authorization(url) == authorization(same)


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("https://a.example:8443/", "https://a.example/"),
        ("https://a.example/a:b", "https://a.example/a%3Ab"),
        ("https://a.example/a%2Fb", "https://a.example/a/b"),
        ("https://a.example/?a=b", "https://a.example/?a=c"),
    ],
)
def test_what_is_sent_otherwise_is_signed_otherwise(url: str, other: str) -> None:
    assert authorization(url) != authorization(other)
