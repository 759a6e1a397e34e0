"""Keys of Google's service accounts, for Vertex AI.

Source: the discovery document of iam.googleapis.com v1 (projects.serviceAccounts.keys). Keys have no names, so the
service account has to be for Keycairn alone; it holds ten at most. Tokens bought with a key live on for an hour.
"""

import json
from base64 import b64decode
from datetime import datetime
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from keycairn.domain.errors import GarbledAnswerError, InvalidAuthError
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import decode
from keycairn.plugins.managing.common import ask, gone, managed_at, managing_url, segment
from keycairn.plugins.managing.google_token import google_headers, managing_account, token_url
from keycairn.ports.http import Http

MANAGEMENT = KeyManagement(
    creation=KeyCreation.LISTED,
    secrets=("service_account",),
    tagged=False,
    takes_effect=600.0,
    fields=(
        managing_account(
            "Another one, with the role Service Account Key Admin on the account whose keys rotate, which has to "
            "be for Keycairn alone: a key that appears there during a rotation is taken for Keycairn's."
        ),
        managing_url("https://iam.googleapis.com"),
        token_url(),
    ),
    page="https://console.cloud.google.com/iam-admin/serviceaccounts",
)


class _Signer(Struct):
    client_email: str
    private_key_id: str = ""


class _Row(Struct, rename="camel"):
    name: str
    valid_after_time: datetime | None = None
    valid_before_time: datetime | None = None
    disabled: bool = False


class _Rows(Struct):
    keys: list[_Row] = []


class _Made(Struct, rename="camel"):
    name: str
    private_key_data: str
    valid_before_time: datetime | None = None


class GoogleAccountKeys:
    """Makes, lists and deletes keys of the account's service account."""

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:  # noqa: ARG002  # it has no name
        """Another key of the same service account, as the file Google gives out."""
        answer = await ask(http, "POST", _url(manager), await google_headers(manager, http), {})
        made = decode(answer, _Made)
        try:
            text = b64decode(made.private_key_data, validate=True).decode()
            json.loads(text)
        except ValueError:
            raise GarbledAnswerError(status=answer.status) from None
        id = made.name.rpartition("/")[2]
        return MadeKey(id=id, secrets={"service_account": Secret(text)}, expires=made.valid_before_time)

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Deleted for good."""
        url = f"{_url(manager)}/{segment(key.id)}"
        gone(await ask(http, "DELETE", url, await google_headers(manager, http)))

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """The keys that persons and programs made; Google's own are left out. The list has no pages."""
        url = f"{_url(manager)}?{urlencode({'keyTypes': 'USER_MANAGED'})}"
        rows = decode(await ask(http, "GET", url, await google_headers(manager, http)), _Rows).keys
        own = _signer(manager).private_key_id
        return tuple(
            ListedKey(
                id=(id := row.name.rpartition("/")[2]),
                current=id == own,
                usable=not row.disabled,
                created=row.valid_after_time,
                expires=row.valid_before_time
                if row.valid_before_time and row.valid_before_time.year < _NEVER
                else None,
            )
            for row in rows
        )


_NEVER = 9999
"""The year in which Google says that a key ends that does not end."""


def _signer(manager: Account) -> _Signer:
    own = manager.secret("service_account")
    try:
        return msgspec.json.decode(own.reveal() if own else "", type=_Signer)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        raise InvalidAuthError("The credential holds no service account whose keys could be managed.") from None


def _url(manager: Account) -> str:
    email = quote(_signer(manager).client_email, safe="@")
    return f"{managed_at(manager)}/v1/projects/-/serviceAccounts/{email}/keys"
