"""Registering models with the credential that pays for them, and keeping them in step with what is offered."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.contested import check_costs, contested
from keycairn.app.lookup import require_credential
from keycairn.app.services.audit import Journal
from keycairn.app.services.models.naming import checked_model_name
from keycairn.app.turns import each
from keycairn.domain.audit import IN_PROCESS, Action, Caller, Details
from keycairn.domain.change import AddModel, Change, Changeset, ExpectCredential, ReplaceModel
from keycairn.domain.credential import Credential
from keycairn.domain.drift import Drift, compare
from keycairn.domain.errors import OutOfReachError
from keycairn.domain.ids import CredentialId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, check_context
from keycairn.domain.outcome import Discovery
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.store import Store


class NewModel(Struct, frozen=True):
    """A model to register."""

    name: str
    type: Modality
    context_length: int | None = None


class Registered(Struct, frozen=True):
    """What registering did: the models made or linked, and how many were there already."""

    created: tuple[Model, ...]
    existing: int


class Registration:
    """Makes models of a credential, one commit at a time."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, journal: Journal) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._journal = journal

    async def register(self, id: CredentialId, models: Sequence[NewModel], *, by: Caller = IN_PROCESS) -> Registered:
        """Register `models` and link them to the credential, in one commit. Those it has already are left alone.

        One that is registered without a credential is linked. Raises CredentialNotFoundError or InvalidInputError;
        OutOfReachError where one of them would answer to a name that is served by what is out of reach.
        """
        wanted: dict[tuple[str, Modality], int | None] = {}
        async for model in each(models):
            check_context(model.context_length)
            wanted[checked_model_name(model.name), model.type] = model.context_length

        async def plan() -> tuple[Changeset, Registered]:
            credential = await require_credential(self._store, by.workspace, id)
            owned = await self._store.models(by.workspace, credential=id, limit=None)
            loose = await self._store.unlinked_models(by.workspace, credential.provider)
            have = {model.alike for model in owned}
            waiting = {model.alike: model for model in loose}
            changes: list[Change] = []
            made: list[Model] = []
            async for (name, type), length in each(wanted.items()):
                key = (name.casefold(), name.casefold(), type)
                if key in have:
                    continue
                have.add(key)
                if (unlinked := waiting.get(key)) is not None:
                    linked = self._linked(unlinked, credential)
                    changes.append(ReplaceModel(linked, expected=unlinked.version))
                    made.append(linked)
                else:
                    made.append(self._fresh(credential, name, type, length))
                    changes.append(AddModel(made[-1]))
            result = Registered(tuple(made), len(wanted) - len(made))
            if not made:
                return (), result
            check_costs(by)
            if await contested(self._store, made, by.reach):
                raise OutOfReachError
            event = self._journal.event(by, Action.MODELS_REGISTERED, id, details={"created": len(made)})
            return (ExpectCredential(by.workspace, id), *changes, event), result

        return await self._journal.retried(plan)

    async def apply(self, credential: Credential, discovery: Discovery, by: Caller) -> tuple[Drift, int]:
        """Register what is new and mark what vanished of a credential. Deletes nothing.

        How many are left out is given too: they would answer to names that are served by what is out of reach, or cost
        nothing while a limit of money holds for `by`.
        """

        async def plan() -> tuple[Changeset, tuple[Drift, int]]:
            registered = await self._store.models(by.workspace, credential=credential.id, limit=None)
            drift = compare(registered, discovery)
            now = self._clock.now()
            changes: list[Change] = [ExpectCredential(by.workspace, credential.id)]
            fresh = {
                (m.name, m.type): self._fresh(credential, m.name, m.type, m.context_length)
                for m in drift.new
                if m.type is not None
            }
            closed = (
                [*fresh.values()] if by.spends_within else await contested(self._store, [*fresh.values()], by.reach)
            )
            left = {model.offer for model in closed}
            drift = replace(drift, new=tuple(m for m in drift.new if (m.name, m.name, m.type) not in left))
            changes += [AddModel(model) for model in fresh.values() if model.offer not in left]
            changes += [_marked(model, now, now) for model in drift.vanished]
            told = {m.name: m.context_length for m in discovery.models}
            back = {model.id for model in drift.returned}
            changes += [
                _seen(model, told.get(model.own_name), now)
                for model in registered
                if model.id in back or (model.context_length is None and told.get(model.own_name))
            ]
            if len(changes) == 1:
                return (), (drift, len(left))
            details: Details = {"new": len(drift.new), "vanished": len(drift.vanished)}
            event = self._journal.event(by, Action.MODELS_SYNCED, credential.id, details=details)
            return (*changes, event), (drift, len(left))

        return await self._journal.retried(plan)

    def _fresh(self, credential: Credential, name: str, type: Modality, context_length: int | None) -> Model:
        now = self._clock.now()
        return Model(
            id=self._ids.model(),
            workspace=credential.workspace,
            provider=credential.provider,
            name=name,
            type=type,
            credential=credential.id,
            context_length=context_length,
            created=now,
            updated=now,
        )

    def _linked(self, model: Model, credential: Credential) -> Model:
        return replace(model, credential=credential.id, updated=self._clock.now(), version=model.version + 1)


def _seen(model: Model, context_length: int | None, now: datetime) -> ReplaceModel:
    """A model that is offered, with what was not known of it; what somebody said of it stays."""
    length = context_length if model.context_length is None else model.context_length
    seen = replace(model, missing_since=None, context_length=length, updated=now, version=model.version + 1)
    return ReplaceModel(seen, expected=model.version)


def _marked(model: Model, missing_since: datetime, now: datetime) -> ReplaceModel:
    marked = replace(model, missing_since=missing_since, updated=now, version=model.version + 1)
    return ReplaceModel(marked, expected=model.version)
