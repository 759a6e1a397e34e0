"""Amazon's signature of requests, version 4.

Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. Paths are encoded once more
than they are sent, as every service but S3 wants them; they have to be normal, without empty or dot segments.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from keycairn.domain.secret import Secret

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY = sha256(b"").hexdigest()


class Keys(Struct, frozen=True):
    """Who signs. `session` is the token of keys that were lent for a while."""

    id: Secret
    secret: Secret
    session: Secret | None = None


def signed_headers(
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    body_sha256: str,
    keys: Keys,
    region: str,
    service: str,
    at: str,
) -> dict[str, str | Secret]:
    """The headers that sign a request, besides those it has: `headers` are the ones that are signed along.

    `at` is the time, as `20150830T123600Z`; `body_sha256` is in hexadecimal.
    """
    parts = urlsplit(url)
    added: dict[str, str | Secret] = {"x-amz-date": at}
    if keys.session is not None:
        added["x-amz-security-token"] = keys.session
    whole = {"host": _host(parts.scheme, parts.netloc), **{name.lower(): value for name, value in headers.items()}}
    whole |= {name: value.reveal() if isinstance(value, Secret) else value for name, value in added.items()}
    names = ";".join(sorted(whole))
    lines = "".join(f"{name}:{' '.join(whole[name].split())}\n" for name in sorted(whole))
    request = "\n".join((method, _path(parts.path), _query(parts.query), lines, names, body_sha256))
    scope = f"{at[:8]}/{region}/{service}/aws4_request"
    text = "\n".join((ALGORITHM, at, scope, sha256(request.encode()).hexdigest()))
    signature = hmac.digest(_key(keys.secret, at[:8], region, service), text.encode(), "sha256").hex()
    said = f"{ALGORITHM} Credential={keys.id.reveal()}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**added, "authorization": Secret(said)}


def _key(secret: Secret, *scope: str) -> bytes:
    key = f"AWS4{secret.reveal()}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _host(scheme: str, netloc: str) -> str:
    """As it stands in the header: without the port that goes without saying."""
    return netloc.removesuffix({"http": ":80", "https": ":443"}.get(scheme, "\0"))


def _path(path: str) -> str:
    return quote(path, safe="/-_.~") or "/"


def _query(query: str) -> str:
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    return "&".join(f"{name}={value}" for name, value in sorted((_encoded(n), _encoded(v)) for n, v in pairs))


def _encoded(text: str) -> str:
    return quote(unquote(text, errors="surrogateescape"), safe="-_.~", errors="surrogateescape")
