"""OpenRouter's keys.

Source: the OpenAPI description in github.com/OpenRouterTeam/typescript-sdk (createKeys, list, deleteKeys). That
`hash` is the SHA-256 of a key is not documented, so the account's own is looked for by its `label` too.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from keycairn.domain.field import FieldSpec
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import decode
from keycairn.plugins.managing.common import (
    Headers,
    ask,
    bearer,
    gone,
    managed_at,
    managing_secret,
    managing_url,
    read_pages,
    segment,
    sha256_of,
    shortened,
)
from keycairn.ports.http import Http

MANAGEMENT = KeyManagement(
    creation=KeyCreation.LISTED,
    fields=(
        managing_secret("management_key", "Management key", "Of Settings, Management keys. It calls no models."),
        FieldSpec(name="workspace_id", label="Workspace id", help="Of the keys; empty for the default workspace."),
        managing_url("https://openrouter.ai/api/v1"),
    ),
    page="https://openrouter.ai/settings/keys",
)
_A_PAGE = 100
_KEPT = ("limit", "limit_reset", "include_byok_in_limit")
"""What a key may do, which the next one may too."""


class _Row(Struct):
    hash: str
    name: str = ""
    label: str = ""
    disabled: bool = False
    created_at: datetime | None = None
    expires_at: datetime | None = None
    limit: float | None = None
    limit_reset: str | None = None
    include_byok_in_limit: bool | None = None


class _Rows(Struct):
    data: list[_Row]


class _Made(Struct):
    data: _Row
    key: str


class OpenRouterKeys:
    """Makes, lists and deletes keys of a workspace."""

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        """A key with the limits of the account's own."""
        own = next((row for row in await _rows(manager, http) if _is_own(row, manager)), None)
        kept = {name: getattr(own, name) for name in _KEPT if own is not None}
        asked = {"name": order.tag, "workspace_id": manager.text("workspace_id") or None, **kept}
        body = {name: value for name, value in asked.items() if value is not None}
        made = decode(await ask(http, "POST", f"{managed_at(manager)}/keys", _headers(manager), body), _Made)
        return MadeKey(id=made.data.hash, secrets={"api_key": Secret(made.key)}, expires=made.data.expires_at)

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Deleted for good."""
        gone(await ask(http, "DELETE", f"{managed_at(manager)}/keys/{segment(key.id)}", _headers(manager)))

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """All keys of the workspace, disabled and ended ones too."""
        return tuple(
            ListedKey(
                id=row.hash,
                tag=row.name,
                current=_is_own(row, manager),
                usable=not row.disabled,
                created=row.created_at,
                expires=row.expires_at,
            )
            for row in await _rows(manager, http)
        )


async def _rows(manager: Account, http: Http) -> list[_Row]:
    asked = {"include_disabled": "true", "include_expired": "true", "offset": "0"}
    if workspace := manager.text("workspace_id"):
        asked["workspace_id"] = workspace
    found = await read_pages(
        http, f"{managed_at(manager)}/keys", _Rows, query=asked, headers=_headers(manager), more=_more
    )
    return [row for page in found for row in page.data]


def _more(found: Sequence[_Rows]) -> Mapping[str, str] | None:
    offset = sum(len(page.data) for page in found)
    return {"offset": str(offset)} if len(found[-1].data) >= _A_PAGE else None


def _headers(manager: Account) -> Headers:
    return bearer(manager, "management_key")


def _is_own(row: _Row, manager: Account) -> bool:
    return row.hash == sha256_of(manager.secret()) or shortened(manager.secret(), row.label)
