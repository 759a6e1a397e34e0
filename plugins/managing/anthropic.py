"""Anthropic's keys: a person makes them, the API lists them and sets them inactive.

Source: platform.claude.com/docs, manage-claude/admin-api-keys; `partial_key_hint` and `status` as anthropic-sdk-python,
beta/organization/api_keys.py. An inactive key can be made active again by a person; archiving one is left to him too.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyRef, ListedKey
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.fields import required_header_secret
from keycairn.plugins.managing.common import (
    ask,
    gone,
    managed_at,
    managing_secret,
    managing_url,
    read_pages,
    segment,
    shortened,
)
from keycairn.ports.http import Http

VERSION = "2023-06-01"
MANAGEMENT = KeyManagement(
    creation=KeyCreation.BY_PERSON,
    fields=(
        managing_secret("admin_key", "Admin key", "sk-ant-admin..., of the organization. It calls no models."),
        managing_url("https://api.anthropic.com/v1"),
    ),
    page="https://console.anthropic.com/settings/keys",
)


class _Row(Struct):
    id: str
    name: str = ""
    status: str = ""
    partial_key_hint: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


class _Page(Struct):
    data: list[_Row]
    has_more: bool = False
    last_id: str | None = None


class AnthropicKeys:
    """Lists the keys of an organization, and sets them inactive."""

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Set inactive, which ends it at once."""
        url = f"{_url(manager)}/{segment(key.id)}"
        gone(await ask(http, "POST", url, _headers(manager), {"status": "inactive"}))

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """All keys of the organization, in whatever workspace."""
        found = await read_pages(
            http, _url(manager), _Page, query={"limit": "1000"}, headers=_headers(manager), more=_more
        )
        return tuple(
            ListedKey(
                id=row.id,
                tag=row.name,
                current=shortened(manager.secret(), row.partial_key_hint or ""),
                usable=row.status == "active",
                created=row.created_at,
                expires=row.expires_at,
            )
            for page in found
            for row in page.data
        )


def _more(found: Sequence[_Page]) -> Mapping[str, str] | None:
    return {"after_id": found[-1].last_id} if found[-1].has_more and found[-1].last_id else None


def _url(manager: Account) -> str:
    return f"{managed_at(manager)}/organizations/api_keys"


def _headers(manager: Account) -> dict[str, str | Secret]:
    return {"x-api-key": required_header_secret(manager, "admin_key"), "anthropic-version": VERSION}
