"""Registered models and the defaults."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.lookup import require_credential, require_model
from keycairn.app.services.audit import Journal
from keycairn.app.services.models.probing import checked_model_name
from keycairn.domain.assignment import best_model
from keycairn.domain.audit import IN_PROCESS, Action, Caller, Details
from keycairn.domain.change import (
    AddModel,
    Change,
    Changeset,
    DeleteModel,
    ExpectCredential,
    ExpectModel,
    PutDefaults,
    ReplaceModel,
)
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import (
    DuplicateError,
    InvalidInputError,
    ModelExistsError,
)
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import SLOT_TYPES, Defaults, Model, Slot, check_share
from keycairn.domain.provider import canonical_name
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import MOST, Store

AUTO_ASSIGNED = (Slot.CHAT, Slot.EMBEDDING)
"""The slots that auto-assignment fills."""


class Assignment(Struct, frozen=True):
    """What auto-assignment did: slots filled, slots that had a model, slots for which there is none."""

    assigned: Mapping[Slot, ModelId]
    skipped: tuple[Slot, ...]
    missing: tuple[Slot, ...]


class Models:
    """Manages models and defaults. Every mutation is one commit together with its audit event."""

    def __init__(self, store: Store, registry: ProviderRegistry, clock: Clock, ids: Ids, journal: Journal) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._ids = ids
        self._journal = journal

    async def get(self, id: ModelId, *, workspace: str = DEFAULT_WORKSPACE) -> Model:
        """One model. Raises ModelNotFoundError."""
        return await require_model(self._store, workspace, id)

    async def list(
        self,
        *,
        type: Modality | None = None,
        provider: str | None = None,
        after: ModelId | None = None,
        limit: int | None = MOST,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> Sequence[Model]:
        """A page of models, ordered by id."""
        name = canonical_name(provider) if provider else None
        return await self._store.models(workspace, type=type, provider=name, after=after, limit=limit)

    async def create(
        self,
        name: str,
        *,
        provider: str,
        type: Modality,
        credential: CredentialId | None = None,
        priority: int = 0,
        weight: int = 1,
        by: Caller = IN_PROCESS,
    ) -> Model:
        """Register a model, linked to `credential` where one is given; its share is as `Model` says.

        Raises UnknownProviderError, InvalidInputError, CredentialNotFoundError or ModelExistsError.
        """
        check_share(priority, weight)
        now = self._clock.now()
        model = Model(
            id=self._ids.model(),
            workspace=by.workspace,
            provider=self._registry.get(provider).spec.name,
            name=checked_model_name(name),
            type=type,
            credential=credential,
            priority=priority,
            weight=weight,
            created=now,
            updated=now,
        )
        expectations = await self._link_expectations(model)
        event = self._journal.event(by, Action.MODEL_CREATED, model.id, details={"provider": model.provider})
        try:
            await self._journal.commit((*expectations, AddModel(model), event))
        except DuplicateError:
            raise ModelExistsError from None
        return model

    async def share(
        self, id: ModelId, *, priority: int | None = None, weight: int | None = None, by: Caller = IN_PROCESS
    ) -> Model:
        """Set when a model's credential serves; None keeps. Raises ModelNotFoundError or InvalidInputError."""

        async def plan() -> tuple[Changeset, Model]:
            before = await self.get(id, workspace=by.workspace)
            after = replace(
                before,
                priority=before.priority if priority is None else priority,
                weight=before.weight if weight is None else weight,
            )
            check_share(after.priority, after.weight)
            if after == before:
                return (), before
            after = replace(after, updated=self._clock.now(), version=before.version + 1)
            details: Details = {"priority": after.priority, "weight": after.weight}
            event = self._journal.event(by, Action.MODEL_UPDATED, id, details=details)
            return (ReplaceModel(after, expected=before.version), event), after

        return await self._journal.retried(plan)

    async def delete(self, id: ModelId, *, by: Caller = IN_PROCESS) -> tuple[Slot, ...]:
        """Delete a model, and clear the default slots it held; those are given. Raises ModelNotFoundError."""

        async def plan() -> tuple[Changeset, tuple[Slot, ...]]:
            await self.get(id, workspace=by.workspace)
            before = await self._store.defaults(by.workspace)
            after = before.without({id})
            cleared = tuple(slot for slot in before.slots if slot not in after.slots)
            event = self._journal.event(by, Action.MODEL_DELETED, id, details={"cleared": [*cleared]})
            return (DeleteModel(by.workspace, id), _put(before, after), event), cleared

        return await self._journal.retried(plan)

    async def defaults(self, *, workspace: str = DEFAULT_WORKSPACE, reach: Reach = EVERYWHERE) -> Defaults:
        """The defaults of the workspace, without the models that are out of `reach`."""
        return await defaults_within(self._store, workspace, reach)

    async def set_defaults(self, wishes: Mapping[Slot, ModelId | None], *, by: Caller = IN_PROCESS) -> Defaults:
        """Apply `wishes`, None clearing a slot; other slots stay. Raises InvalidDefaultError, writing nothing."""

        async def plan() -> tuple[Changeset, Defaults]:
            types: dict[ModelId, Modality] = {}
            for id in {id for id in wishes.values() if id is not None}:
                if model := await self._store.model(by.workspace, id):
                    types[id] = model.type
            before = await self._store.defaults(by.workspace)
            return self._assigned(before, wishes, types, by)

        return await self._journal.retried(plan)

    async def auto_assign(self, *, by: Caller = IN_PROCESS) -> Assignment:
        """Fill the chat and the embedding slot where they are empty, by the best registered model."""
        preferred = {p.spec.name: p.spec.preferred_models for p in self._registry.all()}

        async def plan() -> tuple[Changeset, Assignment]:
            defaults = await self._store.defaults(by.workspace)
            empty = [slot for slot in AUTO_ASSIGNED if slot not in defaults.slots]
            chosen: dict[Slot, Model] = {}
            for slot in empty:
                models = await self._store.models(by.workspace, type=SLOT_TYPES[slot], limit=None)
                if best := best_model(models, SLOT_TYPES[slot], preferred):
                    chosen[slot] = best
            wishes = {slot: model.id for slot, model in chosen.items()}
            changes, _ = self._assigned(defaults, wishes, {model.id: model.type for model in chosen.values()}, by)
            return changes, Assignment(
                assigned=wishes,
                skipped=tuple(slot for slot in AUTO_ASSIGNED if slot not in empty),
                missing=tuple(slot for slot in empty if slot not in chosen),
            )

        return await self._journal.retried(plan)

    def _assigned(
        self,
        before: Defaults,
        wishes: Mapping[Slot, ModelId | None],
        types: Mapping[ModelId, Modality],
        by: Caller,
    ) -> tuple[Changeset, Defaults]:
        """What applies `wishes`, for models of these types, to what is stored. Raises InvalidDefaultError."""
        after = before.assigned(wishes, types)
        if after.slots == before.slots:
            return (), before
        put = _put(before, after)
        details: Details = {"slots": sorted(wishes)}
        event = self._journal.event(by, Action.DEFAULTS_CHANGED, f"defaults:{by.workspace}", details=details)
        return (*(ExpectModel(by.workspace, id) for id in types), put, event), put.defaults

    async def count(self, provider: str, *, workspace: str = DEFAULT_WORKSPACE) -> dict[Modality, int]:
        """The number of models of a provider, by type; every type is there. Raises UnknownProviderError."""
        name = self._registry.get(provider).spec.name
        models = await self._store.models(workspace, provider=name, limit=None)
        return {type: sum(model.type is type for model in models) for type in Modality}

    async def _link_expectations(self, model: Model) -> Sequence[Change]:
        if model.credential is None:
            return []
        credential = await require_credential(self._store, model.workspace, model.credential)
        if credential.provider != model.provider:
            message = f"The credential is a {credential.provider} credential, the model a {model.provider} model."
            raise InvalidInputError(message, {"credential": "belongs to another provider"})
        return [ExpectCredential(model.workspace, credential.id)]


async def defaults_within(store: Store, workspace: str, reach: Reach) -> Defaults:
    """The defaults of a workspace; a slot whose model is out of `reach` is as one that is empty."""
    defaults = await store.defaults(workspace)
    if reach.whole:
        return defaults
    models = {id: await store.model(workspace, id) for id in set(defaults.slots.values())}
    out = {id for id, model in models.items() if model is None or not reach.holds(model.provider, model.credential)}
    return defaults.without(out)


def _put(before: Defaults, after: Defaults) -> PutDefaults:
    return PutDefaults(replace(after, version=before.version + 1), expected=before.version)
