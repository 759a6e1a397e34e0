"""Rotating the keys of credentials at their providers: what can be asked of it, by the API, the page and commands."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.lookup import require_credential
from keycairn.app.services.audit import Journal
from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.app.services.key_rotations.runner import Runner
from keycairn.app.services.key_rotations.schedule import RotationSchedule
from keycairn.app.services.key_rotations.setup import RotationSetup
from keycairn.app.services.key_rotations.starting import RotationStarter
from keycairn.app.services.key_rotations.switching import Switching
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import IN_PROCESS, Action, Caller
from keycairn.domain.change import Change, Changeset, DropKeyRotation, ExpectCredential, PutKeyRotation
from keycairn.domain.errors import (
    InvalidInputError,
    KeyRotationNotFoundError,
    KeyRotationStateError,
)
from keycairn.domain.field import SettingValue
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_management import KeyManagement
from keycairn.domain.key_rotation import at_rest, by_person
from keycairn.domain.key_rotation.record import (
    KeyRotation,
    Policy,
    Reason,
    checked_policy,
    rotation_id,
)
from keycairn.domain.key_rotation.warning import warning
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

MOST_STEPS = 200
"""Steps of one rotation in `settle`."""


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
        self._clock = clock
        self._journal = journal
        self._calls = KeyCalls(store, vault, registry, http)
        switching = Switching(store, vault, registry, http, clock)
        runner = Runner(store, self._calls, switching, journal, clock, ids, ids.token()[0])
        self._setup = RotationSetup(self._calls, registry, http, clock)
        self._starter = RotationStarter(store, self._calls, switching, self._setup, journal, clock)
        self._schedule = RotationSchedule(store, vault, self._calls, switching, self._starter, runner, journal, clock)

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
        return [self._shown(one) for one in found if workspace in {None, one.workspace} and self._calls.knows(one)]

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
            after = self._setup.configured(credential, stored, policy, settings or {}, secrets or {}, other)
            if any((secrets or {}).values()) or other is not None:
                after = replace(after, reach=None if by.reach.whole else by.reach)
            if key_id is not None:
                after = replace(after, key_id=self._setup.checked_id(credential, after, key_id.strip()))
            asked = sorted(name for name in after.sealed if "." not in name)
            details: dict[str, str | int | list[str]] = {"secrets": asked}
            if policy.every_days is not None:
                details["every_days"] = policy.every_days
            event = self._journal.event(by, Action.KEY_ROTATION_SET, id, details=details)
            put = PutKeyRotation(after, expected=stored.version if stored else 0)
            return (ExpectCredential(by.workspace, id), put, event), after

        done = await self._journal.retried(plan)
        self._schedule.woken.set()
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
        return await self._begun(id, Reason.ASKED, by)

    async def leaked(self, id: CredentialId, *, may_close: bool = True, by: Caller = IN_PROCESS) -> Shown:
        """The key leaked: a new one, a switch, and the former one revoked at once.

        Where the provider's keys are not made by its API, or nothing is set up for that, the account is closed for
        calls, if it `may_close`, until somebody stores a new key. Raises CredentialNotFoundError, InvalidInputError.
        """
        return await self._begun(id, Reason.LEAKED, by, closes=may_close)

    async def resume(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> Shown:
        """A person saw to what the rotation waited for. Raises as `rotate`."""

        async def plan() -> tuple[Changeset, KeyRotation]:
            stored = await self._required(id, by.workspace)
            after = by_person.released(stored, self._clock.now())
            event = self._journal.event(by, Action.KEY_ROTATED, id, outcome="resumed")
            return (PutKeyRotation(after, expected=stored.version), event), after

        done = await self._journal.retried(plan)
        self._schedule.woken.set()
        return self._shown(done)

    async def cancel(self, id: CredentialId, *, by: Caller = IN_PROCESS) -> Shown:
        """Call a rotation off. An account that a leak closed stays closed. Raises as `rotate`."""

        async def plan() -> tuple[Changeset, KeyRotation]:
            stored = await self._required(id, by.workspace)
            after = by_person.cancelled(stored, self._clock.now())
            event = self._journal.event(by, Action.KEY_ROTATED, id, outcome="cancelled")
            return (PutKeyRotation(after, expected=stored.version), event), after

        done = await self._journal.retried(plan)
        self._schedule.woken.set()
        return self._shown(done)

    async def held_back(self) -> Sequence[KeyRotation]:
        """The rotations of all workspaces whose former key is not revoked because another workspace uses it."""
        return [one for one in await self._store.key_rotations() if one.run is not None and one.run.used_by]

    async def rest(self) -> list[Change]:
        """The changes by which all rotations rest until somebody resumes each: they came with a backup."""
        now = self._clock.now()
        found = await self._store.key_rotations()
        return [PutKeyRotation(at_rest.rested(one, now), expected=one.version) for one in found]

    async def work(self) -> bool:
        """See `RotationSchedule.work`."""
        return await self._schedule.work()

    async def run(self) -> None:
        """See `RotationSchedule.run`."""
        await self._schedule.run()

    async def _begun(self, id: CredentialId, reason: Reason, by: Caller, *, closes: bool = False) -> Shown:
        done = await self._starter.begin(id, reason, by, closes=closes)
        self._schedule.woken.set()
        return self._shown(done)

    async def _required(self, id: CredentialId, workspace: str) -> KeyRotation:
        credential = await require_credential(self._store, workspace, id)
        found = await self._store.key_rotation(rotation_id(credential.id))
        if found is None or found.workspace != workspace:
            raise KeyRotationNotFoundError
        return found

    def _shown(self, rotation: KeyRotation) -> Shown:
        management, now = self._calls.of(rotation), self._clock.now()
        return Shown(
            rotation=rotation,
            management=management,
            due=rotation.due(),
            warning=warning(rotation, now, by_person=not management.makes),
            age_days=None if rotation.made is None else round((now - rotation.made) / timedelta(days=1), 2),
        )
