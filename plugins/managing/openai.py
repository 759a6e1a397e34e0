"""OpenAI's keys: a service account of a project for each, since its keys are deleted with it.

Source: github.com/openai/openai-openapi (organization/projects/{project_id}/service_accounts, .../api_keys). Whether a
service account's key can be deleted alone, its descriptions disagree about.
"""

from datetime import UTC, datetime
from urllib.parse import urlencode

from msgspec import Struct

from keycairn.domain.errors import InvalidInputError
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
    pages,
    segment,
    shortened,
)
from keycairn.ports.http import Http

MANAGEMENT = KeyManagement(
    creation=KeyCreation.LISTED,
    fields=(
        managing_secret("admin_key", "Admin key", "Of the organization's settings, Admin keys. It calls no models."),
        FieldSpec(name="project_id", label="Project", required=True, help="proj_..., in which keys are made."),
        managing_url("https://api.openai.com/v1"),
    ),
    page="https://platform.openai.com/api-keys",
)
_ACCOUNTS, _KEYS = "service_accounts", "api_keys"


class _Key(Struct):
    value: str
    expires_at: int | None = None


class _Made(Struct):
    id: str
    api_key: _Key


class _Owned(Struct):
    id: str


class _Owner(Struct):
    type: str = ""
    service_account: _Owned | None = None


class _Listed(Struct):
    id: str
    name: str | None = None
    redacted_value: str = ""
    created_at: int | None = None
    expires_at: int | None = None
    owner: _Owner | None = None


class _Page(Struct):
    data: list[_Listed]
    has_more: bool = False
    last_id: str | None = None


class OpenAIKeys:
    """Makes, lists and deletes service accounts of a project, and deletes keys that persons made in it.

    A key's id is the end of its address: `service_accounts/svc_acct_...` or `api_keys/key_...`.
    """

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        """A service account with its key."""
        answer = await ask(http, "POST", f"{_project(manager)}/{_ACCOUNTS}", _headers(manager), {"name": order.tag})
        made = decode(answer, _Made)
        return MadeKey(
            id=f"{_ACCOUNTS}/{made.id}",
            secrets={"api_key": Secret(made.api_key.value)},
            expires=_time(made.api_key.expires_at),
        )

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """The service account, or the person's key, deleted."""
        kind, _, id = key.id.partition("/")
        if kind not in {_ACCOUNTS, _KEYS} or not id:
            raise InvalidInputError("A key's id begins with service_accounts/ or api_keys/.")
        gone(await ask(http, "DELETE", f"{_project(manager)}/{kind}/{segment(id)}", _headers(manager)))

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """All service accounts of the project, and the keys of persons."""
        keys = await _pages(manager, _KEYS, http)
        ours = {id for one in keys if shortened(manager.secret(), one.redacted_value) and (id := _address(one))}
        accounts = [
            ListedKey(
                id=f"{_ACCOUNTS}/{one.id}",
                tag=one.name or "",
                current=f"{_ACCOUNTS}/{one.id}" in ours,
                created=_time(one.created_at),
            )
            for one in await _pages(manager, _ACCOUNTS, http)
        ]
        persons = [
            ListedKey(
                id=f"{_KEYS}/{one.id}",
                current=f"{_KEYS}/{one.id}" in ours,
                created=_time(one.created_at),
                expires=_time(one.expires_at),
            )
            for one in keys
            if _address(one).startswith(_KEYS)
        ]
        return (*accounts, *persons)


async def _pages(manager: Account, path: str, http: Http) -> list[_Listed]:
    rows: list[_Listed] = []
    query = {"limit": "100"} | ({"owner_project_access": "any"} if path == _KEYS else {})
    for _ in pages():
        page = decode(
            await ask(http, "GET", f"{_project(manager)}/{path}?{urlencode(query)}", _headers(manager)), _Page
        )
        rows += page.data
        if not page.has_more or not page.data:
            break
        query["after"] = page.last_id or page.data[-1].id
    return rows


def _address(key: _Listed) -> str:
    account = key.owner.service_account if key.owner else None
    return f"{_KEYS}/{key.id}" if account is None else f"{_ACCOUNTS}/{account.id}"


def _project(manager: Account) -> str:
    return f"{managed_at(manager)}/organization/projects/{segment(manager.text('project_id'))}"


def _headers(manager: Account) -> dict[str, str | Secret]:
    return {"Authorization": required_header_secret(manager, "admin_key", prefix="Bearer ")}


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
