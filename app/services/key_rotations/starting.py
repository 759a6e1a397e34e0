"""Beginning a rotation: because somebody asks for it, a policy does, or the key leaked."""

from msgspec.structs import replace

from keycairn.app.lookup import require_credential
from keycairn.app.services.audit import Journal
from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.app.services.key_rotations.setup import RotationSetup
from keycairn.app.services.key_rotations.switching import Switching
from keycairn.domain.audit import Action, Caller
from keycairn.domain.change import Change, Changeset, ExpectCredential, PutKeyRotation
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    KeyRotationNotFoundError,
    KeyRotationStateError,
    SecretReentryRequiredError,
)
from keycairn.domain.ids import CredentialId, key_of
from keycairn.domain.key_management import KeyCreation
from keycairn.domain.key_rotation import machine
from keycairn.domain.key_rotation.binding import is_home
from keycairn.domain.key_rotation.record import (
    OLD,
    KeyRotation,
    Policy,
    Reason,
    RotationStep,
    rotation_id,
)
from keycairn.ports.clock import Clock
from keycairn.ports.store import Store


class RotationStarter:
    """Begins rotations, each in one commit with its audit event."""

    def __init__(
        self,
        store: Store,
        calls: KeyCalls,
        switching: Switching,
        setup: RotationSetup,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._store = store
        self._calls = calls
        self._switching = switching
        self._setup = setup
        self._journal = journal
        self._clock = clock

    async def begin(self, id: CredentialId, reason: Reason, by: Caller, *, closes: bool = False) -> KeyRotation:
        """Begin a rotation; one that is under way is hurried by a leak. With `closes`, a leaked key is used no more.

        Raises CredentialNotFoundError, KeyRotationNotFoundError, KeyRotationStateError, InvalidInputError.
        """

        async def plan() -> tuple[Changeset, KeyRotation]:
            credential = await require_credential(self._store, by.workspace, id)
            stored = await self._store.key_rotation(rotation_id(id))
            if reason is Reason.LEAKED and (twin := await self._under_way(credential)) is not None:
                event = self._journal.event(by, Action.KEY_ROTATED, id, outcome=f"begun ({reason})")
                hurried, more = await self._hurried(credential, twin, closes=closes)
                put = PutKeyRotation(hurried, expected=twin.version)
                own = stored or self._setup.bare(credential, Policy())
                return (ExpectCredential(by.workspace, id, credential.version), *more, put, event), replace(
                    own, run=hurried.run
                )
            if stored is None:
                if reason is not Reason.LEAKED:
                    raise KeyRotationNotFoundError
                stored = replace(self._setup.bare(credential, Policy()), version=0)
            event = self._journal.event(by, Action.KEY_ROTATED, id, outcome=f"begun ({reason})")
            after, more = await self._begun(credential, stored, reason, key_of(event.event.id), closes=closes)
            put = PutKeyRotation(after, expected=stored.version)
            return (ExpectCredential(by.workspace, id, credential.version), *more, put, event), after

        return await self._journal.retried(plan)

    async def _begun(
        self, credential: Credential, stored: KeyRotation, reason: Reason, run_id: str, *, closes: bool
    ) -> tuple[KeyRotation, list[Change]]:
        now, mark = self._clock.now(), self._calls.fingerprint(credential)
        for twin in await self._switching.alike(credential, mark):
            other = await self._store.key_rotation(rotation_id(twin.id))
            if twin.id == credential.id or other is None or other.run is None:
                continue
            if other.takes_along(credential.provider, credential.id):
                raise KeyRotationStateError("This key is being rotated with another credential that holds it.")
        management, here = self._calls.of(stored), self._calls.target(credential)
        creation = management.creation
        if management.makes and not is_home(stored, here):
            if reason is not Reason.LEAKED:
                raise SecretReentryRequiredError(sorted(name for name in stored.sealed if "." not in name))
            creation = KeyCreation.BY_PERSON
        more = []
        if closes and creation is KeyCreation.BY_PERSON:
            more = await self._switching.closed(credential, mark)
        known = stored.key_id if mark == stored.fingerprint else ""
        if mark != stored.fingerprint:
            stored = replace(stored, confirmed=())
        begun = machine.begun(stored, run_id, reason, now, fingerprint=mark, old_id=known, creation=creation)
        run = begun.run
        if run is None:
            raise AssertionError("a rotation began")
        begun = replace(
            begun,
            fingerprint=mark,
            run=replace(
                run,
                destinations=self._calls.places(credential),
                bound=here,
                key_origins=self._calls.key_origins(stored, credential),
                closes=closes,
            ),
        )
        old = self._calls.sealed(begun, self._calls.key_of(credential), OLD)
        return replace(begun, sealed={**begun.sealed, **old}), more

    async def _under_way(self, credential: Credential) -> KeyRotation | None:
        """The rotation of its key that is under way, with whichever credential it was begun that leads to the same."""
        for twin in await self._switching.alike(credential, self._calls.fingerprint(credential)):
            found = await self._store.key_rotation(rotation_id(twin.id))
            if found is not None and found.run is not None and found.takes_along(credential.provider, credential.id):
                return found
        return None

    async def _hurried(
        self, credential: Credential, rotation: KeyRotation, *, closes: bool
    ) -> tuple[KeyRotation, list[Change]]:
        """One leak has one answer: the rotation that is under way."""
        shut = closes and rotation.run is not None and rotation.run.step is RotationStep.AWAITING
        more = await self._switching.closed(credential, self._calls.fingerprint(credential)) if shut else []
        return machine.hurried(rotation, self._clock.now(), closes=closes), more
