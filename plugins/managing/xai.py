"""xAI's keys: those of a team.

Source: docs.x.ai/developers/management-api-guide (auth/teams/{team_id}/api-keys, auth/api-keys/{id}).
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
    shortened,
)
from keycairn.ports.http import Http

MANAGEMENT = KeyManagement(
    creation=KeyCreation.LISTED,
    fields=(
        managing_secret("management_key", "Management key", "Of the console's settings. It calls no models."),
        FieldSpec(name="team_id", label="Team id", required=True),
        managing_url("https://management-api.x.ai"),
    ),
    page="https://console.x.ai",
)
_EVERYTHING = ("api-key:model:*", "api-key:endpoint:*")


class _Row(Struct, rename="camel"):
    api_key_id: str
    name: str = ""
    redacted_api_key: str = ""
    acls: list[str] = []
    disabled: bool = False
    create_time: datetime | None = None
    expire_time: datetime | None = None


class _Rows(Struct, rename="camel"):
    api_keys: list[_Row] = []
    pagination_token: str | None = None


class _Made(Struct, rename="camel"):
    api_key: str
    api_key_id: str
    expire_time: datetime | None = None


class XAIKeys:
    """Makes, lists and deletes keys of a team."""

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        """A key that may do what the account's own may."""
        rows = await _rows(manager, http)
        acls = next((row.acls for row in rows if shortened(manager.secret(), row.redacted_api_key)), [])
        body = {"name": order.tag, "acls": acls or list(_EVERYTHING)}
        made = decode(await ask(http, "POST", _url(manager), _headers(manager), body), _Made)
        return MadeKey(id=made.api_key_id, secrets={"api_key": Secret(made.api_key)}, expires=made.expire_time)

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Deleted for good."""
        url = f"{managed_at(manager)}/auth/api-keys/{segment(key.id)}"
        gone(await ask(http, "DELETE", url, _headers(manager)))

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """All keys of the team."""
        return tuple(
            ListedKey(
                id=row.api_key_id,
                tag=row.name,
                current=shortened(manager.secret(), row.redacted_api_key),
                usable=not row.disabled,
                created=row.create_time,
                expires=row.expire_time,
            )
            for row in await _rows(manager, http)
        )


async def _rows(manager: Account, http: Http) -> list[_Row]:
    found = await read_pages(
        http, _url(manager), _Rows, query={"pageSize": "100"}, headers=_headers(manager), more=_more
    )
    return [row for page in found for row in page.api_keys]


def _more(found: Sequence[_Rows]) -> Mapping[str, str] | None:
    token = found[-1].pagination_token
    return {"paginationToken": token} if token else None


def _url(manager: Account) -> str:
    return f"{managed_at(manager)}/auth/teams/{segment(manager.text('team_id'))}/api-keys"


def _headers(manager: Account) -> Headers:
    return bearer(manager, "management_key")
