"""What clients send. Unknown fields are refused; a secret is `Secret` from the first moment, masked in every repr."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from keycairn.app.services.access import TokenPatch
from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.models import ModelPatch
from keycairn.domain.errors import InvalidDefaultError, InvalidIdError, InvalidInputError, UndeclaredFieldError
from keycairn.domain.ids import ModelId, credential_id, model_id
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, Slot
from keycairn.domain.options import NO_OPTIONS, Options
from keycairn.domain.price import Price
from keycairn.domain.provider import ProviderSpec, SettingValue, canonical_name
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

WELL_KNOWN = (
    "base_url",
    "endpoint",
    "api_version",
    "endpoint_llm",
    "endpoint_embedding",
    "endpoint_stt",
    "endpoint_tts",
    "project",
    "location",
    "credentials_path",
    "num_ctx",
)
"""Settings that stand flat beside the name; all others stand in `config`."""

_Text = str | UnsetType | None
_Read = Annotated[Any, Meta(description="Of a record that was read and is sent back. It changes nothing.")]


class _Account(Struct, kw_only=True, forbid_unknown_fields=True):
    """The fields creating and updating have in common."""

    api_key: Secret | UnsetType | None = UNSET
    base_url: _Text = UNSET
    endpoint: _Text = UNSET
    api_version: _Text = UNSET
    endpoint_llm: _Text = UNSET
    endpoint_embedding: _Text = UNSET
    endpoint_stt: _Text = UNSET
    endpoint_tts: _Text = UNSET
    project: _Text = UNSET
    location: _Text = UNSET
    credentials_path: _Text = UNSET
    num_ctx: int | UnsetType | None = UNSET
    limits: Limits | UnsetType | None = UNSET
    options: Options | UnsetType | None = UNSET
    config: dict[str, Any] = {}
    secrets: dict[str, Secret | None] = {}

    def __repr__(self) -> str:
        # A misplaced key may stand in any field, so no value is shown.
        sent = [name for name in self.__struct_fields__ if getattr(self, name) is not UNSET]
        return f"{type(self).__name__}({', '.join(sent)})"

    def flat(self) -> Iterator[tuple[str, SettingValue | None]]:
        """The well-known settings that were sent; None for what shall be empty."""
        for name in WELL_KNOWN:
            value = getattr(self, name)
            if value is not UNSET:
                yield name, None if value in ("", 0) else value

    def columns(self) -> dict[str, Any]:
        """The columns besides those of the provider, for a CredentialPatch; an emptied one has its default."""
        return {
            "limits": None if self.limits is UNSET else self.limits or NO_LIMITS,
            "options": None if self.options is UNSET else self.options or NO_OPTIONS,
        }

    def given_secrets(self) -> dict[str, Secret | None]:
        """The secrets that were sent; a blank one counts as not sent. Raises InvalidInputError for one sent twice."""
        secrets = {name: value for name, value in self.secrets.items() if not _blank(value)}
        if isinstance(self.api_key, Secret) and not _blank(self.api_key):
            if "api_key" in secrets:
                raise InvalidInputError("Send api_key once.", {"api_key": "is also in secrets"})
            secrets["api_key"] = self.api_key
        return secrets


class _CredentialRecord(_Account, kw_only=True, forbid_unknown_fields=True):
    """What answers tell of a credential besides, so that a record that was read can be sent back."""

    id: _Read = UNSET
    has_api_key: _Read = UNSET
    has_secrets: _Read = UNSET
    created: _Read = UNSET
    updated: _Read = UNSET
    model_count: _Read = UNSET
    decryption_error: _Read = UNSET
    workspace: _Read = UNSET
    version: _Read = UNSET
    last_check: _Read = UNSET
    duplicates: _Read = UNSET
    healed: _Read = UNSET


class CreateCredential(_CredentialRecord, kw_only=True, forbid_unknown_fields=True):
    """A new credential. A well-known field that is null or "" counts as absent."""

    name: str
    provider: str
    modalities: list[Modality] | None = None

    def patch(self, spec: ProviderSpec) -> CredentialPatch:
        """What to make of a blank record. Raises InvalidInputError."""
        settings = {**dict(self.flat()), **own_settings(spec, self.config, {})}
        return CredentialPatch(
            name=self.name,
            modalities=tuple(self.modalities) if self.modalities else None,
            settings={name: value for name, value in settings.items() if value is not None},
            secrets={name: value for name, value in self.given_secrets().items() if value is not None},
            **self.columns(),
        )


class UpdateCredential(_CredentialRecord, kw_only=True, forbid_unknown_fields=True):
    """A change. Absent: keep. null or "" clears a nullable field, and is ignored for name, modalities and api_key."""

    name: str | UnsetType | None = UNSET
    provider: str | UnsetType | None = UNSET
    modalities: list[Modality] | UnsetType | None = UNSET

    def patch(self, spec: ProviderSpec, extra: Mapping[str, Any]) -> CredentialPatch:
        """The change for the service; `extra` is the record's unknown configuration. Raises InvalidInputError."""
        return CredentialPatch(
            name=self.name if isinstance(self.name, str) else None,
            modalities=tuple(self.modalities) if isinstance(self.modalities, list) and self.modalities else None,
            settings={**dict(self.flat()), **own_settings(spec, self.config, extra)},
            secrets=self.given_secrets(),
            **self.columns(),
        )


def own_settings(
    spec: ProviderSpec, config: Mapping[str, Any], extra: Mapping[str, Any]
) -> dict[str, SettingValue | None]:
    """The plugin's own settings in `config`. What `extra` already holds may come back as it is.

    Raises UndeclaredFieldError or InvalidInputError.
    """
    own: dict[str, SettingValue | None] = {}
    for name, value in config.items():
        field = spec.field(name)
        if field is None and name in extra and extra[name] == value:
            continue
        if field is None or field.secret or name in WELL_KNOWN:
            raise UndeclaredFieldError(spec.name, [declared.name for declared in spec.fields])
        if isinstance(value, bool) or not isinstance(value, str | int | None):
            raise InvalidInputError(f"The field {name} is text or a whole number.", {name: "must be text or a number"})
        own[name] = value if value != "" else None
    return own


class RegisterModel(Struct, kw_only=True, forbid_unknown_fields=True):
    """A model to register with a credential."""

    name: str
    model_type: str
    provider: str | None = None
    description: str | None = None
    provenance: str | None = None
    context_length: int | None = None


class RegisterModels(Struct, kw_only=True, forbid_unknown_fields=True):
    """Models to register with a credential, in one commit."""

    models: list[RegisterModel]


class _ModelRecord(Struct, kw_only=True, forbid_unknown_fields=True):
    """What answers tell of a model besides, so that a record that was read can be sent back."""

    id: _Read = UNSET
    created: _Read = UNSET
    updated: _Read = UNSET
    missing_since: _Read = UNSET


class CreateModel(_ModelRecord, kw_only=True, forbid_unknown_fields=True):
    """A new model. Applications call it by `name`; `provider_model` is what its provider is sent, by default the same.

    Given, it says that the model was named on purpose: it joins the pool of its name.
    """

    name: str
    provider: str
    provider_model: str | None = None
    type: str
    credential: str | None = None
    priority: int = 0
    weight: int = 1
    price: Price | None = None
    context_length: int | None = None


class UpdateModel(_ModelRecord, kw_only=True, forbid_unknown_fields=True):
    """What a model is called, and when it serves among those of its name. Absent: keep.

    `provider_model` null takes it out of its pool, `price` null away its price; `credential` null or "" unlinks it.
    """

    name: str | None = None
    provider_model: _Text = UNSET
    priority: int | None = None
    weight: int | None = None
    price: Price | UnsetType | None = UNSET
    context_length: int | UnsetType | None = UNSET
    credential: _Text = UNSET
    provider: str | UnsetType = UNSET
    type: str | UnsetType = UNSET

    def check_same(self, model: Model) -> None:
        """Raise InvalidInputError where what cannot change is sent with another value than the model's."""
        other: list[str] = []
        if isinstance(self.provider, str) and canonical_name(self.provider) != model.provider:
            other.append("provider")
        if isinstance(self.type, str) and self.type != model.type:
            other.append("type")
        if other:
            message = f"A model's {' and '.join(other)} cannot change. Register another model."
            raise InvalidInputError(message, dict.fromkeys(other, "cannot change"))

    def patch(self) -> ModelPatch:
        """The change for the service. Raises InvalidIdError."""
        link = self.credential
        return ModelPatch(
            name=self.name,
            provider_model=self.provider_model,
            priority=self.priority,
            weight=self.weight,
            price=self.price,
            context_length=self.context_length,
            credential=link if isinstance(link, UnsetType) else credential_id(link) if link else None,
        )


class CreateToken(Struct, kw_only=True, forbid_unknown_fields=True):
    """A new token. `reach` bounds it to credentials. An administrator of the default workspace may name another one."""

    name: str
    scopes: list[Scope]
    expires: datetime | None = None
    limits: Limits = NO_LIMITS
    reach: Reach = EVERYWHERE
    workspace: str | None = None


class UpdateToken(Struct, kw_only=True, forbid_unknown_fields=True):
    """A change of a token. Absent: keep. null takes the end, all limits, or all bounds of what it reaches away."""

    name: str | UnsetType = UNSET
    expires: datetime | UnsetType | None = UNSET
    limits: Limits | UnsetType | None = UNSET
    reach: Reach | UnsetType | None = UNSET

    def patch(self) -> TokenPatch:
        """The change for the service."""
        return TokenPatch(
            name=self.name,
            expires=self.expires,
            limits=NO_LIMITS if self.limits is None else self.limits,
            reach=EVERYWHERE if self.reach is None else self.reach,
        )


def _blank(value: Secret | None) -> bool:
    return value is not None and not value.reveal().strip()


class SlotWishes(Struct, kw_only=True, forbid_unknown_fields=True):
    """The slots to change. Absent: keep. null or "" clears, except for chat and embedding."""

    def wishes(self) -> dict[Slot, ModelId | None]:
        """The wishes for the service. Raises InvalidDefaultError for something that is no model id."""
        wishes: dict[Slot, ModelId | None] = {}
        for slot in Slot:
            value = getattr(self, slot)
            if value is UNSET:
                continue
            try:
                wishes[slot] = model_id(value) if value else None
            except InvalidIdError:
                message = f"{slot} must be the id of a registered model."
                raise InvalidDefaultError(message, {slot: "must be the id of a registered model"}) from None
        return wishes


if TYPE_CHECKING:
    SetDefaults = SlotWishes
else:
    SetDefaults = defstruct(
        "SetDefaults",
        [(slot.value, _Text, UNSET) for slot in Slot],
        bases=(SlotWishes,),
        module=__name__,
        namespace={"__doc__": SlotWishes.__doc__},
        kw_only=True,
        forbid_unknown_fields=True,
    )
