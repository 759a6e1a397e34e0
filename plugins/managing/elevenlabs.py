"""ElevenLabs' keys: those of a service account.

Source: elevenlabs.io/docs/api-reference/service-accounts (api-keys), as elevenlabs-python, service_accounts/api_keys.
"""

from typing import Any

from msgspec import Struct, field

from keycairn.domain.field import FieldSpec
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import decode
from keycairn.plugins.fields import required_header_secret
from keycairn.plugins.managing.common import (
    ask,
    gone,
    managed_at,
    managing_secret,
    managing_url,
    segment,
    sha256_of,
    shortened,
    unix_time,
)
from keycairn.ports.http import Http

MANAGEMENT = KeyManagement(
    creation=KeyCreation.LISTED,
    fields=(
        managing_secret("admin_key", "Admin's key", "Of an administrator of the workspace."),
        FieldSpec(
            name="service_account_id", label="Service account", required=True, help="The user id it has; keys are its."
        ),
        managing_url("https://api.elevenlabs.io/v1"),
    ),
    page="https://elevenlabs.io/app/settings/service-accounts",
)
_SHORTEST = 3


class _Row(Struct):
    key_id: str
    name: str = ""
    hint: str = ""
    is_disabled: bool = False
    created_at_unix: int | None = None
    expires_at_unix: int | None = None
    permissions: list[str] | str | None = None
    character_limit: int | None = None
    hashed_xi_api_key: str | None = None


class _Rows(Struct):
    rows: list[_Row] = field(name="api-keys")


class _Made(Struct):
    key_id: str
    key: str = field(name="xi-api-key")


class ElevenLabsKeys:
    """Makes, lists and deletes keys of a service account."""

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        """A key that may do what the account's own may."""
        own = next((row for row in await _rows(manager, http) if _is_own(row, manager)), None)
        body: dict[str, Any] = {"name": order.tag, "permissions": (own.permissions if own else None) or "all"}
        if own is not None and own.character_limit is not None:
            body["character_limit"] = own.character_limit
        made = decode(await ask(http, "POST", _url(manager), _headers(manager), body), _Made)
        return MadeKey(id=made.key_id, secrets={"api_key": Secret(made.key)})

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Deleted for good."""
        gone(await ask(http, "DELETE", f"{_url(manager)}/{segment(key.id)}", _headers(manager)))

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """All keys of the service account; the list has no pages."""
        return tuple(
            ListedKey(
                id=row.key_id,
                tag=row.name,
                current=_is_own(row, manager),
                usable=not row.is_disabled,
                created=unix_time(row.created_at_unix),
                expires=unix_time(row.expires_at_unix),
            )
            for row in await _rows(manager, http)
        )


async def _rows(manager: Account, http: Http) -> list[_Row]:
    return decode(await ask(http, "GET", _url(manager), _headers(manager)), _Rows).rows


def _is_own(row: _Row, manager: Account) -> bool:
    """By its hash, where that is the SHA-256, which is not documented; else by its hint."""
    key, hint = manager.secret(), row.hint.strip()
    if key is None:
        return False
    ends = len(hint.strip(".*")) >= _SHORTEST and key.reveal().endswith(hint.strip(".*"))
    return row.hashed_xi_api_key == sha256_of(key) or shortened(key, hint) or ends


def _url(manager: Account) -> str:
    return f"{managed_at(manager)}/service-accounts/{segment(manager.text('service_account_id'))}/api-keys"


def _headers(manager: Account) -> dict[str, str | Secret]:
    return {"xi-api-key": required_header_secret(manager, "admin_key")}
