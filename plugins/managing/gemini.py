"""Keys of the Gemini API: API keys of a Google Cloud project.

Source: the discovery document of apikeys.googleapis.com v2 (projects.locations.keys, keys.lookupKey), and
ai.google.dev/gemini-api/docs/api-key. We choose a key's id, its text is read with the managing account's right to do
so, a deleted key lives on for 30 days as one that works no more. Whether v2 makes the keys that are bound to a service
account, which Gemini asks for since September 2026, is not documented; what the key in use is bound to is asked for
again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from keycairn.domain.errors import (
    AddressNotFoundError,
    CallRefusedError,
    GarbledAnswerError,
    NoPermissionError,
    ProviderTimeoutError,
)
from keycairn.domain.field import FieldSpec
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import decode
from keycairn.plugins.managing.common import (
    MAKE_WITHIN,
    ask,
    gone,
    managed_at,
    managing_url,
    read_pages,
    segment,
)
from keycairn.plugins.managing.google_token import google_headers, managing_account, token_url
from keycairn.ports.http import Http, Request

MANAGEMENT = KeyManagement(
    creation=KeyCreation.LISTED,
    takes_effect=900.0,
    fields=(
        managing_account("With the role API Keys Admin in the project whose keys rotate."),
        FieldSpec(name="project_id", label="Project", required=True, help="The project in which keys are made."),
        FieldSpec(
            name="service_account_email",
            label="Service account of the keys",
            help="To which new keys are bound; empty for the one of the key in use, or for none.",
        ),
        managing_url("https://apikeys.googleapis.com"),
        token_url(),
    ),
    page="https://aistudio.google.com/app/apikey",
)
GEMINI = {"apiTargets": [{"service": "generativelanguage.googleapis.com"}]}
"""What a new key may call, where the key in use tells nothing else."""
PAGE = 300
WAITS = (0.1, 0.4, 1.0, 2.0, 4.0, 8.0, 8.0)
"""Seconds between two looks at a creation that goes on."""


class _Row(Struct, rename="camel"):
    name: str
    display_name: str = ""
    create_time: datetime | None = None
    delete_time: datetime | None = None
    restrictions: Raw | UnsetType = UNSET
    service_account_email: str = ""

    @property
    def id(self) -> str:
        return self.name.rpartition("/")[2]


class _Rows(Struct, rename="camel"):
    keys: list[_Row] = []
    next_page_token: str = ""


class _Operation(Struct):
    name: str = ""
    done: bool = False


class _Text(Struct, rename="camel"):
    key_string: str


class _Found(Struct):
    name: str = ""


class GeminiKeys:
    """Makes, lists and deletes API keys of a project."""

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        """A key that may call what the account's own may, bound to the same service account."""
        own = await self._own(manager, http)
        body: dict[str, Any] = {"displayName": order.tag, "restrictions": GEMINI}
        if own is not None and isinstance(own.restrictions, Raw):
            body["restrictions"] = msgspec.json.decode(own.restrictions)
        if bound := manager.text("service_account_email") or (own.service_account_email if own is not None else ""):
            body["serviceAccountEmail"] = bound
        url = f"{_url(manager)}?{urlencode({'keyId': order.tag})}"
        begun = decode(await ask(http, "POST", url, await google_headers(manager, http), body), _Operation)
        await self._done(manager, begun, http)
        url = f"{_url(manager)}/{segment(order.tag)}/keyString"
        text = decode(await ask(http, "GET", url, await google_headers(manager, http)), _Text).key_string
        return MadeKey(id=order.tag, secrets={"api_key": Secret(text)})

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Deleted; Google keeps it for 30 days as one that works no more."""
        url = f"{_url(manager)}/{segment(key.id)}"
        gone(await ask(http, "DELETE", url, await google_headers(manager, http)))

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """All keys of the project; those that were deleted are left out."""
        found = await read_pages(
            http,
            _url(manager),
            _Rows,
            query={"pageSize": str(PAGE)},
            headers=await google_headers(manager, http),
            more=_more,
        )
        own = await self._own_id(manager, http)
        return tuple(
            ListedKey(
                id=row.id,
                tag=row.display_name,
                current=row.id == own,
                usable=row.delete_time is None,
                created=row.create_time,
            )
            for page in found
            for row in page.keys
        )

    async def _done(self, manager: Account, operation: _Operation, http: Http) -> None:
        """Wait until a creation is done. Raises ProviderError; ProviderTimeoutError where it takes too long."""
        for pause in WAITS:
            if operation.done:
                return
            if not operation.name.startswith("operations/"):
                raise GarbledAnswerError
            await asyncio.sleep(pause)
            url = f"{managed_at(manager)}/v2/operations/{segment(operation.name.partition('/')[2])}"
            operation = decode(await ask(http, "GET", url, await google_headers(manager, http)), _Operation)
        if not operation.done:
            raise ProviderTimeoutError

    async def _own(self, manager: Account, http: Http) -> _Row | None:
        """What Google says of the account's own key, None where it is none of the project's."""
        own = await self._own_id(manager, http)
        if not own:
            return None
        try:
            url = f"{_url(manager)}/{segment(own)}"
            return decode(await ask(http, "GET", url, await google_headers(manager, http)), _Row)
        except AddressNotFoundError:
            return None

    async def _own_id(self, manager: Account, http: Http) -> str:
        """The id of the account's own key; "" where Google does not know it, or may not tell.

        Asked for with POST, as Google's own clients do with what is too long for a URL (HttpRequest.execute of
        google-api-python-client): a key in a URL would stand in logs.
        """
        own = manager.secret()
        if own is None:
            return ""
        headers: dict[str, str | Secret] = {
            **await google_headers(manager, http),
            "Content-Type": "application/x-www-form-urlencoded",
            "X-HTTP-Method-Override": "GET",
        }
        body = urlencode({"keyString": own.reveal()}).encode()
        url = f"{managed_at(manager)}/v2/keys:lookupKey"
        request = Request(method="POST", url=url, headers=headers, body=body, secret_body=True)
        try:
            return decode(await http.send(request, deadline=MAKE_WITHIN), _Found).name.rpartition("/")[2]
        except (AddressNotFoundError, NoPermissionError, CallRefusedError):
            return ""


def _more(found: Sequence[_Rows]) -> Mapping[str, str] | None:
    token = found[-1].next_page_token
    return {"pageToken": token} if token else None


def _url(manager: Account) -> str:
    return f"{managed_at(manager)}/v2/projects/{segment(manager.text('project_id'))}/locations/global/keys"
