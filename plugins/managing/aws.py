"""Keys of an IAM user, for Amazon Bedrock: its API keys, or the access keys that sign requests.

Source: the service model of iam in github.com/boto/botocore (CreateServiceSpecificCredential, CreateAccessKey, their
List and Delete). They have no names, and a user has two of a kind at most, so the user has to be for Keycairn alone.
"""

import re
import time
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from html import unescape
from urllib.parse import urlencode

from keycairn.domain.errors import GarbledAnswerError, InvalidAuthError
from keycairn.domain.field import FieldSpec
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins.failures import raise_for_failure
from keycairn.plugins.managing.common import MAKE_WITHIN, gone, managed_at, managing_secret, managing_url, pages
from keycairn.plugins.sigv4 import Keys, signed_headers
from keycairn.ports.http import Http, Request, Response

VERSION = "2010-05-08"
REGION = "us-east-1"
"""What IAM's global address signs for."""
BEDROCK = "bedrock.amazonaws.com"
MANAGEMENT = KeyManagement(
    creation=KeyCreation.LISTED,
    secrets=("api_key", "access_key_id", "secret_access_key"),
    tagged=False,
    takes_effect=600.0,
    fields=(
        managing_secret("manager_access_key_id", "Managing access key id", "Of a user who may manage the keys."),
        managing_secret("manager_secret_access_key", "Managing secret access key", "It signs, and is never sent."),
        FieldSpec(
            name="user_name",
            label="User",
            required=True,
            help="The IAM user whose keys rotate. It has to be for Keycairn alone: a key that appears meanwhile "
            "is taken for its own.",
        ),
        managing_url("https://iam.amazonaws.com", "iam_url", "URL of IAM"),
    ),
    page="https://console.aws.amazon.com/iam/home#/users",
)


class IAMKeys:
    """Makes, lists and deletes keys of a user, of the kind that the account has."""

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:  # noqa: ARG002  # it has no name
        """Another key of the same kind."""
        if _signs(manager):
            text = await _asked(manager, http, "CreateAccessKey")
            id, secret = _needed(text, "AccessKeyId"), _needed(text, "SecretAccessKey")
            return MadeKey(id=_told(id), secrets={"access_key_id": Secret(id), "secret_access_key": Secret(secret)})
        text = await _asked(manager, http, "CreateServiceSpecificCredential", ServiceName=BEDROCK)
        return MadeKey(
            id=_needed(text, "ServiceSpecificCredentialId"),
            secrets={"api_key": Secret(_needed(text, "ServiceCredentialSecret"))},
            expires=_time(_member(text, "ExpirationDate")),
        )

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Deleted for good."""
        if _signs(manager):
            for id in [one for one in await _ids(manager, http) if _told(one) == key.id]:
                gone(await _sent(manager, http, "DeleteAccessKey", AccessKeyId=id))
        else:
            gone(await _sent(manager, http, "DeleteServiceSpecificCredential", ServiceSpecificCredentialId=key.id))

    async def list_keys(self, manager: Account, http: Http) -> tuple[ListedKey, ...]:
        """All keys of the kind that the user has, inactive ones too."""
        return tuple(_listed(manager, one) for one in await _rows(manager, http))


async def _rows(manager: Account, http: Http) -> list[str]:
    signs = _signs(manager)
    action = "ListAccessKeys" if signs else "ListServiceSpecificCredentials"
    more: dict[str, str] = {} if signs else {"ServiceName": BEDROCK}
    found: list[str] = []
    for _ in pages():
        text = await _asked(manager, http, action, **more)
        found += [one for one in _members(text) if _member(one, _name(manager))]
        marker = _member(text, "Marker")
        if _member(text, "IsTruncated") != "true" or not marker:
            break
        more["Marker"] = marker
    return found


async def _ids(manager: Account, http: Http) -> list[str]:
    return [_needed(one, _name(manager)) for one in await _rows(manager, http)]


def _name(manager: Account) -> str:
    return "AccessKeyId" if _signs(manager) else "ServiceSpecificCredentialId"


def _told(id: str) -> str:
    """What an access key is called where it is told: its id is a secret of the account."""
    return f"access-key-{sha256(id.encode()).hexdigest()[:24]}"


def _listed(manager: Account, text: str) -> ListedKey:
    id = _needed(text, _name(manager))
    return ListedKey(
        id=_told(id) if _signs(manager) else id,
        current=_is_own(manager, text, id),
        usable=_member(text, "Status") != "Inactive",
        created=_time(_member(text, "CreateDate")),
        expires=_time(_member(text, "ExpirationDate")),
    )


def _is_own(manager: Account, text: str, id: str) -> bool:
    """An access key is its id; a Bedrock key begins with its alias, in base64 or as it is."""
    if _signs(manager):
        own = manager.secret("access_key_id")
        return own is not None and own.reveal() == id
    alias, key = _member(text, "ServiceCredentialAlias"), manager.secret()
    return bool(alias) and key is not None and (alias in key.reveal() or _encoded(alias) in key.reveal())


def _encoded(alias: str) -> str:
    """The whole groups of the alias in base64, which stand in a key that begins with it."""
    whole = alias.encode()[: len(alias) // 3 * 3]
    return b64encode(whole).decode() or "\0"


def _signs(manager: Account) -> bool:
    return manager.secret() is None and manager.secret("access_key_id") is not None


async def _asked(manager: Account, http: Http, action: str, **more: str) -> str:
    response = await _sent(manager, http, action, **more)
    raise_for_failure(response)
    text = response.body.decode("utf-8", "replace")
    if f"<{action}Response" not in text or f"</{action}Response>" not in text:
        raise GarbledAnswerError(status=response.status)
    return text


async def _sent(manager: Account, http: Http, action: str, **more: str) -> Response:
    form = {"Action": action, "Version": VERSION, "UserName": manager.text("user_name"), **more}
    body = urlencode(form).encode()
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    url = f"{managed_at(manager, 'iam_url')}/"
    id, secret = manager.secret("manager_access_key_id"), manager.secret("manager_secret_access_key")
    if id is None or secret is None:
        raise InvalidAuthError("There is no access key that manages keys. Nothing was sent.")
    signed: Mapping[str, str | Secret] = signed_headers(
        "POST",
        url,
        headers,
        body_sha256=sha256(body).hexdigest(),
        keys=Keys(id, secret),
        region=REGION,
        service="iam",
        at=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
    )
    return await http.send(
        Request(method="POST", url=url, headers={**headers, **signed}, body=body), deadline=MAKE_WITHIN
    )


def _members(text: str) -> list[str]:
    return re.findall(r"<member>(.*?)</member>", text, re.DOTALL)


def _member(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return unescape(found[1]).strip() if found else ""


def _needed(text: str, name: str) -> str:
    if not (found := _member(text, name)):
        raise GarbledAnswerError
    return found


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
