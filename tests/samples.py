"""Records and secrets for tests. The records are those of the suite for stores."""

import json

from keycairn.domain.provider import FieldSpec, SecretForm
from keycairn.domain.secret import Secret
from keycairn.testing.stores.samples import (
    THEN,
    WORKSPACE,
    a_check,
    a_credential,
    a_key_rotation,
    a_keyset,
    a_model,
    a_token,
    a_usage_key,
    an_event,
)

__all__ = [
    "THEN",
    "WORKSPACE",
    "a_check",
    "a_credential",
    "a_key_rotation",
    "a_keyset",
    "a_model",
    "a_secret",
    "a_token",
    "a_usage_key",
    "an_event",
]

PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ==\n-----END PRIVATE KEY-----\n"


def a_secret(field: FieldSpec, mark: str = "") -> Secret:
    """What a field takes for a secret, another one for another mark."""
    if field.holds is SecretForm.SERVICE_ACCOUNT:
        return Secret(json.dumps({"client_email": f"a{mark}@p.example", "private_key": PEM}))
    return Secret(f"sk-{mark}{field.name}-0123456789")
