"""Rotating the keys of credentials at their providers: policies, what is asked for, and the work beside serving."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.lookup import require_credential
from keycairn.app.services.audit import Journal
from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.app.services.key_rotations.current_keys import CurrentKeys
from keycairn.app.services.key_rotations.runner import Runner
from keycairn.app.services.key_rotations.switching import Switching
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import IN_PROCESS, SYSTEM, Action, Caller
from keycairn.domain.change import Change, Changeset, DropKeyRotation, ExpectCredential, PutKeyRotation
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    InvalidInputError,
    KeycairnError,
    KeyRotationNotFoundError,
    KeyRotationStateError,
    SecretReentryRequiredError,
    StaleVersionError,
)
from keycairn.domain.field import FieldKind, SettingValue
from keycairn.domain.ids import CredentialId, key_of
from keycairn.domain.key_management import KeyManagement, is_key_id
from keycairn.domain.key_rotation import machine
from keycairn.domain.key_rotation.record import (
    OLD,
    KeyRotation,
    Policy,
    Reason,
    RotationStep,
    checked_policy,
    rotation_id,
)
from keycairn.domain.key_rotation.sealing import management_spec
from keycairn.domain.key_rotation.warning import warning
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.redaction import Redactor
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

BUSY_EVERY, IDLE_EVERY = 1.0, 30.0
"""Seconds between two looks at what is due: while a rotation goes on, and else."""
AT_ONCE = 8
"""Rotations that go a step further side by side."""
MOST_STEPS = 200
"""Steps of one rotation in `settle`."""
LONGEST_SECRET = 32_768
_log = structlog.get_logger()


class Shown(Struct, frozen=True, kw_only=True):
    """A rotation as it is told: nothing of it is a key. `page` is where a person makes and revokes keys."""

    rotation: KeyRotation
    management: KeyManagement
    due: datetime | None
    warning: str
    age_days: float | None

    @property
    def automatic(self) -> bool:
        """Whether keys are made without a person."""
        return self.management.makes


class KeyRotations:
    """Sets rotations up, begins them, and goes on with them. Everything is one commit with its audit event."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        registry: ProviderRegistry,
        http: Http,
        clock: Clock,
        ids: Ids,
        journal: Journal,
    ) -> None:
        self._store = store
        self._vault = vault
        self._registry = registry
        self._http = http
        self._clock = clock
        self._ids = ids
        self._journal = journal
        self._calls = KeyCalls(store, vault, registry, http)
        self._switching = Switching(store, vault, registry, http, clock)
        self._runner = Runner(store, self._calls, self._switching, journal, clock, ids, ids.token()[0])
        self._current = CurrentKeys(store, self._calls, journal)
        self._woken = asyncio.Event()

    def management(self, provider: str) -> KeyManagement:
        """What a provider declares of its keys, else that a person does everything.

        Raises UnknownProviderError; InvalidInputError where its accounts have no key.
        """
        return self._calls.management(provider)

    async def get(self, id: CredentialId, *, workspace: str) -> Shown:
        """The rotation of a credential's key. Raises CredentialNotFoundError, KeyRotationNotFoundError."""
        return self._shown(await self._required(id, workspace))

    async def listed(self, *, workspace: str | None = None) -> Sequence[Shown]:
        """All rotations of a workspace, None: of all."""
        found = await self._store.key_rotations()
        return [self._shown(one) for one in found if workspace in {None, one.workspace} and self._known(one)]

    async def policy(self, id: CredentialId, *, workspace: str) -> Policy:
        """The policy, that of a new one where none is set up. Raises CredentialNotFoundError."""
        await require_credential(self._store, workspace, id)
        stored = await self._store.key_rotation(rotation_id(id))
        return Policy() if stored is None else stored.policy

    async def tally(self) -> tuple[Mapping[str, int], float]:
        """How many keys of the installation are in which state, and the age of the oldest in days."""
        found = await self.listed()
        states = dict.fromkeys(("resting", "running", "waiting", "warned"), 0)
        for one in found:
            run = one.rotation.run
            states["waiting" if run and run.held else "running" if run else "warned" if one.warning else "resting"] += 1
        return states, max((one.age_days or 0.0 for one in found), default=0.0)

    async def set_up(
        self,
        id: CredentialId,
        *,
        policy: Policy,
        settings: Mapping[str, SettingValue | None] | None = None,
        secrets: Mapping[str, Secret | None] | None = None,
        like: CredentialId | None = None,
        key_id: str | None = None,
        by: Caller = IN_PROCESS,
    ) -> Shown:
        """Set up, or change, how a credential's key is rotated.

        `settings` and `secrets` are what the provider's `KeyManagement` asks for; what is not given stays. Without
        any of it the policy is a reminder: a person makes the key. `like` takes them from the rotation of another
        credential of the provider. `key_id` says which key there is the one in use, where the list does not tell.

        Raises CredentialNotFoundError, KeyRotationNotFoundError for `like`, InvalidInputError (its subclasses name the
        field) or SealedError.
        """
        checked_policy(policy)

        async def plan() -> tuple[Changeset, KeyRotation]:
            credential = await require_credential(self._store, by.workspace, id)
            stored = await self._store.key_rotation(rotation_id(id))
            other = None if like is None else await self._required(like, by.workspace)
            if other is not None and other.provider != credential.provider:
                raise InvalidInputError("Both credentials must be of one provider.", {"like": "is of another provider"})
            after = self._configured(credential, stored, policy, settings or {}, secrets or {}, other)
            if key_id is not None:
                after = replace(after, key_id=self._checked_id(credential, after, key_id.strip()))
            asked = sorted(name for name in after.sealed if "." not in name)
            details: dict[str, str | int | list[str]] = {"secrets": asked}
            if policy.every_days is not None:
                details["every_days"] = policy.every_days
            event = self._journal.event(by, Action.KEY_ROTATION_SET, id, details=details)
            put = PutKeyRotation(after, expected=stored.version if stored else 0)
            return (ExpectCredential(by.workspace, id), put, event), after

        done = await self._journal.retried(plan)
        self._woken.set()
        return self._shown(done)

    async def remove(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> Shown:
        """Rotate the key no more, and forget what manages it; gives what is forgotten.

        Raises CredentialNotFoundError, KeyRotationNotFoundError; KeyRotationStateError while one is under way.
        """

        async def plan() -> tuple[Changeset, KeyRotation]:
            stored = await self._required(id, by.workspace)
            if stored.run is not None:
                raise KeyRotationStateError("A rotation of this key is under way; nothing of it may be forgotten.")
            event = self._journal.event(by, Action.KEY_ROTATION_REMOVED, id)
            return (DropKeyRotation(stored.id, expected=stored.version), event), stored

        return self._shown(await self._journal.retried(plan))

    async def rotate(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> Shown:
        """Begin a rotation. Raises CredentialNotFoundError, KeyRotationNotFoundError, KeyRotationStateError."""
        return await self._begin(id, Reason.ASKED, by)

    async def leaked(self, id: CredentialId, *, may_close: bool = True, by: Caller = IN_PROCESS) -> Shown:
        """The key leaked: a new one, a switch, and the former one revoked at once.

        Where the provider's keys are not made by its API, or nothing is set up for that, the account is closed for
        calls, if it `may_close`, until somebody stores a new key. Raises CredentialNotFoundError, InvalidInputError.
        """
        return await self._begin(id, Reason.LEAKED, by, closes=may_close)

    async def resume(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> Shown:
        """A person saw to what the rotation waited for. Raises as `rotate`."""

        async def plan() -> tuple[Changeset, KeyRotation]:
            stored = await self._required(id, by.workspace)
            after = machine.released(stored, self._clock.now())
            event = self._journal.event(by, Action.KEY_ROTATED, id, outcome="resumed")
            return (PutKeyRotation(after, expected=stored.version), event), after

        done = await self._journal.retried(plan)
        self._woken.set()
        return self._shown(done)

    async def cancel(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> Shown:
        """Call a rotation off. An account that a leak closed stays closed. Raises as `rotate`."""

        async def plan() -> tuple[Changeset, KeyRotation]:
            stored = await self._required(id, by.workspace)
            after = machine.cancelled(stored, self._clock.now())
            event = self._journal.event(by, Action.KEY_ROTATED, id, outcome="cancelled")
            return (PutKeyRotation(after, expected=stored.version), event), after

        done = await self._journal.retried(plan)
        self._woken.set()
        return self._shown(done)

    async def held_back(self) -> Sequence[KeyRotation]:
        """The rotations of all workspaces whose former key is not revoked because another workspace uses it."""
        return [one for one in await self._store.key_rotations() if one.run is not None and one.run.used_by]

    async def rest(self) -> list[Change]:
        """The changes by which all rotations rest until somebody resumes each: they came with a backup."""
        now = self._clock.now()
        found = await self._store.key_rotations()
        return [PutKeyRotation(machine.rested(one, now), expected=one.version) for one in found]

    async def work(self) -> bool:
        """Begin what the policies ask for, and go one step further with all that is due; whether anything was."""
        if self._vault.why_sealed is not None:
            return False
        await self._vault.refresh()
        stored = await self._store.key_rotations()
        found = [one for one in stored if not one.restored and self._known(one)]
        now = self._clock.now()
        did = False
        for one in found:
            did |= await self._righted(one, now) or (one.run is None and await self._look(one, now))
        due = [one for one in found if one.run is not None and one.run.due <= now]
        for start in range(0, len(due), AT_ONCE):
            did |= await self._together(map(self._runner.advance, due[start : start + AT_ONCE]))
        if not did:  # what is only told waits for what is done
            unknown = [one for one in found if one.run is None and self._current.unknown(one, now)]
            did = await self._together(self._current.look(one, now) for one in unknown[:AT_ONCE])
        return did

    async def _together(self, steps: Iterable[Awaitable[bool]]) -> bool:
        """Whether one of them did anything. What one fails with is logged, and holds up none of the others."""
        did = False
        for result in await asyncio.gather(*steps, return_exceptions=True):
            if not isinstance(result, BaseException):
                did |= result
            elif isinstance(result, KeycairnError):
                _log.warning("a rotation of a key could not go on yet", code=result.code)
            else:
                raise result
        return did

    async def run(self) -> None:
        """Work until cancelled: where this process leads, and on what it was asked for itself until that rests."""
        busy = asked = False
        while True:
            try:
                busy = (self._store.leads or asked or busy) and await self.work()
            except KeycairnError as error:
                busy = False
                _log.warning("the rotations of keys could not be looked at", code=error.code)
            self._woken.clear()
            asked = False
            with suppress(TimeoutError):
                async with asyncio.timeout(BUSY_EVERY if busy else await self._pause()):
                    asked = await self._woken.wait()

    async def _pause(self) -> float:
        """Seconds until something is due, within bounds."""
        now = self._clock.now()
        try:
            runs = [one.run for one in await self._store.key_rotations() if one.run is not None]
        except KeycairnError:
            return IDLE_EVERY
        waits = [(run.due - now).total_seconds() for run in runs]
        return min(max(min(waits, default=IDLE_EVERY), BUSY_EVERY), IDLE_EVERY)

    async def _righted(self, rotation: KeyRotation, now: datetime) -> bool:
        """Bring what a clock that was ahead stored to this time."""
        righted = machine.in_this_time(rotation, now)
        if righted is None:
            return False
        event = self._journal.event(_system(rotation), Action.KEY_ROTATED, rotation.credential, outcome="clock")
        try:
            await self._journal.commit((PutKeyRotation(righted, expected=rotation.version), event))
        except StaleVersionError:
            _log.debug("another instance was first", rotation=rotation.id)
        return True

    async def _look(self, rotation: KeyRotation, now: datetime) -> bool:
        """Of one that rests: notice a key that somebody else stored, and begin what the policy asks for."""
        credential = await self._store.credential(rotation.workspace, rotation.credential)
        try:
            if credential is None:
                event = self._journal.event(_system(rotation), Action.KEY_ROTATION_REMOVED, rotation.credential)
                await self._journal.commit((DropKeyRotation(rotation.id, expected=rotation.version), event))
                return True
            mark = self._calls.fingerprint(credential)
            if mark != rotation.fingerprint:
                after = machine.replaced(rotation, now, mark)
                event = self._journal.event(_system(rotation), Action.KEY_ROTATED, credential.id, outcome="replaced")
                await self._journal.commit((PutKeyRotation(after, expected=rotation.version), event))
                return True
            due = rotation.due()
            if rotation.leaked or (due is not None and due <= now and await self._leads(credential, mark)):
                reason = Reason.LEAKED if rotation.leaked else Reason.POLICY
                await self._begin(rotation.credential, reason, _system(rotation), closes=rotation.closes)
                return True
        except (StaleVersionError, KeyRotationStateError):
            return True  # another instance was first
        except KeycairnError as error:
            _log.warning("a rotation of a key could not begin", credential=rotation.credential, code=error.code)
        return False

    async def _leads(self, credential: Credential, mark: str) -> bool:
        """Whether it is this rotation that takes the key's other credentials along: none of them is under way."""
        for twin in await self._switching.twins(credential, mark):
            other = await self._store.key_rotation(rotation_id(twin.id))
            if other is not None and other.run is not None:
                return False
        return True

    async def _begin(self, id: CredentialId, reason: Reason, by: Caller, *, closes: bool = False) -> Shown:
        async def plan() -> tuple[Changeset, KeyRotation]:
            credential = await require_credential(self._store, by.workspace, id)
            stored = await self._store.key_rotation(rotation_id(id))
            if reason is Reason.LEAKED and (twin := await self._under_way(credential)) is not None:
                event = self._journal.event(by, Action.KEY_ROTATED, id, outcome=f"begun ({reason})")
                hurried, more = await self._hurried(credential, twin, closes=closes)
                put = PutKeyRotation(hurried, expected=twin.version)
                own = stored or self._bare(credential, Policy())
                return (ExpectCredential(by.workspace, id, credential.version), *more, put, event), replace(
                    own, run=hurried.run
                )
            if stored is None:
                if reason is not Reason.LEAKED:
                    raise KeyRotationNotFoundError
                stored = replace(self._bare(credential, Policy()), version=0)
            event = self._journal.event(by, Action.KEY_ROTATED, id, outcome=f"begun ({reason})")
            after, more = await self._begun(credential, stored, reason, key_of(event.event.id), closes=closes)
            put = PutKeyRotation(after, expected=stored.version)
            return (ExpectCredential(by.workspace, id, credential.version), *more, put, event), after

        done = await self._journal.retried(plan)
        self._woken.set()
        return self._shown(done)

    async def _begun(
        self, credential: Credential, stored: KeyRotation, reason: Reason, run_id: str, *, closes: bool
    ) -> tuple[KeyRotation, list[Change]]:
        now, mark = self._clock.now(), self._calls.fingerprint(credential)
        for twin in await self._switching.twins(credential, mark):
            other = await self._store.key_rotation(rotation_id(twin.id))
            if twin.id != credential.id and other is not None and other.run is not None:
                raise KeyRotationStateError(f"This key is being rotated with the credential {twin.id}.")
        management = self._calls.of(stored)
        more = []
        if closes and not management.makes:
            more = await self._switching.closed(credential, mark)
        known = stored.key_id if mark == stored.fingerprint else ""
        begun = machine.begun(stored, run_id, reason, now, fingerprint=mark, old_id=known, creation=management.creation)
        run = begun.run
        if run is None:
            raise AssertionError("a rotation began")
        begun = replace(
            begun, fingerprint=mark, run=replace(run, destinations=self._calls.places(credential), closes=closes)
        )
        old = self._calls.sealed(begun, self._calls.key_of(credential), OLD)
        return replace(begun, sealed={**begun.sealed, **old}), more

    async def _under_way(self, credential: Credential) -> KeyRotation | None:
        """The rotation of its key that is under way, with whichever credential of the workspace it was begun."""
        for twin in await self._switching.twins(credential, self._calls.fingerprint(credential)):
            found = await self._store.key_rotation(rotation_id(twin.id))
            if found is not None and found.run is not None:
                return found
        return None

    async def _hurried(
        self, credential: Credential, rotation: KeyRotation, *, closes: bool
    ) -> tuple[KeyRotation, list[Change]]:
        """One leak has one answer: the rotation that is under way."""
        shut = closes and rotation.run is not None and rotation.run.step is RotationStep.AWAITING
        more = await self._switching.closed(credential, self._calls.fingerprint(credential)) if shut else []
        return machine.hurried(rotation, self._clock.now(), closes=closes), more

    def _managing(self, provider: str) -> ProviderSpec:
        return management_spec(self._registry.get(provider).spec, self._calls.management(provider))

    def _bare(self, credential: Credential, policy: Policy) -> KeyRotation:
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

    def _configured(
        self,
        credential: Credential,
        stored: KeyRotation | None,
        policy: Policy,
        settings: Mapping[str, SettingValue | None],
        secrets: Mapping[str, Secret | None],
        other: KeyRotation | None,
    ) -> KeyRotation:
        managing = self._managing(credential.provider)
        base = self._bare(credential, policy) if stored is None else machine.revised(stored, self._clock.now())
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

    def _checked_id(self, credential: Credential, rotation: KeyRotation, id: str) -> str:
        """What a person calls the key in use. Raises InvalidInputError for what is none, such as the key itself."""
        secrets = [*self._calls.key_of(credential).values(), *self._calls.managers(rotation).values()]
        if id and (not is_key_id(id) or Redactor(secrets).holds(id)):
            raise InvalidInputError("That is no id of a key.", {"key_id": "is what the provider calls the key"})
        return id

    async def _required(self, id: CredentialId, workspace: str) -> KeyRotation:
        credential = await require_credential(self._store, workspace, id)
        found = await self._store.key_rotation(rotation_id(credential.id))
        if found is None or found.workspace != workspace:
            raise KeyRotationNotFoundError
        return found

    def _known(self, rotation: KeyRotation) -> bool:
        try:
            self._calls.management(rotation.provider)
        except KeycairnError:
            return False  # its plugin is not loaded
        return True

    def _shown(self, rotation: KeyRotation) -> Shown:
        management, now = self._calls.of(rotation), self._clock.now()
        return Shown(
            rotation=rotation,
            management=management,
            due=rotation.due(),
            warning=warning(rotation, now, by_person=not management.makes),
            age_days=None if rotation.made is None else round((now - rotation.made) / timedelta(days=1), 2),
        )


def _checked(managing: ProviderSpec, name: str, secret: Secret | None) -> Secret | None:
    if all(field.name != name for field in managing.secrets):
        raise InvalidInputError(f"{managing.label} asks for no {name}.", {name: "is not asked for"})
    text = secret.reveal().strip() if secret is not None else ""
    if len(text) > LONGEST_SECRET:
        raise InvalidInputError(f"A secret has at most {LONGEST_SECRET} characters.", {name: "is too long"})
    return Secret(text) if text else None


def _system(rotation: KeyRotation) -> Caller:
    return replace(SYSTEM, workspace=rotation.workspace)
