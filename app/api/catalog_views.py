"""What clients receive about providers and plugins."""

from collections.abc import Sequence

from msgspec import Struct

from keycairn.app.api.bodies import WELL_KNOWN
from keycairn.domain.key_management import KeyManagement
from keycairn.domain.modality import Modality
from keycairn.domain.provider import FieldSpec, ProviderSpec, SettingValue
from keycairn.ports.provider import PluginStatus


class FieldView(Struct, frozen=True, kw_only=True):
    """One field of a provider's account, in the order a person is asked for them.

    `in_config`: it is sent inside `config` (or `secrets`), not flat. `choices`: the only values it takes, if any.
    `pattern`: a regular expression that all of the value matches, "" for none. `multi_line`: it may have several lines.
    """

    name: str
    label: str
    kind: str
    secret: bool
    required: bool
    env: Sequence[str]
    default: SettingValue | None
    help: str
    in_config: bool
    choices: Sequence[str]
    pattern: str
    multi_line: bool


class KeyManagementView(Struct, frozen=True, kw_only=True):
    """How the keys of a provider's accounts are rotated. `fields` are asked for where a rotation is set up.

    `automatic`: keys are made and revoked by the provider's API; else a person does it at `page`.
    """

    automatic: bool
    page: str
    fields: Sequence[FieldView]


class ProviderView(Struct, frozen=True, kw_only=True):
    """A provider. `any_of`: of each group, one field must be given."""

    name: str
    display_name: str
    modalities: Sequence[Modality]
    docs_url: str | None
    env_configured: bool
    fields: Sequence[FieldView]
    any_of: Sequence[Sequence[str]]
    key_management: KeyManagementView | None


def provider_view(spec: ProviderSpec, *, env_configured: bool) -> ProviderView:
    """The view of a provider."""
    return ProviderView(
        name=spec.name,
        display_name=spec.label,
        modalities=spec.modalities,
        docs_url=spec.docs_url or None,
        env_configured=env_configured,
        any_of=spec.any_of,
        fields=[_field_view(field) for field in spec.ordered_fields],
        key_management=None if spec.key_management is None else _managing_view(spec.key_management),
    )


def _managing_view(management: KeyManagement) -> KeyManagementView:
    return KeyManagementView(
        automatic=management.makes, page=management.page, fields=[_field_view(field) for field in management.fields]
    )


def _field_view(field: FieldSpec) -> FieldView:
    return FieldView(
        name=field.name,
        label=field.label,
        kind=field.kind,
        secret=field.secret,
        required=field.required,
        env=field.env_names,
        default=field.default,
        help=field.help,
        in_config=field.name not in {*WELL_KNOWN, "api_key"},
        choices=field.choices,
        pattern=field.pattern,
        multi_line=field.multi_line,
    )


class PluginView(Struct, frozen=True, kw_only=True):
    """One plugin as it was found at start. `failure` says why it is not in use."""

    name: str
    origin: str
    providers: Sequence[str]
    api_version: int | None
    failure: str | None


def plugin_view(status: PluginStatus) -> PluginView:
    """The view of a plugin."""
    return PluginView(**{name: getattr(status, name) for name in PluginView.__struct_fields__})
