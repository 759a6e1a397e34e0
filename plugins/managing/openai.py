"""OpenAI's keys: a service account of a project for each, since its keys are deleted with it.

Source: github.com/openai/openai-openapi (organization/projects/{project_id}/service_accounts, .../api_keys). Whether a
service account's key can be deleted alone, its descriptions disagree about.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from keycairn.domain.errors import InvalidInputError
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
    unix_time,
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
            expires=unix_time(made.api_key.expires_at),
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
                created=unix_time(one.created_at),
            )
            for one in await _pages(manager, _ACCOUNTS, http)
        ]
        persons = [
            ListedKey(
                id=f"{_KEYS}/{one.id}",
                current=f"{_KEYS}/{one.id}" in ours,
                created=unix_time(one.created_at),
                expires=unix_time(one.expires_at),
            )
            for one in keys
            if _address(one).startswith(_KEYS)
        ]
        return (*accounts, *persons)


async def _pages(manager: Account, path: str, http: Http) -> list[_Listed]:
    query = {"limit": "100"} | ({"owner_project_access": "any"} if path == _KEYS else {})
    url = f"{_project(manager)}/{path}"
    found = await read_pages(http, url, _Page, query=query, headers=_headers(manager), more=_more)
    return [row for page in found for row in page.data]


def _more(found: Sequence[_Page]) -> Mapping[str, str] | None:
    last = found[-1]
    return {"after": last.last_id or last.data[-1].id} if last.has_more and last.data else None


def _address(key: _Listed) -> str:
    account = key.owner.service_account if key.owner else None
    return f"{_KEYS}/{key.id}" if account is None else f"{_ACCOUNTS}/{account.id}"


def _project(manager: Account) -> str:
    return f"{managed_at(manager)}/organization/projects/{segment(manager.text('project_id'))}"


def _headers(manager: Account) -> Headers:
    return bearer(manager, "admin_key")
