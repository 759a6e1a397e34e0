"""What a rotation is set up with: its policy, and what manages keys at the provider."""

from collections.abc import Mapping

from msgspec.structs import replace

from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    InvalidInputError,
    SecretReentryRequiredError,
)
from keycairn.domain.field import FieldKind, SettingValue
from keycairn.domain.key_management import is_key_id
from keycairn.domain.key_rotation.record import (
    KeyRotation,
    Policy,
    rotation_id,
)
from keycairn.domain.key_rotation.run import revised
from keycairn.domain.key_rotation.sealing import management_spec
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.redaction import Redactor
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry

LONGEST_SECRET = 32_768


class RotationSetup:
    """Works out rotations as they are set up. What manages keys is checked as the provider declares it."""

    def __init__(self, calls: KeyCalls, registry: ProviderRegistry, http: Http, clock: Clock) -> None:
        self._calls = calls
        self._registry = registry
        self._http = http
        self._clock = clock

    def bare(self, credential: Credential, policy: Policy) -> KeyRotation:
        """A rotation of the credential's key for which nothing is set up but the policy."""
        now = self._clock.now()
        return KeyRotation(
            id=rotation_id(credential.id),
            workspace=credential.workspace,
            provider=credential.provider,
            credential=credential.id,
            policy=policy,
            fingerprint=self._calls.fingerprint(credential),
            made=credential.created if credential.version == 1 else credential.updated,
            created=now,
            updated=now,
        )

    def configured(
        self,
        credential: Credential,
        stored: KeyRotation | None,
        policy: Policy,
        settings: Mapping[str, SettingValue | None],
        secrets: Mapping[str, Secret | None],
        other: KeyRotation | None,
    ) -> KeyRotation:
        """The rotation with what somebody set: what is not given stays, and `other` is where it is copied from.

        Raises InvalidInputError (its subclasses name the field), SecretReentryRequiredError or EgressRefusedError.
        """
        managing = self._managing(credential.provider)
        base = self.bare(credential, policy) if stored is None else revised(stored, self._clock.now())
        opened: dict[str, Secret | None] = dict(self._calls.managers(base))
        merged = dict(base.settings)
        if other is not None:
            opened, merged = dict(self._calls.managers(other)), dict(other.settings)
        before = dict(merged)
        for name, value in settings.items():
            if value is None or value == "":
                merged.pop(name, None)
                continue
            checked = managing.check_setting(name, value)
            field = managing.field(name)
            if field is not None and field.kind is FieldKind.URL:
                self._http.vet(str(checked), field=name)
            merged[name] = checked
        given = {name: _checked(managing, name, secret) for name, secret in secrets.items()}
        for name in opened.keys() - given.keys():
            places = [field.name for field in managing.places(name)]
            if any(merged.get(place) != before.get(place) for place in places):
                raise SecretReentryRequiredError([name])
        kept = {**opened, **given}
        whole = {name: secret for name, secret in kept.items() if secret is not None}
        if merged or whole:  # without any of it, a person is asked
            managing.check_complete({*merged, *whole})
        after = replace(base, policy=policy, settings=merged, looked=None, trouble="")
        running = {name: text for name, text in base.sealed.items() if "." in name}
        return replace(after, sealed={**running, **self._calls.sealed(after, whole)})

    def checked_id(self, credential: Credential, rotation: KeyRotation, id: str) -> str:
        """What a person calls the key in use. Raises InvalidInputError for what is none, such as the key itself."""
        secrets = [*self._calls.key_of(credential).values(), *self._calls.managers(rotation).values()]
        if id and (not is_key_id(id) or Redactor(secrets).holds(id)):
            raise InvalidInputError("That is no id of a key.", {"key_id": "is what the provider calls the key"})
        return id

    def _managing(self, provider: str) -> ProviderSpec:
        return management_spec(self._registry.get(provider).spec, self._calls.management(provider))


def _checked(managing: ProviderSpec, name: str, secret: Secret | None) -> Secret | None:
    if all(field.name != name for field in managing.secrets):
        raise InvalidInputError(f"{managing.label} asks for no {name}.", {name: "is not asked for"})
    text = secret.reveal().strip() if secret is not None else ""
    if len(text) > LONGEST_SECRET:
        raise InvalidInputError(f"A secret has at most {LONGEST_SECRET} characters.", {name: "is too long"})
    return Secret(text) if text else None
