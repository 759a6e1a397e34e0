"""Making the new key of a rotation: asked for once, looked for where the answer is not known, and tried."""

from collections.abc import Sequence

from msgspec.structs import replace

from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.app.services.key_rotations.orphans import NOT_KNOWN, Orphans
from keycairn.app.services.key_rotations.progress import RotationProgress
from keycairn.app.services.key_rotations.switching import Switching
from keycairn.domain.audit import Details
from keycairn.domain.change import Change
from keycairn.domain.credential import Credential
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
    UndecryptableError,
)
from keycairn.domain.key_management import KeyCreation, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.key_rotation import machine, pace
from keycairn.domain.key_rotation.binding import MOVED, is_home
from keycairn.domain.key_rotation.record import (
    NEW,
    KeyRotation,
    RotationStep,
    Run,
)
from keycairn.domain.key_rotation.run import run_of
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
_IN_USE = "The provider answered with a key that a credential of this service holds already."
ELSEWHERE = (
    "hold the former key, and lead elsewhere or are out of reach of whoever set this up: they do not get the new one"
)
_STRANGE_LIST = "None of the keys that are listed is the credential's. Name the right account, or say `--key-id`."
_ASKED_AGAIN = 5
"""How often the answer to a creation is stored again, where the record was edited meanwhile."""


class NewKey:
    """The steps until the credentials get the new key. `name` tells this process from others."""

    def __init__(
        self,
        store: Store,
        calls: KeyCalls,
        switching: Switching,
        progress: RotationProgress,
        orphans: Orphans,
        clock: Clock,
        ids: Ids,
        name: str,
    ) -> None:
        self._store = store
        self._calls = calls
        self._switching = switching
        self._progress = progress
        self._orphans = orphans
        self._clock = clock
        self._ids = ids
        self._name = name

    async def plan(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """List the keys there are, store what is about to be asked for, and ask."""
        management, credential = self._calls.of(rotation), _there(credential)
        now = self._clock.now()
        if not is_home(rotation, self._calls.target(credential)):
            await self._gone_elsewhere(rotation, credential)
            return
        try:
            listed = await self._calls.keys(rotation, credential)
        except KeycairnError as error:
            await self._refused(rotation, credential, error)
            return
        late = self._orphans.among(run, listed, management)  # made by an earlier try
        if not await self._orphans.removed(rotation, credential, late):
            return
        if run.tries >= pace.MOST_TRIES:
            after = machine.cleaning(rotation, now, f"The provider made no key that came back: {run.trouble}")
            await self._progress.store(rotation, after, *await self._closing(after, credential))
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
        await self._progress.store(rotation, intent)
        await self._make(intent, credential, chosen)

    async def look_for_it(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """A creation was cut off: find out whether there is a key."""
        management, now = self._calls.of(rotation), self._clock.now()
        if management.creation is KeyCreation.REPLACING:
            await self._progress.store(rotation, machine.repeatable(rotation, now))
            return
        if not management.lists:
            why = NOT_KNOWN.format(tag=run.tag, page=management.page or "the provider's page")
            await self._progress.hold(rotation, why)
            return
        listed = await self._calls.keys(rotation, credential)
        found = self._orphans.among(run, listed, management)
        if management.creation is KeyCreation.CHOSEN and (ours := next((o for o in found if o.tag == run.tag), None)):
            chosen = self._calls.kept(rotation, NEW)
            made = MadeKey(id=ours.id, secrets=chosen, expires=ours.expires)
            await self._made(rotation, made)
            return
        if not await self._orphans.removed(rotation, credential, found):
            return
        after = (
            machine.unclear(rotation, now, "A key of it was found, and revoked.")
            if found
            else machine.looked(rotation, now)
        )
        await self._progress.store(rotation, after, details={"revoked": [one.id for one in found]} if found else None)

    async def prove(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """Try the new key, the last time by a call of a model."""
        within = self._calls.of(rotation).takes_effect
        last = run.proofs + 1 >= pace.PROOFS
        try:
            await self._calls.proves(rotation, _there(credential), call=last)
        except KeycairnError as error:
            after = machine.proof(rotation, self._clock.now(), good=False, why=str(error), within=within)
            await self._progress.store(rotation, after, *await self._closing(after, _there(credential)))
        else:
            await self._progress.store(rotation, machine.proof(rotation, self._clock.now(), good=True, within=within))

    async def switch(self, rotation: KeyRotation, run: Run, credential: Credential | None) -> None:
        """Give the new key to every credential that holds the former one."""
        credential = _there(credential)
        if not is_home(rotation, self._calls.target(credential)):
            await self._gone_elsewhere(rotation, credential)
            return
        new = self._calls.kept(rotation, NEW)
        changes, ids = await self._switching.to(credential, run.fingerprint, new, rotation)
        twins = await self._switching.twins(credential, run.fingerprint)
        details: Details = {"credentials": ids}
        elsewhere: list[str] = [one.id for one in twins if one.id not in ids]
        if elsewhere:
            details = {**details, "left_out": elsewhere, "note": ELSEWHERE}
        after = machine.switched(rotation, self._clock.now())
        await self._progress.store(rotation, after, *changes, details=details)
        self._switching.forget(ids)

    async def _make(self, intent: KeyRotation, credential: Credential, chosen: Secret | None) -> None:
        order = KeyOrder(tag=run_of(intent).tag, secret=chosen)
        try:
            made = await self._calls.make(intent, credential, order)
        except _NOT_MADE as error:
            await self._refused(intent, credential, error)
        except KeycairnError as error:
            if isinstance(error, ProviderError) and error.status in _REFUSALS:
                await self._refused(intent, credential, error)
                return
            await self._progress.store(intent, machine.unclear(intent, self._clock.now(), str(error)))
        else:
            await self._keep(intent, credential, made)

    async def _keep(self, intent: KeyRotation, credential: Credential, made: MadeKey) -> None:
        """Store a key that came, also where the record was edited meanwhile; one that is not waited for is revoked."""
        run, now = run_of(intent), intent
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
        holders = await self._calls.holders(list(made.secrets.values()))
        if not self._calls.asks_provider(intent):  # a host of somebody's choice does not learn what others hold
            holders = [one for one in holders if one.workspace == intent.workspace]
        if holders:
            await self._progress.store(intent, machine.unclear(intent, self._clock.now(), _IN_USE))
            return
        main = next(name for name in self._calls.of(intent).secrets if name in made.secrets)
        mark = self._switching.fingerprint(intent.workspace, made.secrets[main])
        after = machine.made(intent, self._clock.now(), new_id=made.id, new_fingerprint=mark, expires=made.expires)
        after = replace(
            after,
            sealed={**after.sealed, **self._calls.sealed(after, made.secrets, NEW)},
            run=replace(run_of(after), new_settings=dict(made.settings)),
        )
        await self._progress.store(intent, after)

    async def _refused(self, rotation: KeyRotation, credential: Credential, error: KeycairnError) -> None:
        wait = error.retry_after if isinstance(error, RateLimitedError) else None
        after = machine.refused(rotation, self._clock.now(), str(error), wait=wait, final=False)
        await self._progress.store(rotation, after, *await self._closing(after, credential))

    async def _gone_elsewhere(self, rotation: KeyRotation, credential: Credential) -> None:
        """No key is made for, or given to, an account that leads elsewhere than what makes the key was given for."""
        after = machine.cleaning(rotation, self._clock.now(), MOVED)
        await self._progress.store(rotation, after, *await self._closing(after, credential))

    async def _closing(self, after: KeyRotation, credential: Credential) -> Sequence[Change]:
        """A leaked key that cannot be replaced is used no more."""
        run = after.run
        if run is None or run.step is not RotationStep.CLEANING or not run.closes:
            return ()
        return await self._switching.closed(credential, run.fingerprint)

    async def _in_use(self, rotation: KeyRotation, listed: Sequence[ListedKey]) -> bool:
        """Whether somebody uses the other key of an account that has two, which would be replaced."""
        others = [one.secret for one in listed if one.secret is not None and not one.current]
        if not await self._calls.holders(others):
            return False
        why = "Another credential of this service uses the account's other key, which would be replaced. Move it first."
        await self._progress.hold(rotation, why)
        return True

    def _chosen(self) -> Secret:
        return Secret(f"sk-{self._ids.token()[1].hex()}")


def _same_creation(one: Run, other: Run) -> bool:
    return one.step is RotationStep.CREATING and (one.id, one.tries) == (other.id, other.tries)


def _there(credential: Credential | None) -> Credential:
    if credential is None:
        raise AssertionError("a step before the switch has its credential")
    return credential
