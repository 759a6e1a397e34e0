"""What a rotation is set up with: its policy, and what manages keys at the provider."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    InvalidInputError,
    SecretReentryRequiredError,
)
from keycairn.domain.field import FieldKind, SettingValue
from keycairn.domain.key_management import is_key_id
from keycairn.domain.key_rotation import at_rest
from keycairn.domain.key_rotation.record import (
    KeyRotation,
    Policy,
    rotation_id,
)
from keycairn.domain.key_rotation.run import revised
from keycairn.domain.key_rotation.sealing import management_spec
from keycairn.domain.provider import ProviderSpec
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
            bound=self._calls.target(credential),
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
        managing, here = self._managing(credential.provider), self._calls.target(credential)
        base, source = self._base(credential, stored, policy), other or stored
        if other is not None and other.bound != here:
            message = "What manages the other's keys makes them for where that one leads, and this one leads elsewhere."
            raise InvalidInputError(message, {"like": "leads elsewhere"})
        opened: dict[str, Secret | None] = {} if source is None else dict(self._calls.managers(source))
        merged = {} if source is None else dict(source.settings)
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
        names = self._calls.management(credential.provider).secrets
        given = {name: _checked(managing, name, one) for name, one in secrets.items() if name not in names}
        # what they buy goes to every place that manages keys, and on to the account
        moved = any(merged.get(place.name) != before.get(place.name) for place in managing.places())
        moved = moved or (source is not None and source.bound not in {None, here})
        again = sorted(opened.keys() - given.keys()) if moved else []
        kept = {**opened, **given}
        whole = {name: secret for name, secret in kept.items() if secret is not None}
        if merged or whole:  # without any of it, a person is asked
            managing.check_complete({*merged, *whole})
        after = replace(base, policy=policy, settings=merged, bound=here, looked=None, trouble="")
        own = {name: one for name, one in secrets.items() if name in names}
        after, more = self._confirmed(credential, after, own)
        if again or more:
            raise SecretReentryRequiredError([*again, *more])
        running = {name: text for name, text in base.sealed.items() if "." in name}
        return replace(after, sealed={**running, **self._calls.sealed(after, whole)})

    def _base(self, credential: Credential, stored: KeyRotation | None, policy: Policy) -> KeyRotation:
        if stored is None:
            return self.bare(credential, policy)
        now, mark = self._clock.now(), self._calls.fingerprint(credential)
        if stored.run is None and stored.fingerprint != mark:
            return at_rest.replaced(stored, now, mark)
        return revised(stored, now)

    def _confirmed(
        self, credential: Credential, rotation: KeyRotation, given: Mapping[str, Secret | None]
    ) -> tuple[KeyRotation, Sequence[str]]:
        """The rotation, with the places that manage keys confirmed for the account's key where that is given.

        Beside it the key's secrets that are to be given: one of the places is at a host that the key is not for. Raises
        InvalidInputError for another key than the stored one.
        """
        kept = self._calls.key_of(credential) if given else {}
        wrong = [name for name, secret in given.items() if name not in kept or kept[name] != secret]
        if wrong:
            message = f"This is not the key that is stored with the credential: {', '.join(sorted(wrong))}."
            raise InvalidInputError(message, dict.fromkeys(wrong, "is not the stored key"))
        names = self._calls.management(credential.provider).secrets
        asked = [name for name in names if name in credential.sealed]
        if given and given.keys() >= set(asked):
            return replace(rotation, confirmed=tuple(sorted(self._calls.managing_origins(rotation)))), ()
        return rotation, asked if self._calls.strange_origins(rotation, credential) else ()

    def checked_id(self, credential: Credential, rotation: KeyRotation, id: str) -> str:
        """What a person calls the key in use. Raises InvalidInputError for what is none, such as the key itself."""
        secrets = [*self._calls.key_of(credential).values(), *self._calls.managers(rotation).values()]
        begins = id.startswith(self._registry.get(credential.provider).spec.key_prefixes)
        # whole ones only: what is said of a part of one would tell whoever guesses it piece by piece
        if id and (not is_key_id(id) or begins or any(secret.reveal() in id for secret in secrets)):
            raise InvalidInputError("That is no id of a key.", {"key_id": "is what the provider calls the key"})
        return id

    def _managing(self, provider: str) -> ProviderSpec:
        return management_spec(self._registry.get(provider).spec, self._calls.management(provider))


def _checked(managing: ProviderSpec, name: str, secret: Secret | None) -> Secret | None:
    if all(field.name != name for field in managing.secrets):
        asked = ", ".join(field.name for field in managing.secrets) or "none"
        message = f"To manage keys, {managing.label} asks for these secrets: {asked}."
        raise InvalidInputError(message, {"secrets": "has one that is not asked for"})
    text = secret.reveal().strip() if secret is not None else ""
    if len(text) > LONGEST_SECRET:
        raise InvalidInputError(f"A secret has at most {LONGEST_SECRET} characters.", {name: "is too long"})
    return Secret(text) if text else None
