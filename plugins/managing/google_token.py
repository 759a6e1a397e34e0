"""The token that requests to Google carry which manage keys: bought with the managing service account."""

from hashlib import sha256
from urllib.parse import urlencode

from msgspec import Struct

from keycairn.domain.field import FieldSpec, SecretForm
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import decode
from keycairn.plugins.managing.assertions import GRANT, TOKEN_URL, assertion
from keycairn.plugins.managing.common import MAKE_WITHIN, managing_url
from keycairn.ports.http import Http, Request
from keycairn.ports.token_cache import BoughtToken

TOKEN_FIELD = "management_token_url"  # noqa: S105  # the name of a setting


class _Token(Struct):
    access_token: str
    expires_in: int = 3600


def managing_account(help: str) -> FieldSpec:
    """The field for the managing service account."""
    return FieldSpec(
        name="manager",
        label="Managing service account (JSON)",
        secret=True,
        required=True,
        form=SecretForm.SERVICE_ACCOUNT,
        sent_to=(TOKEN_FIELD,),
        help=help,
    )


def token_url() -> FieldSpec:
    """The field for where tokens are bought."""
    return managing_url(TOKEN_URL, TOKEN_FIELD, "Token URL of the key management")


async def google_headers(manager: Account, http: Http) -> dict[str, str | Secret]:
    """What authorizes a request. Raises InvalidAuthError, ProviderError."""
    secret = manager.secret("manager")
    signer = secret.reveal().encode() if secret else b""

    async def buy(account: Account) -> BoughtToken:
        url = account.text(TOKEN_FIELD)
        form = urlencode({"grant_type": GRANT, "assertion": assertion(signer, url)}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        request = Request(method="POST", url=url, headers=headers, body=form, secret_body=True)
        bought = decode(await http.send(request, deadline=MAKE_WITHIN), _Token)
        return BoughtToken(token=Secret(bought.access_token), expires_in=bought.expires_in)

    token = await http.tokens.get(manager, buy, purpose=sha256(signer).hexdigest())
    return {"Authorization": Secret(f"Bearer {token.reveal()}")}
