"""A credential as it is to be stored: its fields healed and checked, its secrets sealed to where they may go."""

from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.services.keys import Vault
from keycairn.domain.authorities import certificates_in
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential, check_not_repeated, destinations, seal_context
from keycairn.domain.errors import (
    InvalidInputError,
    SecretInPlainFieldError,
    SecretReentryRequiredError,
    UndeclaredFieldError,
    UndecryptableError,
)
from keycairn.domain.healing import Given, healed, is_short_word
from keycairn.domain.ids import check_no_id
from keycairn.domain.limits import Limits, check_limits
from keycairn.domain.modality import Modality
from keycairn.domain.options import Options, checked_options, steering_headers
from keycairn.domain.provider import FieldKind, ProviderSpec, SettingValue
from keycairn.domain.sealed import SealedSecret, is_former
from keycairn.domain.secret import Secret
from keycairn.domain.secretlike import check_no_key
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry

LONGEST_NAME = 200
LONGEST_SECRET = 32_768
"""Characters; a service-account JSON has about 2,400."""


class CredentialPatch(Struct, frozen=True, kw_only=True):
    """What to change. Absent: keep. A setting or secret that maps to None is cleared; all else that is None stays."""

    name: str | None = None
    modalities: tuple[Modality, ...] | None = None
    settings: Mapping[str, SettingValue | None] = {}
    secrets: Mapping[str, Secret | None] = {}
    limits: Limits | None = None
    options: Options | None = None


class CheckedCredential(Struct, frozen=True):
    """A checked and sealed credential that is not stored yet. `healed` says by field what was put right in it."""

    credential: Credential
    healed: Mapping[str, str]


class CredentialSealer:
    """Reads what was sent against the declared fields of its provider. Stores nothing."""

    def __init__(self, vault: Vault, registry: ProviderRegistry, http: Http) -> None:
        self._vault = vault
        self._registry = registry
        self._http = http

    def patched(self, before: Credential, patch: CredentialPatch) -> CheckedCredential:
        """`before` with `patch` applied, healed, and its secrets sealed; version and times untouched.

        Raises UnknownProviderError, InvalidInputError (its subclasses name the field) or SealedError.
        """
        spec = self._registry.get(before.provider).spec
        given = healed(
            spec,
            patch.settings,
            _checked_secrets(spec, patch.secrets),
            before=before.settings,
            elsewhere=self._others_keys(spec),
        )
        patch = replace(patch, settings=given.settings, secrets=given.secrets)
        return CheckedCredential(self._applied(spec, before, patch), given.notes)

    def looked_at(self, provider: str, *, settings: Mapping[str, SettingValue], secrets: Mapping[str, Secret]) -> Given:
        """Fields healed as `patched` heals them. Raises UnknownProviderError, InvalidInputError or SealedError."""
        spec = self._registry.get(provider).spec
        return healed(spec, settings, _checked_secrets(spec, secrets), before={}, elsewhere=self._others_keys(spec))

    def filled(self, start: Credential, given: Given) -> Credential:
        """`start`, which holds neither settings nor a secret that opens, with what `looked_at` gave; not stored yet.

        Raises as `patched` does.
        """
        spec = self._registry.get(start.provider).spec
        check_no_key({"name": start.name, **given.settings})
        placed = replace(start, settings=self._merged_settings(spec, start, given.settings))
        patch = CredentialPatch(name=start.name, modalities=start.modalities, secrets=given.secrets)
        return self._applied(spec, placed, patch)

    def fingerprint(self, workspace: str, secret: Secret) -> str:
        """See `Vault.fingerprint`."""
        return self._vault.fingerprint(workspace, secret)

    def _others_keys(self, spec: ProviderSpec) -> dict[str, str]:
        """How keys begin that are certainly another provider's than `spec`, and whose they are."""
        others = {
            start: f"those of {other.spec.label} do"
            for other in self._registry.all()
            if other.spec.name != spec.name
            for start in other.spec.key_prefixes
        }
        return {start: whose for start, whose in others.items() if start not in spec.key_prefixes}

    def _applied(self, spec: ProviderSpec, before: Credential, patch: CredentialPatch) -> Credential:
        secrets = patch.secrets
        settings = self._merged_settings(spec, before, patch.settings)
        name = before.name if patch.name in {None, before.name} else _checked_name(patch.name or "")
        modalities = before.modalities if patch.modalities is None else _checked_modalities(spec, patch.modalities)
        limits = before.limits if patch.limits is None else patch.limits
        check_limits(limits)
        options = before.options if patch.options is None else _checked_options(patch.options)
        closed = "" if any(patch.secrets.values()) else before.options.closed  # another key opens the account
        options = replace(options, closed=closed)
        given = {key: secret for key, secret in secrets.items() if secret is not None}
        sought = (secret for secret in given.values() if not is_short_word(secret.reveal()))
        kept = {key: sealed for key, sealed in before.sealed.items() if key not in secrets}
        check_no_key({"name": None if name == before.name else name, **patch.settings})
        check_not_repeated(sought, {"name": name, **settings, "options.headers": options.headers})
        self._check_not_stored(before, {"name": patch.name, **patch.settings})
        for value in options.headers.values():
            self._check_not_stored(before, {"options.headers": value})
        spec.check_complete({*settings, *kept, *given})
        after = replace(before, name=name, modalities=modalities, settings=settings, limits=limits, options=options)
        moved = [key for key in kept if destinations(spec, settings, key) != destinations(spec, before.settings, key)]
        vouched = options.ca_certificates in {"", before.options.ca_certificates}
        if not vouched or steering_headers(options.headers) != steering_headers(before.options.headers):
            moved = [*kept]  # whoever an authority vouches for, or a proxy is pointed to, gets the secrets
        if moved:
            raise SecretReentryRequiredError(sorted(moved))
        return replace(
            after,
            sealed={**self._kept(spec, before, after, kept), **self._sealed(spec, after, given)},
            fingerprints={
                **{key: mark for key, mark in before.fingerprints.items() if key in kept},
                **{key: self._vault.fingerprint(before.workspace, secret) for key, secret in given.items()},
            },
            broken={key: why for key, why in before.broken.items() if key in kept},
        )

    def _check_not_stored(self, before: Credential, plain: Mapping[str, object]) -> None:
        """Raise SecretInPlainFieldError for a text that is a stored secret. Fingerprints tell; nothing is opened."""
        marks = frozenset(before.fingerprints.values())
        for name, value in plain.items() if marks else ():
            if not isinstance(value, str) or is_short_word(value):
                continue
            if self._vault.fingerprint(before.workspace, Secret(value.strip())) in marks:
                raise SecretInPlainFieldError(name)

    def _kept(
        self, spec: ProviderSpec, before: Credential, after: Credential, kept: Mapping[str, SealedSecret]
    ) -> dict[str, SealedSecret]:
        """`kept`, whose destinations stay. The former suite is bound to all URLs alike, so that one is sealed anew."""
        anew = dict(kept)
        if before.settings == after.settings:
            return anew
        cipher = self._vault.cipher
        for key in filter(lambda key: is_former(kept[key]), kept):
            with suppress(UndecryptableError):  # what does not open stays as it is, and is told of elsewhere
                secret = cipher.open(kept[key], seal_context(spec, before, key), retired=True)
                anew[key] = cipher.seal(secret, seal_context(spec, after, key))
        return anew

    def _sealed(
        self, spec: ProviderSpec, credential: Credential, secrets: Mapping[str, Secret]
    ) -> dict[str, SealedSecret]:
        cipher = self._vault.cipher
        return {key: cipher.seal(secret, seal_context(spec, credential, key)) for key, secret in secrets.items()}

    def _merged_settings(
        self, spec: ProviderSpec, before: Credential, changes: Mapping[str, SettingValue | None]
    ) -> dict[str, SettingValue]:
        settings = spec.renamed(before.settings)
        for key, value in changes.items():
            if value is None or value == "":
                settings.pop(key, None)
                continue
            field = spec.field(key)
            checked = spec.check_setting(key, value)
            if field is not None and field.kind is FieldKind.PATH and before.workspace != DEFAULT_WORKSPACE:
                message = f"{field.label}: the service's files belong to its default workspace. Send the content."
                raise InvalidInputError(message, {key: "is for the default workspace only"})
            if field is not None and field.kind is FieldKind.URL:
                self._http.vet(str(checked), field=key)
            settings[key] = checked
        return settings


def _checked_name(name: str) -> str:
    text = name.strip()
    if not text or len(text) > LONGEST_NAME or not text.isprintable():
        message = f"The name must be 1 to {LONGEST_NAME} printable characters."
        raise InvalidInputError(message, {"name": f"must be 1 to {LONGEST_NAME} printable characters"})
    check_no_id(text, "credential", reserved=("none",))
    return text


def _checked_modalities(spec: ProviderSpec, modalities: tuple[Modality, ...]) -> tuple[Modality, ...]:
    unknown = [modality for modality in modalities if modality not in spec.modalities]
    if unknown:
        message = f"{spec.label} offers only: {', '.join(spec.modalities)}."
        raise InvalidInputError(message, {"modalities": f"must be of: {', '.join(spec.modalities)}"})
    return tuple(dict.fromkeys(modalities)) or spec.modalities


def _checked_options(options: Options) -> Options:
    """The options as they are stored. Raises InvalidInputError."""
    checked = checked_options(options)
    if not checked.ca_certificates.strip():
        return replace(checked, ca_certificates="")
    try:
        return replace(checked, ca_certificates=certificates_in(checked.ca_certificates))
    except InvalidInputError as error:
        raise InvalidInputError(str(error), {"options.ca_certificates": "must be certificates in PEM"}) from None


def _checked_secrets(spec: ProviderSpec, secrets: Mapping[str, Secret | None]) -> dict[str, Secret | None]:
    declared = {field.name for field in spec.secrets}
    if not declared.issuperset(secrets):
        raise UndeclaredFieldError(spec.name, [field.name for field in spec.fields])
    checked: dict[str, Secret | None] = {}
    for key, secret in secrets.items():
        text = secret.reveal().strip() if secret is not None else ""
        if len(text) > LONGEST_SECRET:
            message = f"A secret has at most {LONGEST_SECRET} characters."
            raise InvalidInputError(message, {key: "is too long"})
        checked[key] = Secret(text) if text else None
    return checked
