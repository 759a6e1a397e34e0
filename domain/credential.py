"""A credential: one account at a provider, its settings in the clear and its secrets sealed."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo

from keycairn.domain.errors import SecretInPlainFieldError
from keycairn.domain.ids import CredentialId
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.modality import Modality
from keycairn.domain.options import NO_OPTIONS, Options
from keycairn.domain.outcome import CheckRecord
from keycairn.domain.provider import Account, FieldKind, FieldSpec, ProviderSpec, SettingValue
from keycairn.domain.redaction import LONGEST, Redactor
from keycairn.domain.sealed import SealContext, SealedSecret
from keycairn.domain.secret import Secret
from keycairn.domain.url import origin_of, parse_url

DEFAULT_WORKSPACE = "default"
TABLE = "credential"


class Credential(Struct, frozen=True, kw_only=True):
    """One account. Holds no plaintext secret, ever.

    `fingerprints` are keyed, by secret name, and equal where two secrets of the workspace are; a record may lack them.
    `limits` bound what the gateway does with the account, `options` say how it is called. `extra` keeps unknown
    configuration of imported records for the way back. `broken` maps the name of a secret that does not open to why;
    sending the secret again clears it. `version` counts edits and is the ETag; recording a check or a broken secret is
    not an edit. `proof` is the MAC of all the rest, those two apart; see `keycairn.domain.proof`.
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
    proof: str = ""
    # Columns that came later stand here, each with a default: records of before read as that, and their proofs hold.
    options: Options = NO_OPTIONS

    @property
    def has_api_key(self) -> bool:
        """Whether a key is stored, readable or not."""
        return "api_key" in self.sealed

    @property
    def decryption_error(self) -> str | None:
        """Why a secret of this record cannot be opened, or None."""
        return next((f"{name}: {why}" for name, why in sorted(self.broken.items())), None)


_FIELDS = msgspec.structs.fields(Credential)
LATER_COLUMNS: Mapping[str, FieldInfo] = {
    field.name: field for field in _FIELDS[[one.name for one in _FIELDS].index("proof") + 1 :]
}
"""The columns behind `proof`, by name. Storing, proving and comparing them follows from the declaration alone."""


def default_of(field: FieldInfo) -> Any:
    """What a field of a struct is where nothing is said."""
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


_LATER_DEFAULTS = {name: default_of(field) for name, field in LATER_COLUMNS.items()}


def later_values(credential: Credential) -> Mapping[str, Any]:
    """What the later columns hold where it is not their default."""
    values = {name: getattr(credential, name) for name in LATER_COLUMNS}
    return {name: value for name, value in values.items() if value != _LATER_DEFAULTS[name]}


def account_mark(credential: Credential) -> str:
    """What tells the secrets and settings of a credential from all others, and nothing of what they are.

    A check of the account is one of these only: another key, host or project makes it a check of a former one.
    """
    said = json.dumps([sorted(credential.fingerprints.items()), sorted(credential.settings.items())])
    return sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def is_current(check: CheckRecord, credential: Credential) -> bool:
    """Whether a check is of the account as it is stored now; of a check of before, whether nothing was edited since."""
    return check.account == account_mark(credential) if check.account else check.at >= credential.updated


def destinations(
    spec: ProviderSpec, settings: Mapping[str, SettingValue], secret: str | None = None
) -> tuple[tuple[str, str], ...]:
    """Where the secret of that name may be sent: each setting that says so with its origin, sorted by name.

    Without a name, where any secret may. A setting that is not set is left out: it means the provider's own host, which
    a plugin may move without breaking a record. Raises UrlRefusedError for a URL in which no host can be read.
    """
    return tuple(
        sorted(
            (field.name, _place(field, str(settings[field.name])))
            for field in spec.places(secret)
            if settings.get(field.name)
        )
    )


def seal_context(spec: ProviderSpec, credential: Credential, field: str) -> SealContext:
    """Where the secret `field` of `credential` belongs. Raises as `destinations`."""
    return SealContext(
        workspace=credential.workspace,
        table=TABLE,
        record=credential.id,
        provider=spec.name,
        field=field,
        destinations=destinations(spec, credential.settings, field),
        origins=_origins(spec, credential.settings),
    )


def account(spec: ProviderSpec, credential: Credential, secrets: Mapping[str, Secret]) -> Account:
    """The opened account, defaults filled in. Raises UrlRefusedError for a stored URL that no setting may hold."""
    for field in spec.settings:
        if field.kind is FieldKind.URL and credential.settings.get(field.name):
            parse_url(str(credential.settings[field.name]), field=field.name)
    return Account(
        provider=spec.name,
        settings=spec.effective(credential.settings),
        secrets=dict(secrets),
        workspace=credential.workspace,
        credential=credential.id,
        version=credential.version,
        options=credential.options,
    )


def _place(field: FieldSpec, value: str) -> str:
    return origin_of(value) if field.kind is FieldKind.URL else value


def _origins(spec: ProviderSpec, settings: Mapping[str, SettingValue]) -> tuple[str, ...]:
    """The destinations as suite 1 knew them: the origins of all URL settings in one set, else the provider's name."""
    urls = [str(settings[one.name]) for one in spec.settings if one.kind is FieldKind.URL and settings.get(one.name)]
    return tuple(sorted({origin_of(url) for url in urls})) or (f"provider:{spec.name}",)


def check_not_repeated(secrets: Iterable[Secret], plain: Mapping[str, object]) -> None:
    """Raise SecretInPlainFieldError when the text of a secret also stands in a field that is shown, however spelled.

    In lists and mappings it may be spread over names and values.
    """
    texts = [secret.reveal() for secret in secrets if secret]
    redactor = Redactor(texts)
    for name, value in plain.items():
        if value and isinstance(value, str | Mapping | list | tuple) and _repeats(value, texts, redactor):
            raise SecretInPlainFieldError(name)


def _repeats(value: object, texts: Iterable[str], redactor: Redactor) -> bool:
    try:
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return True
    if any(text in shown for text in texts):
        return True
    if len(shown) <= LONGEST:
        return redactor.holds(shown)
    return redactor.within(shown.encode("utf-8", "surrogatepass"))
