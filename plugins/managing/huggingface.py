"""Hugging Face's tokens: a person makes them, and whoever holds one can have it revoked.

Source: github.com/huggingface/hub-docs, docs/hub/security-tokens.md (`POST /api/credentials/revoke`). The
owner of the token is told.
"""

import msgspec

from keycairn.domain.errors import GarbledAnswerError, InvalidAuthError
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyRef
from keycairn.domain.provider import Account
from keycairn.plugins.failures import raise_for_failure
from keycairn.plugins.managing.common import MAKE_WITHIN, managed_at, managing_url
from keycairn.ports.http import JSON_HEADERS, Http, Request

MANAGEMENT = KeyManagement(
    creation=KeyCreation.BY_PERSON,
    lists=False,
    fields=(managing_url("https://huggingface.co"),),
    page="https://huggingface.co/settings/tokens",
)

ACCEPTED = 202


class HuggingFaceKeys:
    """Revokes tokens."""

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Revoke the token itself: it has no id here. One that is revoked already is no error."""
        token = key.secrets.get("api_key")
        if token is None:
            raise InvalidAuthError("The token that is to be revoked is not known here.")
        body = msgspec.json.encode({"credentials": [token.reveal()]})
        url = f"{managed_at(manager)}/api/credentials/revoke"
        request = Request(method="POST", url=url, headers=JSON_HEADERS, body=body, secret_body=True)
        answer = await http.send(request, deadline=MAKE_WITHIN)
        raise_for_failure(answer)
        if answer.status != ACCEPTED:
            raise GarbledAnswerError(status=answer.status)
