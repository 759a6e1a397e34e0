"""Azure OpenAI's keys: a resource has two, of which the one that is not in use is made anew.

Source: learn.microsoft.com/azure/ai-services/rotate-keys, and azure-mgmt-cognitiveservices (accounts: listKeys,
regenerateKey, api-version 2025-09-01). Who calls that is an application of Entra ID with a role on the resource that
may list and regenerate keys.
"""

from typing import Literal
from urllib.parse import urlencode

from msgspec import Struct

from keycairn.domain.errors import InvalidInputError
from keycairn.domain.field import FieldSpec
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import decode
from keycairn.plugins.managing.common import MAKE_WITHIN, ask, managed_at, managing_secret, managing_url, segment
from keycairn.ports.http import Http, Request
from keycairn.ports.token_cache import BoughtToken

API_VERSION = "2025-09-01"
MANAGEMENT = KeyManagement(
    creation=KeyCreation.REPLACING,
    tagged=False,
    fields=(
        FieldSpec(name="tenant_id", label="Tenant id", required=True, help="Of Entra ID."),
        FieldSpec(name="client_id", label="Application (client) id", required=True),
        managing_secret("client_secret", "Client secret", "Of that application.", sent_to=("login_url",)),
        FieldSpec(name="subscription_id", label="Subscription id", required=True),
        FieldSpec(name="resource_group", label="Resource group", required=True),
        FieldSpec(name="account_name", label="Resource", required=True, help="The name of the Azure OpenAI resource."),
        managing_url("https://management.azure.com"),
        managing_url("https://login.microsoftonline.com", "login_url", "URL of Entra ID"),
    ),
    page="https://portal.azure.com/",
)
_NEITHER = "The credential's key is none of the two of that resource."


class _Keys(Struct):
    key1: str
    key2: str


class _Token(Struct):
    access_token: str
    expires_in: int = 3600


class AzureKeys:
    """Lists the two keys of a resource, and makes one of them anew."""

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:  # noqa: ARG002  # it has no name
        """The key that is not the account's, made anew."""
        keys = await _keys(manager, http)
        own = manager.secret()
        name = next((name for name, key in keys.items() if key != own), None)
        if own not in keys.values() or name is None:
            raise InvalidInputError(_NEITHER)
        return MadeKey(id=name, secrets={"api_key": (await _anew(manager, name, http))[name]})

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Made anew, so that what it was works no more."""
        if key.id not in {"Key1", "Key2"}:
            raise InvalidInputError("A resource's keys are Key1 and Key2.")
        former = key.secrets.get("api_key")
        if former is None or former in (await _keys(manager, http)).values():
            await _anew(manager, key.id, http)

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """The two."""
        own = manager.secret()
        keys = await _keys(manager, http)
        return tuple(ListedKey(id=name, current=key == own, secret=key) for name, key in keys.items())


async def _keys(manager: Account, http: Http) -> dict[str, Secret]:
    return _named(decode(await ask(http, "POST", _url(manager, "listKeys"), await _headers(manager, http)), _Keys))


async def _anew(manager: Account, name: str, http: Http) -> dict[str, Secret]:
    url, headers = _url(manager, "regenerateKey"), await _headers(manager, http)
    return _named(decode(await ask(http, "POST", url, headers, {"keyName": name}), _Keys))


def _named(keys: _Keys) -> dict[str, Secret]:
    return {"Key1": Secret(keys.key1), "Key2": Secret(keys.key2)}


def _url(manager: Account, action: Literal["listKeys", "regenerateKey"]) -> str:
    subscription, group, name = (
        segment(manager.text(part)) for part in ("subscription_id", "resource_group", "account_name")
    )
    path = f"subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices/accounts/{name}"
    return f"{managed_at(manager)}/{path}/{action}?api-version={API_VERSION}"


async def _headers(manager: Account, http: Http) -> dict[str, str | Secret]:
    async def buy(account: Account) -> BoughtToken:
        secret = account.secret("client_secret")
        form = {
            "grant_type": "client_credentials",
            "client_id": account.text("client_id"),
            "client_secret": secret.reveal() if secret else "",
            "scope": f"{managed_at(account)}/.default",
        }
        tenant = segment(account.text("tenant_id"))
        request = Request(
            method="POST",
            url=f"{managed_at(account, 'login_url')}/{tenant}/oauth2/v2.0/token",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
            secret_body=True,
        )
        bought = decode(await http.send(request, deadline=MAKE_WITHIN), _Token)
        return BoughtToken(token=Secret(bought.access_token), expires_in=bought.expires_in)

    token = await http.tokens.get(manager, buy, purpose="key management")
    return {"Authorization": Secret(f"Bearer {token.reveal()}")}
