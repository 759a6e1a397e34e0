"""Vertex AI and Google's OAuth token endpoint.

Sources: cloud.google.com/vertex-ai/docs/reference/rest, cloud.google.com/apis/design/errors,
developers.google.com/identity/protocols/oauth2/service-account.
"""

import json
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from keycairn.testing.server import Answer, LocalServer, Recorded, as_json

EMAIL = "keycairn@project.iam.gserviceaccount.com"
MODELS = ("gemini-2.5-flash", "gemini-2.5-flash-tts", "text-embedding-005")
_STATUSES = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
PLACE = "/v1/projects/my-project/locations/us-central1"


@cache
def key_pair() -> tuple[str, rsa.RSAPublicKey]:
    """A private key as a service account file holds it, and its public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode(), key.public_key()


def service_account(email: str = EMAIL) -> str:
    """The JSON of a service account file."""
    return json.dumps(
        {"type": "service_account", "client_email": email, "private_key": key_pair()[0], "private_key_id": "k1"}
    )


class VertexServer(LocalServer):
    """Sells tokens for assertions it can verify, and answers calls that carry one. `key` is the token it sells.

    `audience` is whom an assertion must be made for, where that is not its own address.
    """

    audience = ""

    def error(self, status: int) -> object:
        kind = _STATUSES.get(status, "UNAVAILABLE")
        return {"error": {"code": status, "message": f"About the key {self.key}.", "status": kind}}

    def authorized(self, recorded: Recorded) -> bool:
        return recorded.path == "/token" or super().authorized(recorded)

    def answer(self, recorded: Recorded) -> Answer:
        if (recorded.method, recorded.path) == ("POST", "/token"):
            return self._sell(recorded)
        head, _, method = recorded.path.rpartition(":")
        if recorded.method != "POST" or head.removeprefix(f"{PLACE}/publishers/google/models/") not in MODELS:
            why = "Publisher Model was not found, or your project does not have access to it."
            return as_json({"error": {"code": 404, "message": why, "status": "NOT_FOUND"}}, 404)
        if method == "predict":
            return as_json({"predictions": [{"embeddings": {"values": [0.5, 0.25], "statistics": {}}}]})
        part: dict[str, Any] = {"text": "Hello!"}
        return as_json({"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]})

    def _sell(self, recorded: Recorded) -> Answer:
        form = parse_qs(recorded.body.decode())
        try:
            audience = self.audience or f"{self.origin}/token"
            claims = jwt.decode(form["assertion"][0], key_pair()[1], algorithms=["RS256"], audience=audience)
        except (KeyError, jwt.PyJWTError):
            return as_json({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
        if claims["iss"] != EMAIL or form["grant_type"] != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
            return as_json({"error": "invalid_grant"}, 400)
        return as_json({"access_token": self.key, "expires_in": 3599, "token_type": "Bearer"})
