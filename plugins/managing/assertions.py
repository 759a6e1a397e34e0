"""Assertions that Google's service accounts sign, to buy tokens with.

Source: developers.google.com/identity/protocols/oauth2/service-account.
"""

import time

import msgspec
from msgspec import Struct

from keycairn.domain.errors import InvalidAuthError

TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE = 3600
"""Seconds an assertion, and the token it buys, is good for."""
UNUSABLE = "The service account cannot be used. Store its JSON, or give the path of a file that holds it."
"""One sentence for everything that can be wrong, so that a path tells nothing about the file it leads to."""


class _ServiceAccount(Struct):
    client_email: str
    private_key: str
    private_key_id: str = ""


def assertion(service_account: bytes, audience: str) -> str:
    """A signed assertion for `audience`. Raises InvalidAuthError for what is no service account."""
    import jwt  # noqa: PLC0415  # 60 ms, for those who have such an account

    now = int(time.time())
    try:
        signer = msgspec.json.decode(service_account, type=_ServiceAccount)
        claims = {"iss": signer.client_email, "scope": SCOPE, "aud": audience, "iat": now, "exp": now + LIFE}
        return jwt.encode(claims, signer.private_key, algorithm="RS256", headers={"kid": signer.private_key_id})
    except (ValueError, TypeError, msgspec.MsgspecError, jwt.PyJWTError):
        raise InvalidAuthError(UNUSABLE) from None
