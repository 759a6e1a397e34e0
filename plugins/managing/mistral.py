"""Mistral's keys: those of a user in a workspace, by an API in beta.

Source: docs.mistral.ai/admin/admin-api (api-keys). How a key is deleted by it is not documented, so a person is asked
to. Nor is the member of the answer that holds a new key: an answer that has none of the likely ones is taken for
garbled, and the key that was made for one that nobody has.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from keycairn.domain.errors import GarbledAnswerError
from keycairn.domain.field import FieldSpec
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, ListedKey, MadeKey
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import decode
from keycairn.plugins.fields import required_header_secret
from keycairn.plugins.managing.common import (
    ask,
    managed_at,
    managing_secret,
    managing_url,
    read_pages,
    shortened,
)
from keycairn.ports.http import Http

MANAGEMENT = KeyManagement(
    creation=KeyCreation.LISTED,
    revokes=False,
    fields=(
        managing_secret("admin_key", "Admin key", "Of the organization's Admin API. It calls no models."),
        FieldSpec(name="user_id", label="User id", required=True, help="Whose keys they are."),
        FieldSpec(name="workspace_uuid", label="Workspace", required=True, help="Its UUID, in which keys are made."),
        managing_url("https://console.mistral.ai/api/admin"),
    ),
    page="https://console.mistral.ai/api-keys",
)
_A_PAGE = 100
_SHORTEST = 4
"""Characters that a masked key has to show, to be taken for one."""


class _Row(Struct):
    key_id: str
    hidden_key: str = ""
    name: str | None = None
    created_at: datetime | None = None
    expiration: datetime | None = None


class _Rows(Struct):
    keys: list[_Row]


class _Made(Struct):
    key_id: str
    key: str | None = None
    api_key: str | None = None
    expiration: datetime | None = None


class MistralKeys:
    """Makes and lists keys of a user."""

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        """A key in the workspace."""
        body = {
            "user_id": manager.text("user_id"),
            "workspace_uuid": manager.text("workspace_uuid"),
            "name": order.tag,
        }
        made = decode(await ask(http, "POST", _url(manager), _headers(manager), body), _Made)
        key = made.key or made.api_key
        if not key:
            raise GarbledAnswerError
        return MadeKey(id=made.key_id, secrets={"api_key": Secret(key)}, expires=made.expiration)

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """All keys of the organization."""
        query = {"limit": str(_A_PAGE), "offset": "0"}
        found = await read_pages(http, _url(manager), _Rows, query=query, headers=_headers(manager), more=_more)
        return tuple(
            ListedKey(
                id=row.key_id,
                tag=row.name or "",
                current=_is_own(row, manager),
                created=row.created_at,
                expires=row.expiration,
            )
            for page in found
            for row in page.keys
        )


def _more(found: Sequence[_Rows]) -> Mapping[str, str] | None:
    offset = sum(len(page.keys) for page in found)
    return {"offset": str(offset)} if len(found[-1].keys) >= _A_PAGE else None


def _is_own(row: _Row, manager: Account) -> bool:
    key, hint = manager.secret(), row.hidden_key.strip()
    end = hint.lstrip(".*\u2026")
    masked = len(end) >= _SHORTEST and end != hint and key is not None and key.reveal().endswith(end)
    return masked or shortened(key, hint)


def _url(manager: Account) -> str:
    return f"{managed_at(manager)}/api-keys"


def _headers(manager: Account) -> dict[str, str | Secret]:
    return {"x-api-key": required_header_secret(manager, "admin_key")}
