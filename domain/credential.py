"""A credential: one account at a provider, its settings in the clear and its secrets sealed."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from keycairn.domain.errors import SecretInPlainFieldError
from keycairn.domain.ids import CredentialId
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import CheckRecord
from keycairn.domain.provider import Account, FieldKind, ProviderSpec, SettingValue
from keycairn.domain.sealed import SealContext, SealedSecret
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url

DEFAULT_WORKSPACE = "default"
TABLE = "credential"


class Credential(Struct, frozen=True, kw_only=True):
    """One account. Holds no plaintext secret, ever.

    `fingerprints` are keyed, by secret name, and equal where two secrets of the workspace are; a record may lack them.
    `limits` bound what the gateway does with the account. `extra` keeps unknown configuration of imported records for
    the way back. `broken` maps the name of a secret that does not open to why; sending the secret again clears it.
    `version` counts edits and is the ETag; recording a check or a broken secret is not an edit.
    """

    id: CredentialId
    workspace: str = DEFAULT_WORKSPACE
    provider: str
    name: str
    modalities: tuple[Modality, ...]
    settings: Mapping[str, SettingValue] = {}
    sealed: Mapping[str, SealedSecret] = {}
    fingerprints: Mapping[str, str] = {}
    limits: Limits = NO_LIMITS
    extra: Mapping[str, Any] = {}
    broken: Mapping[str, str] = {}
    last_check: CheckRecord | None = None
    created: datetime
    updated: datetime
    version: int = 1

    @property
    def has_api_key(self) -> bool:
        """Whether a key is stored, readable or not."""
        return "api_key" in self.sealed

    @property
    def decryption_error(self) -> str | None:
        """Why a secret of this record cannot be opened, or None."""
        return next((f"{name}: {why}" for name, why in sorted(self.broken.items())), None)


def destinations(spec: ProviderSpec, settings: Mapping[str, SettingValue]) -> tuple[str, ...]:
    """The origins the secrets of an account may be sent to, sorted.

    They are those of every URL setting; where none is set, `provider:<name>`, so that a plugin may move its default
    host without breaking a record. Raises UrlRefusedError for a URL that no longer parses.
    """
    urls = [
        str(settings[field.name]) for field in spec.settings if field.kind is FieldKind.URL and settings.get(field.name)
    ]
    return tuple(sorted({parse_url(url).origin for url in urls})) or (f"provider:{spec.name}",)


def seal_context(spec: ProviderSpec, credential: Credential, field: str) -> SealContext:
    """Where the secret `field` of `credential` belongs."""
    return SealContext(
        workspace=credential.workspace,
        table=TABLE,
        record=credential.id,
        field=field,
        destinations=destinations(spec, credential.settings),
    )


def account(spec: ProviderSpec, settings: Mapping[str, SettingValue], secrets: Mapping[str, Secret]) -> Account:
    """The opened account, defaults filled in."""
    return Account(provider=spec.name, settings=spec.effective(settings), secrets=dict(secrets))


def check_not_repeated(secrets: Iterable[Secret], plain: Mapping[str, object]) -> None:
    """Raise SecretInPlainFieldError when the text of a secret also stands in a field that is shown."""
    for secret in secrets:
        for name, value in plain.items():
            if isinstance(value, str) and secret and secret.reveal() in value:
                raise SecretInPlainFieldError(name)
