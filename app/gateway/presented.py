"""The token that a call presents, wherever its client's SDK puts a key."""

from keycairn.app.ingress.form import CREDENTIAL_HEADERS
from keycairn.domain.errors import AmbiguousRequestError
from keycairn.domain.secret import Secret

LONGEST_TOKEN = 4096
"""Bytes of a token that are looked at."""

_SCHEMES = frozenset({b"bearer", b"token"})
"""As RFC 6750 has it, and as Deepgram's SDK does."""


def presented_token(headers: dict[bytes, bytes]) -> Secret:
    """The token; an empty one where there is none, or nothing that can be one.

    Raises AmbiguousRequestError where two headers hold different ones.
    """
    given = {_bare(name, headers[name]) for name in CREDENTIAL_HEADERS if name in headers}
    given.discard(b"")
    if len(given) > 1:
        raise AmbiguousRequestError("Two headers hold different tokens. Send one, as Authorization: Bearer TOKEN.")
    text = given.pop() if given else b""
    return Secret(text.decode("ascii") if len(text) <= LONGEST_TOKEN and text.isascii() else "")


def _bare(name: bytes, value: bytes) -> bytes:
    if name != b"authorization":
        return value.strip()
    scheme, _, token = value.partition(b" ")
    return token.strip() if scheme.lower() in _SCHEMES else value.strip()
