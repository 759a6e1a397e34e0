"""The fields of one account, looked at together before anything of it is kept."""

from collections.abc import Mapping

from msgspec import Struct

from keycairn.domain.errors import UnusableKeyError
from keycairn.domain.healing.addresses import healed_address, healed_version, split_version
from keycairn.domain.healing.keys import Healed, healed_key
from keycairn.domain.healing.service_accounts import healed_service_account
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec, SecretForm, SettingValue
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url

Settings = Mapping[str, SettingValue | None]


class Given(Struct, frozen=True):
    """Fields as they are meant. `notes` says of each healed one what was put right; it holds no secret."""

    settings: Settings
    secrets: Mapping[str, Secret | None]
    notes: Mapping[str, str]


def healed(
    spec: ProviderSpec,
    settings: Settings,
    secrets: Mapping[str, Secret | None],
    *,
    before: Mapping[str, SettingValue],
    elsewhere: Mapping[str, str],
) -> Given:
    """What was sent for an account whose settings were `before`, healed where one reading is possible.

    `elsewhere` maps beginnings of keys to whose they are, for those that are certainly another provider's. Raises
    UnusableKeyError or InvalidInputError, which name the field and never echo it.
    """
    notes: dict[str, list[str]] = {}
    plain = _settings(spec, settings, notes)
    after = {**before, **{name: value for name, value in plain.items() if value is not None}}
    after = {name: value for name, value in after.items() if plain.get(name, value) is not None}
    fresh: dict[str, Secret | None] = {}
    for name, secret in secrets.items():
        field = spec.field(name)
        text = secret.reveal().strip() if secret is not None else ""
        if field is None or not text:
            fresh[name] = secret
            continue
        healed = _secret(spec, field, text, after, elsewhere)
        fresh[name] = Secret(healed.text)
        if healed.notes:
            notes[name] = [*healed.notes]
    return Given(plain, fresh, {name: "; ".join(said) for name, said in notes.items() if said})


def _settings(spec: ProviderSpec, settings: Settings, notes: dict[str, list[str]]) -> dict[str, SettingValue | None]:
    plain = dict(settings)
    for name, value in settings.items():
        field = spec.field(name)
        if field is None or not isinstance(value, str) or not value.strip():
            continue
        if name == "api_version":
            _put(plain, notes, name, healed_version(value))
        elif field.kind is FieldKind.URL and _is_base(name):
            address, version = value.strip(), None
            if spec.field("api_version"):
                address, version = split_version(address, settings.get("api_version"))
            _put(plain, notes, name, healed_address(address, spec.native_operations))
            if version is not None:
                notes.setdefault(name, []).append(f"api-version={version} in it was made the field api_version")
                plain["api_version"] = version
    return plain


def _put(plain: dict[str, SettingValue | None], notes: dict[str, list[str]], name: str, healed: Healed) -> None:
    plain[name] = healed.text
    if healed.notes:
        notes.setdefault(name, []).extend(healed.notes)


def _is_base(name: str) -> bool:
    return name in {"base_url", "endpoint"} or name.startswith("endpoint_")


def _secret(
    spec: ProviderSpec, field: FieldSpec, text: str, settings: Settings, elsewhere: Mapping[str, str]
) -> Healed:
    match field.holds:
        case SecretForm.KEY:
            hosts = _hosts(spec, field, settings)
            _check_host(spec, field, text, hosts)
            return healed_key(
                text,
                field.name,
                names=field.env_names,
                own_server=any(not spec.owns(host) for host in hosts) or not (field.required or spec.hosts),
                elsewhere={} if hosts else elsewhere,
            )
        case SecretForm.SERVICE_ACCOUNT:
            return healed_service_account(text, field.name)
        case _:
            return Healed(text)


def _hosts(spec: ProviderSpec, field: FieldSpec, settings: Settings) -> list[str]:
    """The hosts that the account itself says its key goes to."""
    given = ((place.name, settings.get(place.name)) for place in spec.places(field.name) if place.kind is FieldKind.URL)
    return [parse_url(url.strip(), field=name).host for name, url in given if isinstance(url, str) and url.strip()]


def _check_host(spec: ProviderSpec, field: FieldSpec, text: str, hosts: list[str]) -> None:
    """Raise UnusableKeyError for a key that tells of itself that it is for another address than it would go to."""
    for start, address in spec.key_addresses.items():
        if text.startswith(start) and parse_url(address).host not in hosts:
            raise UnusableKeyError(
                field.name, f"a key that begins so is for {address}: send that as base URL beside it"
            )
