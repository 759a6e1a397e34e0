"""Going one step further with the rotation of a key. What a step stands for is stored before it is done."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from keycairn.app.services.audit import Journal
from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.app.services.key_rotations.switching import Switching
from keycairn.domain.audit import SYSTEM, Action, Details
from keycairn.domain.change import Change, DropKeyRotation, PutKeyRotation
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential
from keycairn.domain.errors import (
    AddressNotFoundError,
    CallRefusedError,
    EgressRefusedError,
    InvalidAuthError,
    InvalidInputError,
    KeycairnError,
    NoPermissionError,
    NotSentError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
    StaleVersionError,
    StoreError,
    UndecryptableError,
)
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.key_rotation import machine
from keycairn.domain.key_rotation.record import (
    BEFORE_SWITCH,
    NEW,
    OLD,
    KeyRotation,
    Reason,
    RotationOutcome,
    RotationStep,
    Run,
)
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.store import Store

_NOT_MADE = (
    RateLimitedError,
    InvalidAuthError,
    NoPermissionError,
    AddressNotFoundError,
    CallRefusedError,
    QuotaExhaustedError,
    NotSentError,
    EgressRefusedError,
    InvalidInputError,
    UndecryptableError,
)
"""After these there is no new key; after any other failure nobody knows."""
_REFUSALS = frozenset(range(400, 500)) - {408}
"""Statuses of answers that say so, whatever else they say."""
_LOOK = "Whether the provider made a key named {tag} is not known, and it lists none. Revoke it at {page}, then go on."
_ELSEWHERE = "Another workspace of this service uses the same key, so it is not revoked. Its administrator was told."
_HERE = "Credentials of this workspace still hold the former key, so it is not revoked: {names}."
_TO_REVOKE = "Revoke the former key{id} at {page}. It is looked after until the provider refuses it."
AWAITED_EVERY = 30.0
"""Seconds between two looks whether somebody stored the key that is waited for."""
_TO_MAKE = "Make a new key at {page}, and store it with the credential."
_IN_USE = "The provider answered with a key that a credential of this service holds already."
_STRANGE_LIST = "None of the keys that are listed is the credential's. Name the right account, or say `--key-id`."
_NOT_REVOKED = "The leaked key could not be revoked yet, which is tried again: {why}"
_ORPHANS = "Revoke these keys at {page}, which nobody uses: {keys}. They are looked after until they are gone."
_ASKED_AGAIN = 5
"""How often the answer to a creation is stored again, where the record was edited meanwhile."""
_log = structlog.get_logger()


class Runner:
    """Goes on with rotations. Two of them do each other no harm: whoever stores a step first goes on with it.

    `name` tells this process from others.
    """

    def __init__(
        self, store: Store, calls: KeyCalls, switching: Switching, journal: Journal, clock: Clock, ids: Ids, name: str
    ) -> None:
        self._store = store
        self._calls = calls
        self._switching = switching
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._name = name
        self._resting: dict[str, datetime] = {}
        """When rotations that wait for a person are looked at again, where nothing was worth a commit."""

    async def advance(self, rotation: KeyRotation) -> bool:
        """Do what is due now; whether there was anything. Failures are kept with the rotation."""
        run, now = rotation.run, self._clock.now()
        if run is None or run.due > now or self._rests(run, now):
            return False
        credential = await self._store.credential(rotation.workspace, rotation.credential)
        try:
            if (moved := self._overtaken(rotation, run, credential)) is not None:
                await self.store(rotation, moved)
            else:
                await self._steps[run.step](self, rotation, run, credential)
        except StaleVersionError:
            _log.debug("another instance, or an edit, was first with the rotation of a key", rotation=rotation.id)
        except StoreError:
            raise
        except KeycairnError as error:
            wait = error.retry_after if isinstance(error, RateLimitedError) else None
            await self.store(rotation, machine.troubled(rotation, self._clock.now(), str(error), wait=wait))
        return True

    def _rests(self, run: Run, now: datetime) -> bool:
        """Whether it was looked at a moment ago, by a clock that was not ahead."""
        until = self._resting.get(run.id, now)
        return now < until <= now + timedelta(seconds=machine.PERSON_LOOKS)

    async def store(
        self, before: KeyRotation, after: KeyRotation, *more: Change, details: Details | None = None
    ) -> None:
        """Store the next state, and what becomes of the credentials with it. Raises StaleVersionError."""
        put: list[Change] = [PutKeyRotation(after, expected=before.version), *more]
        if (
            (after.run and after.run.step) != (before.run and before.run.step)
            or details
            or _word(before) != _word(after)
        ):
            put.append(self._event(before, after, details or {}))
        else:
            put.append(self._event(before, after, {"attempt": after.run.attempt if after.run else 0}))
        if after.run is None and await self._store.credential(after.workspace, after.credential) is None:
            put[0] = DropKeyRotation(before.id, expected=before.version)
        await self._journal.commit(tuple(put))

    def _event(self, before: KeyRotation, after: KeyRotation, more: Details) -> Change:
        run = after.run or before.run
        details: dict[str, str | int | list[str]] = {**more}
        if run is not None:
            said = {"run": run.id, "reason": run.reason, "old_key": run.old_id, "new_key": run.new_id}
            details |= {name: value for name, value in said.items() if value}
            if run.step is RotationStep.CREATING:
                details["tag"] = run.tag
        outcome: str = after.run.step if after.run else (after.last.outcome if after.last else "ended")
        why = (after.run.held or after.run.trouble) if after.run else (after.last.why if after.last else "")
        if why:
            details["why"] = why
        by = replace(SYSTEM, workspace=after.workspace)
        return self._journal.event(by, Action.KEY_ROTATED, after.credential, outcome=outcome, details=details)

    def _overtaken(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> KeyRotation | None:
        """What becomes of a rotation whose credential was changed by somebody else; None where it was not."""
        now = self._clock.now()
        if run.step not in BEFORE_SWITCH:
            return None
        if credential is None:
            return machine.cleaning(rotation, now, "The credential was deleted.", ends_as=RotationOutcome.REPLACED)
        mark = _mark(self._calls, credential)
        if mark == run.fingerprint:
            return None
        if run.step is RotationStep.AWAITING and mark:
            return machine.switched_by_hand(rotation, now, mark)
        why = "Another key was stored with the credential meanwhile."
        return machine.cleaning(rotation, now, why, ends_as=RotationOutcome.REPLACED)

    async def _hold(
        self,
        rotation: KeyRotation,
        why: str,
        *told: Change,
        look_after: float = machine.PERSON_LOOKS,
        used_by: tuple[str, ...] = (),
    ) -> None:
        """Have it wait for a person; that it still does is not worth a commit."""
        run, now = _run(rotation), self._clock.now()
        if (run.held, run.used_by) == (why, used_by):
            self._resting[run.id] = now + timedelta(seconds=look_after)
            return
        after = machine.held(rotation, now, why, look_after=look_after, used_by=used_by)
        await self.store(rotation, after, *told)

    async def _removed(
        self, rotation: KeyRotation, credential: Credential | None, keys: Sequence[ListedKey], **known: Secret
    ) -> bool:
        """Revoke keys that nobody has; False where a person has to, who is asked."""
        management = self._calls.of(rotation)
        if keys and not management.revokes:
            named = ", ".join(one.tag or one.id for one in keys)
            why = _ORPHANS.format(page=management.page or "the provider's page", keys=named)
            await self._hold(rotation, why)
            return False
        for one in keys:
            await self._calls.revoke(rotation, credential, KeyRef(id=one.id, secrets=known))
        return True

    async def _plan(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """List the keys there are, store what is about to be asked for, and ask."""
        management, credential = self._calls.of(rotation), _there(credential)
        now = self._clock.now()
        try:
            listed = await self._calls.keys(rotation, credential)
        except KeycairnError as error:
            await self._refused(rotation, credential, error)
            return
        late = self._orphans(run, listed, management)  # made by an earlier try
        if not await self._removed(rotation, credential, late):
            return
        if run.tries >= machine.MOST_TRIES:
            after = machine.cleaning(rotation, now, f"The provider made no key that came back: {run.trouble}")
            await self.store(rotation, after, *await self._closing(after, credential))
            return
        if management.creation is KeyCreation.REPLACING and await self._in_use(rotation, listed):
            return
        known = rotation.key_id if rotation.fingerprint == run.fingerprint else ""
        current = next((one.id for one in listed if one.current), "")
        before = tuple(one.id for one in listed)
        if management.lists and not management.tagged and not {current, known} & set(before):
            await self._refused(rotation, credential, InvalidInputError(_STRANGE_LIST))
            return
        chosen = self._chosen() if management.creation is KeyCreation.CHOSEN else None
        intent = machine.intended(rotation, now, old_id=current or known, listed=before, maker=self._name)
        if chosen is not None:
            new = self._calls.sealed(intent, {management.secrets[0]: chosen}, NEW)
            intent = replace(intent, sealed={**intent.sealed, **new})
        await self.store(rotation, intent)
        await self._make(intent, credential, chosen)

    async def _make(self, intent: KeyRotation, credential: Credential, chosen: Secret | None) -> None:
        order = KeyOrder(tag=_run(intent).tag, secret=chosen)
        try:
            made = await self._calls.make(intent, credential, order)
        except _NOT_MADE as error:
            await self._refused(intent, credential, error)
        except KeycairnError as error:
            if isinstance(error, ProviderError) and error.status in _REFUSALS:
                await self._refused(intent, credential, error)
                return
            await self.store(intent, machine.unclear(intent, self._clock.now(), str(error)))
        else:
            await self._keep(intent, credential, made)

    async def _keep(self, intent: KeyRotation, credential: Credential, made: MadeKey) -> None:
        """Store a key that came, also where the record was edited meanwhile; one that is not waited for is revoked."""
        run, now = _run(intent), intent
        for _ in range(_ASKED_AGAIN):
            try:
                await self._made(now, made)
            except StaleVersionError:
                found = await self._store.key_rotation(intent.id)
                if found is None or found.run is None or not _same_creation(found.run, run):
                    break
                now = found
            else:
                return
        if self._calls.of(intent).revokes:
            await self._calls.revoke(intent, credential, KeyRef(id=made.id, secrets=made.secrets))

    async def _made(self, intent: KeyRotation, made: MadeKey) -> None:
        if await self._calls.holders(list(made.secrets.values())):
            await self.store(intent, machine.unclear(intent, self._clock.now(), _IN_USE))
            return
        main = next(name for name in self._calls.of(intent).secrets if name in made.secrets)
        mark = self._switching.fingerprint(intent.workspace, made.secrets[main])
        after = machine.made(intent, self._clock.now(), new_id=made.id, new_fingerprint=mark, expires=made.expires)
        after = replace(
            after,
            sealed={**after.sealed, **self._calls.sealed(after, made.secrets, NEW)},
            run=replace(_run(after), new_settings=dict(made.settings)),
        )
        await self.store(intent, after)

    async def _refused(self, rotation: KeyRotation, credential: Credential, error: KeycairnError) -> None:
        wait = error.retry_after if isinstance(error, RateLimitedError) else None
        after = machine.refused(rotation, self._clock.now(), str(error), wait=wait, final=False)
        await self.store(rotation, after, *await self._closing(after, credential))

    async def _closing(self, after: KeyRotation, credential: Credential) -> Sequence[Change]:
        """A leaked key that cannot be replaced is used no more."""
        run = after.run
        if run is None or run.step is not RotationStep.CLEANING or not run.closes:
            return ()
        return await self._switching.closed(credential, run.fingerprint)

    async def _create(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """A creation was cut off: find out whether there is a key."""
        management, now = self._calls.of(rotation), self._clock.now()
        if management.creation is KeyCreation.REPLACING:
            await self.store(rotation, machine.repeatable(rotation, now))
            return
        if not management.lists:
            why = _LOOK.format(tag=run.tag, page=management.page or "the provider's page")
            await self._hold(rotation, why)
            return
        listed = await self._calls.keys(rotation, credential)
        found = self._orphans(run, listed, management)
        if management.creation is KeyCreation.CHOSEN and (ours := next((o for o in found if o.tag == run.tag), None)):
            chosen = self._calls.kept(rotation, NEW)
            made = MadeKey(id=ours.id, secrets=chosen, expires=ours.expires)
            await self._made(rotation, made)
            return
        if not await self._removed(rotation, credential, found):
            return
        after = (
            machine.unclear(rotation, now, "A key of it was found, and revoked.")
            if found
            else machine.looked(rotation, now)
        )
        await self.store(rotation, after, details={"revoked": [one.id for one in found]} if found else None)

    async def _prove(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        within = self._calls.of(rotation).takes_effect
        last = run.proofs + 1 >= machine.PROOFS
        try:
            await self._calls.proves(rotation, _there(credential), call=last)
        except KeycairnError as error:
            after = machine.proof(rotation, self._clock.now(), good=False, why=str(error), within=within)
            await self.store(rotation, after, *await self._closing(after, _there(credential)))
        else:
            await self.store(rotation, machine.proof(rotation, self._clock.now(), good=True, within=within))

    async def _switch(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        new = self._calls.kept(rotation, NEW)
        changes, ids = await self._switching.to(_there(credential), run.fingerprint, new, run)
        after = machine.switched(rotation, self._clock.now())
        await self.store(rotation, after, *changes, details={"credentials": ids})
        self._switching.forget(ids)

    async def _settle(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        del run, credential
        await self.store(rotation, machine.settled(rotation, self._clock.now()))

    async def _overlap(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        if await self._held_back(rotation, run):
            return
        after = machine.revoking(rotation, self._clock.now())
        await self.store(rotation, after)
        await self._revoke(after, _run(after), credential)

    async def _revoke(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        management, now = self._calls.of(rotation), self._clock.now()
        if await self._held_back(rotation, run):
            return
        if management.revokes and (run.old_id or not management.lists):
            key = KeyRef(id=run.old_id, secrets=self._calls.kept(rotation, OLD))
            await self._calls.revoke(rotation, credential, key)
            await self.store(rotation, machine.revoked(rotation, now))
        elif credential is not None and await self._calls.is_dead(rotation, credential):
            await self.store(rotation, machine.revoked(rotation, now))
        else:
            id = f" ({run.old_id})" if run.old_id else ""
            why = _TO_REVOKE.format(id=id, page=management.page or "the provider's page")
            await self._hold(rotation, why)

    async def _bury(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """See that the former key is dead, and that nothing else of the rotation is left at the provider."""
        management = self._calls.of(rotation)
        listed = await self._calls.keys(rotation, credential)
        replaced = management.creation is KeyCreation.REPLACING
        there = not replaced and any(one.id == run.old_id and one.usable for one in listed if run.old_id)
        left = self._orphans(run, listed, management) if management.tagged else []
        if left and await self._calls.holders(list(self._calls.kept(rotation, NEW).values())):
            left = [one for one in left if one.id != run.new_id]
        if not await self._removed(rotation, credential, left):
            return
        dead = not there and not left and await self._calls.is_dead(rotation, credential)
        after = machine.death(rotation, self._clock.now(), dead=dead, within=management.ends_within)
        await self.store(rotation, after, details={"revoked": [one.id for one in left]} if left else None)

    async def _clean(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """Remove what was made before it failed."""
        management, now = self._calls.of(rotation), self._clock.now()
        new = self._calls.kept(rotation, NEW)
        if not run.tries or management.creation is KeyCreation.REPLACING:
            await self.store(rotation, machine.given_up(rotation, now, run.why))
            return
        if not management.lists:
            if run.unsure:
                await self._hold(rotation, _LOOK.format(tag=run.tag, page=management.page or "the provider's page"))
                return
            if run.new_id or new:
                await self._calls.revoke(rotation, credential, KeyRef(id=run.new_id, secrets=new))
            await self.store(rotation, machine.given_up(rotation, now, run.why))
            return
        listed = await self._calls.keys(rotation, credential)
        found = self._orphans(run, listed, management)
        if run.new_id and any(one.id == run.new_id and one.usable for one in listed):
            found = [*(one for one in found if one.id != run.new_id), ListedKey(id=run.new_id)]
        if not await self._removed(rotation, credential, found, **new):
            return
        after = machine.troubled(rotation, now, run.why) if found else machine.cleaned(rotation, now)
        await self.store(rotation, after, details={"revoked": [one.id for one in found]} if found else None)

    async def _await(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """A person has to make the key, and is told so whatever else fails."""
        why = _TO_MAKE.format(page=self._calls.of(rotation).page or "the provider's page")
        moved: KeyRotation | None = None
        elsewhere: tuple[str, ...] = ()
        try:
            moved, elsewhere = await self._meanwhile(rotation, run, credential, looked=run.held == why)
        except (ProviderError, EgressRefusedError, UndecryptableError) as error:
            why = f"{why} {_NOT_REVOKED.format(why=error) if run.reason is Reason.LEAKED else error}"
        if moved is not None:
            await self.store(rotation, moved)
            return
        told = self._told(rotation, run, elsewhere)
        why = f"{why} {_ELSEWHERE}" if elsewhere else why
        await self._hold(rotation, why, *told, look_after=AWAITED_EVERY, used_by=elsewhere)

    async def _meanwhile(
        self, rotation: KeyRotation, run: Run, credential: Credential | None, *, looked: bool
    ) -> tuple[KeyRotation | None, tuple[str, ...]]:
        """What is done before there is another key: the id of the former is found out, and one that leaked is revoked.

        Gives what the rotation is then, None where nothing was done, and those elsewhere who hold the key back.
        """
        management, now = self._calls.of(rotation), self._clock.now()
        if not run.old_id and management.lists and not looked:
            listed = await self._calls.keys(rotation, credential)
            if old := next((one.id for one in listed if one.current), ""):
                return machine.identified(rotation, now, old), ()
        named = bool(run.old_id) or not management.lists
        if run.reason is not Reason.LEAKED or run.revoked_early or not (management.revokes and named):
            return None, ()
        former = self._calls.kept(rotation, OLD)
        holders = await self._calls.holders(list(former.values()))
        if elsewhere := _named(one for one in holders if one.workspace != rotation.workspace):
            return None, elsewhere
        await self._calls.revoke(rotation, credential, KeyRef(id=run.old_id, secrets=former))
        return machine.revoked_early(rotation, now), ()

    def _orphans(self, run: Run, listed: Sequence[ListedKey], management: KeyManagement) -> list[ListedKey]:
        """Keys that this rotation made, and that nobody has."""
        if not run.tries:
            return []
        if management.tagged:
            mine = [one for one in listed if one.tag.startswith(run.tags)]
        else:
            mine = [one for one in listed if one.id not in run.listed]
        return [one for one in mine if not one.current and one.usable and one.id != run.old_id]

    async def _in_use(self, rotation: KeyRotation, listed: Sequence[ListedKey]) -> bool:
        """Whether somebody uses the other key of an account that has two, which would be replaced."""
        others = [one.secret for one in listed if one.secret is not None and not one.current]
        if not await self._calls.holders(others):
            return False
        why = "Another credential of this service uses the account's other key, which would be replaced. Move it first."
        await self._hold(rotation, why)
        return True

    async def _held_back(self, rotation: KeyRotation, run: Run) -> bool:
        """Whether a credential still holds the former key; then it is not revoked, and people are told."""
        former = self._calls.kept(rotation, OLD)
        holders = await self._calls.holders(list(former.values()))
        if not holders:
            return False
        elsewhere = _named(one for one in holders if one.workspace != rotation.workspace)
        here = ", ".join(one.name for one in holders if one.workspace == rotation.workspace)
        why = _ELSEWHERE if elsewhere else _HERE.format(names=here)
        await self._hold(rotation, why, *self._told(rotation, run, elsewhere), used_by=elsewhere)
        return True

    def _told(self, rotation: KeyRotation, run: Run, elsewhere: tuple[str, ...]) -> list[Change]:
        """Word to the installation's administrator of those for whom the key is held back, where it is news."""
        if not elsewhere or run.used_by == elsewhere:
            return []
        by = replace(SYSTEM, workspace=DEFAULT_WORKSPACE)
        details: Details = {"workspace": rotation.workspace, "used_by": list(elsewhere), "old_key": run.old_id}
        return [self._journal.event(by, Action.KEY_HELD_BACK, rotation.credential, outcome="held", details=details)]

    def _chosen(self) -> Secret:
        return Secret(f"sk-{self._ids.token()[1].hex()}")

    _steps: Mapping[RotationStep, Callable[["Runner", KeyRotation, Run, Credential | None], Awaitable[None]]] = {
        RotationStep.PLANNED: _plan,
        RotationStep.AWAITING: _await,
        RotationStep.CREATING: _create,
        RotationStep.CREATED: _prove,
        RotationStep.PROVEN: _switch,
        RotationStep.SWITCHED: _settle,
        RotationStep.OVERLAP: _overlap,
        RotationStep.REVOKING: _revoke,
        RotationStep.REVOKED: _bury,
        RotationStep.CLEANING: _clean,
    }


def _mark(calls: KeyCalls, credential: Credential) -> str:
    """The fingerprint of its key, "" where it has none any more."""
    try:
        return calls.fingerprint(credential)
    except InvalidInputError:
        return ""


def _there(credential: Credential | None) -> Credential:
    if credential is None:
        raise AssertionError("a step before the switch has its credential")
    return credential


def _run(rotation: KeyRotation) -> Run:
    if rotation.run is None:
        raise AssertionError("a rotation is under way")
    return rotation.run


def _named(credentials: Iterable[Credential]) -> tuple[str, ...]:
    return tuple(f"{one.workspace}/{one.id}" for one in credentials)


def _same_creation(one: Run, other: Run) -> bool:
    return one.step is RotationStep.CREATING and (one.id, one.tries) == (other.id, other.tries)


def _word(rotation: KeyRotation) -> str:
    return rotation.run.held if rotation.run else ""
