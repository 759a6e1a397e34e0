"""A provider: a kind of service, described as data."""

import re
from collections.abc import Mapping

from msgspec import Struct

from keycairn.domain.dialect import Dialect
from keycairn.domain.env_variable import EnvSwitch
from keycairn.domain.errors import InvalidInputError, MissingFieldError, UndeclaredFieldError
from keycairn.domain.field import FieldKind, FieldSpec, SecretForm, SettingValue
from keycairn.domain.key_management import KeyManagement
from keycairn.domain.modality import Modality
from keycairn.domain.options import NO_OPTIONS, Options
from keycairn.domain.secret import Secret
from keycairn.domain.url import parse_url

__all__ = [
    "Account",
    "FieldKind",
    "FieldSpec",
    "ProviderSpec",
    "SecretForm",
    "SettingValue",
    "canonical_name",
    "is_host_label",
    "is_provider_name",
]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)


class ProviderSpec(Struct, frozen=True, kw_only=True):
    """Everything about a provider that is data.

    `any_of`: besides the required fields, one field of each group must be given. `env_requires`: groups that must
    also be present for the environment to count as configured (a field with a default can still be demanded there).
    `preferred_models`: beginnings of model names, best first, that auto-assignment favours. `native_operations`: the
    calls under its base URL that the gateway passes through as they are, such as `POST chat/completions`, as
    `keycairn.domain.pass_through` reads them. `native_paths`: beginnings of paths that may be called so with
    POST, whole segments; an operation says it more closely. `request_headers`: the client's headers, in lower case,
    that go on to this provider besides those every provider gets. `signs_body`: its authorization depends on the body
    of a call, so the gateway takes the whole body in before it asks for it; see `Request.body_sha256`. `dialect`: the
    form of errors that clients of its own API understand, and get of the gateway's own on native paths.

    For environments that are moved in: `hosts` are the provider's own (`*.acme.example` stands for any below it);
    `elsewhere` names the provider whose account a key is where its variables lead to another host, and with
    `keeps_to_hosts` such a host is asked about. `key_prefixes` are beginnings that only its keys have; `key_addresses`
    maps beginnings of keys to the one base URL they are for. `env_families` are the beginnings of its variables where
    they are not its name (`ACME` for `ACME_BASE_URL`); one of a family that looks like an address and is declared by
    nobody holds the account back, unless it is one of `env_besides`, which may end in `*`. `env_switches` are variables
    under which the others mean something else.

    `key_management`: how keys of its accounts are made and revoked by its API; a provider that says so has the methods
    of `keycairn.ports.provider.ManagesKeys`.
    """

    name: str
    label: str
    modalities: tuple[Modality, ...]
    fields: tuple[FieldSpec, ...]
    any_of: tuple[tuple[str, ...], ...] = ()
    env_requires: tuple[tuple[str, ...], ...] = ()
    preferred_models: tuple[str, ...] = ()
    docs_url: str = ""
    api_version: int = 1
    native_paths: tuple[str, ...] = ()
    native_operations: tuple[str, ...] = ()
    request_headers: tuple[str, ...] = ()
    signs_body: bool = False
    dialect: Dialect = Dialect.OPENAI
    hosts: tuple[str, ...] = ()
    elsewhere: str = ""
    key_prefixes: tuple[str, ...] = ()
    key_addresses: Mapping[str, str] = {}
    keeps_to_hosts: bool = False
    env_families: tuple[str, ...] = ()
    env_besides: tuple[str, ...] = ()
    env_switches: tuple[EnvSwitch, ...] = ()
    key_management: KeyManagement | None = None

    def owns(self, host: str) -> bool:
        """Whether a host is one of the provider's own."""
        return any(host == one or (one.startswith("*.") and host.endswith(one[1:])) for one in self.hosts)

    @property
    def env_names(self) -> tuple[str, ...]:
        """Every variable its fields are read from."""
        return tuple(name for field in self.fields for name in field.env_names)

    @property
    def families(self) -> tuple[str, ...]:
        """The beginnings of its variables."""
        return self.env_families or (self.name.upper(),)

    def field(self, name: str) -> FieldSpec | None:
        """The declared field of this name, or None."""
        return next((field for field in self.fields if field.name == name), None)

    @property
    def settings(self) -> tuple[FieldSpec, ...]:
        """The fields that are stored and shown in the clear."""
        return tuple(field for field in self.fields if not field.secret)

    @property
    def secrets(self) -> tuple[FieldSpec, ...]:
        """The fields that are stored sealed and never shown."""
        return tuple(field for field in self.fields if field.secret)

    def places(self, secret: str | None = None) -> tuple[FieldSpec, ...]:
        """The settings that say where the secret of that name may be sent; without a name, where any may."""
        places = tuple(field for field in self.settings if field.kind is FieldKind.URL or field.names_host)
        declared = self.field(secret) if secret is not None else None
        if declared is None or not declared.sent_to:
            return places
        return tuple(field for field in places if field.name in declared.sent_to)

    @property
    def required_groups(self) -> tuple[tuple[str, ...], ...]:
        """One name of each group must be given."""
        return (*((field.name,) for field in self.fields if field.required), *self.any_of)

    def check_complete(self, present: frozenset[str] | set[str]) -> None:
        """Raise MissingFieldError unless the fields in `present` satisfy the provider."""
        missing = [group for group in self.required_groups if present.isdisjoint(group)]
        if missing:
            raise MissingFieldError(self.name, missing)

    def check_setting(self, name: str, value: SettingValue) -> SettingValue:
        """`value` as the declared kind of the setting `name`, whitespace trimmed.

        Raises UndeclaredFieldError, InvalidInputError (wrong type) or UrlRefusedError.
        """
        field = self.field(name)
        if field is None or field.secret:
            raise UndeclaredFieldError(self.name, [declared.name for declared in self.fields])
        if field.kind is FieldKind.INTEGER:
            return _whole_number(field, value)
        if not isinstance(value, str):
            message = f"The field {name} is text."
            raise InvalidInputError(message, {name: "must be text"})
        text = _plain_text(field, value)
        _check_declared_form(field, text)
        if field.kind is FieldKind.URL:
            parse_url(text, field=name)
        if field.names_host and not is_host_label(text):
            raise InvalidInputError(
                f"The field {name} becomes part of a host's name: letters, digits and hyphens only.",
                {name: "must be letters, digits and hyphens"},
            )
        return text

    def effective(self, settings: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
        """`settings` under the present names, with the declared defaults filled in."""
        defaults = {field.name: field.default for field in self.settings if field.default is not None}
        return {**defaults, **self.renamed(settings)}

    def renamed(self, settings: Mapping[str, SettingValue]) -> dict[str, SettingValue]:
        """`settings`, those under a former name under the present one, where that is not set itself."""
        present = dict(settings)
        for field in self.settings:
            values = [present.pop(name) for name in field.formerly if name in present]
            if values and field.name not in present:
                present[field.name] = values[0]
        return present

    @property
    def ordered_fields(self) -> tuple[FieldSpec, ...]:
        """The fields in the order in which a person is asked for them."""
        return tuple(sorted(self.fields, key=lambda field: field.order))


_LARGEST = 2**31 - 1


def _plain_text(field: FieldSpec, value: str) -> str:
    text = value.strip()
    if field.multi_line:
        text = text.replace("\r\n", "\n")
    kept = "\n\t" if field.multi_line else ""
    if any((ord(character) < 32 and character not in kept) or ord(character) == 127 for character in text):
        message = f"The field {field.name} holds a control character."
        raise InvalidInputError(message, {field.name: "must not hold control characters"})
    return text


def _check_declared_form(field: FieldSpec, text: str) -> None:
    if field.choices and text not in field.choices:
        choices = " or ".join(field.choices)
        raise InvalidInputError(f"The field {field.name} is one of: {choices}.", {field.name: f"must be {choices}"})
    if field.pattern and re.fullmatch(field.pattern, text) is None:
        told = f" {field.help}" if field.help else ""
        raise InvalidInputError(
            f"The field {field.name} does not have the form it needs.{told}",
            {field.name: field.help or f"must match {field.pattern}"},
        )


def _whole_number(field: FieldSpec, value: SettingValue) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value.strip(), re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LARGEST:
        message = f"The field {field.name} is a whole number from 1 to {_LARGEST}."
        raise InvalidInputError(message, {field.name: "must be a positive whole number"})
    return value


def is_host_label(text: str) -> bool:
    """Whether `text` is one label of a host's name, so that it cannot lead to another domain."""
    return _LABEL.fullmatch(text) is not None


def canonical_name(name: str) -> str:
    """A provider's name as it is stored: lower case, underscores. `OpenAI-Compatible` is `openai_compatible`."""
    return name.strip().lower().replace("-", "_")


def is_provider_name(name: str) -> bool:
    """Whether a provider may be named so: lower-case letters, digits and underscores, beginning with a letter."""
    return _NAME.fullmatch(name) is not None


class Account(Struct, frozen=True, kw_only=True):
    """A credential opened for one use: what a provider plugin receives.

    `settings` holds the effective values, defaults included; `secrets` only those that are set. `workspace`,
    `credential` and `version` say whose it is, which edit of it; empty for one that is not stored.
    """

    provider: str
    settings: Mapping[str, SettingValue]
    secrets: Mapping[str, Secret]
    workspace: str = ""
    credential: str = ""
    version: int = 0
    options: Options = NO_OPTIONS
    """How the account is called. The host sees to it; a plugin need not look."""
    confirmed: frozenset[str] = frozenset()
    """Origins that manage keys, for which the account's key was given. The host sees to it; a plugin need not look."""

    def text(self, name: str) -> str:
        """The setting `name` as text, "" when unset."""
        return str(self.settings.get(name, ""))

    def secret(self, name: str = "api_key") -> Secret | None:
        """The secret `name`, None when unset."""
        return self.secrets.get(name)
