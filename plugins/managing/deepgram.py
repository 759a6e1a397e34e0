"""Deepgram's keys: those of a project.

Source: developers.deepgram.com/reference/manage (projects/{project_id}/keys, auth/token).
"""

from datetime import datetime

from msgspec import Struct

from keycairn.domain.errors import ProviderError
from keycairn.domain.field import FieldSpec
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import decode
from keycairn.plugins.fields import required_header_secret
from keycairn.plugins.managing.common import ask, gone, managed_at, managing_secret, managing_url, segment
from keycairn.ports.http import Http

MANAGEMENT = KeyManagement(
    creation=KeyCreation.LISTED,
    fields=(
        managing_secret("admin_key", "Admin key", "A key with the scope keys:write."),
        FieldSpec(name="project_id", label="Project id", required=True),
        managing_url("https://api.deepgram.com/v1"),
    ),
    page="https://console.deepgram.com",
)


class _Key(Struct):
    api_key_id: str
    comment: str = ""
    created: datetime | None = None
    expiration_date: datetime | None = None
    scopes: list[str] = []


class _Row(Struct):
    api_key: _Key


class _Rows(Struct):
    api_keys: list[_Row]


class _Made(Struct):
    api_key_id: str
    key: str
    expiration_date: datetime | None = None


class _Own(Struct):
    api_key_id: str


class DeepgramKeys:
    """Makes, lists and deletes keys of a project."""

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        """A key with the scopes of the account's own."""
        own = await _own(manager, http)
        scopes = next((row.scopes for row in await _rows(manager, http) if row.api_key_id == own), [])
        body = {"comment": order.tag, "scopes": scopes or ["member"]}
        made = decode(await ask(http, "POST", _url(manager), _headers(manager), body), _Made)
        return MadeKey(id=made.api_key_id, secrets={"api_key": Secret(made.key)}, expires=made.expiration_date)

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Deleted for good."""
        gone(await ask(http, "DELETE", f"{_url(manager)}/{segment(key.id)}", _headers(manager)))

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """All keys of the project; the list has no pages."""
        rows = await _rows(manager, http)
        own = await _own(manager, http)
        return tuple(
            ListedKey(
                id=row.api_key_id,
                tag=row.comment,
                current=row.api_key_id == own,
                created=row.created,
                expires=row.expiration_date,
            )
            for row in rows
        )


async def _rows(manager: Account, http: Http) -> list[_Key]:
    return [row.api_key for row in decode(await ask(http, "GET", _url(manager), _headers(manager)), _Rows).api_keys]


async def _own(manager: Account, http: Http) -> str:
    """What the account's own key says its id is, "" where it does not work any more."""
    if manager.secret() is None:
        return ""
    headers = {"Authorization": required_header_secret(manager, prefix="Token ")}
    try:
        return decode(await ask(http, "GET", f"{managed_at(manager)}/auth/token", headers), _Own).api_key_id
    except ProviderError:
        return ""


def _url(manager: Account) -> str:
    return f"{managed_at(manager)}/projects/{segment(manager.text('project_id'))}/keys"


def _headers(manager: Account) -> dict[str, str | Secret]:
    return {"Authorization": required_header_secret(manager, "admin_key", prefix="Token ")}
