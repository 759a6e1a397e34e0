"""Registered models and the defaults."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import attrgetter

from msgspec.structs import replace

from keycairn.app.contested import check_costs
from keycairn.app.lookup import linked, require_credential, require_model
from keycairn.app.services.audit import Journal
from keycairn.app.services.models.defaults import Assignment, defaults_within, put_defaults
from keycairn.app.services.models.naming import (
    ModelPatch,
    check_public_name,
    check_uncontested,
    checked_model_name,
    cost_of,
    entered,
    patched,
    takes_more,
)
from keycairn.app.turns import TURN, in_turns
from keycairn.domain.assignment import best_model
from keycairn.domain.audit import IN_PROCESS, Action, Caller, Details
from keycairn.domain.change import (
    AddModel,
    Change,
    Changeset,
    DeleteModel,
    ExpectCredential,
    ExpectModel,
    ReplaceModel,
)
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import (
    DuplicateError,
    InvalidDefaultError,
    InvalidInputError,
    ModelExistsError,
    PreconditionFailedError,
)
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model, Slot, check_context, check_share
from keycairn.domain.price import Price, check_price
from keycairn.domain.provider import canonical_name
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import MOST, Store

AUTO_ASSIGNED = (Slot.CHAT, Slot.EMBEDDING)
"""The slots that auto-assignment fills where it is not asked for more."""


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

    async def create(  # noqa: PLR0913  # one for each thing that is said of a model
        self,
        name: str,
        *,
        provider: str,
        type: Modality,
        provider_model: str | None = None,
        credential: CredentialId | None = None,
        priority: int = 0,
        weight: int = 1,
        price: Price | None = None,
        context_length: int | None = None,
        by: Caller = IN_PROCESS,
    ) -> Model:
        """Register a model, linked to `credential` where one is given; its names, share and price are as `Model` says.

        It comes into the pool of its name where there is one; with `provider_model` given, also those that served the
        name alone do. Raises UnknownProviderError, InvalidInputError, CredentialNotFoundError, OutOfReachError or
        ModelExistsError.
        """
        check_costs(by)
        check_share(priority, weight)
        check_context(context_length)
        if price is not None:
            check_price(price)
        now = self._clock.now()
        given = Model(
            id=self._ids.model(),
            workspace=by.workspace,
            provider=self._registry.get(provider).spec.name,
            name=checked_model_name(name),
            provider_model=None if provider_model is None else checked_model_name(provider_model, "provider_model"),
            type=type,
            credential=credential,
            priority=priority,
            weight=weight,
            price=price,
            context_length=context_length,
            created=now,
            updated=now,
        )
        if given.pooled:
            check_public_name(given.name)

        async def plan() -> tuple[Changeset, Model]:
            expectations = await self._link_expectations(given)
            model, more = await entered(self._store, given, by.reach, by_hand=True)
            details: Details = {"provider": model.provider, **_names(model)}
            event = self._journal.event(by, Action.MODEL_CREATED, model.id, details=details)
            return (*expectations, AddModel(model), *more, event), model

        try:
            return await self._journal.retried(plan)
        except DuplicateError:
            raise ModelExistsError from None

    async def update(
        self, id: ModelId, patch: ModelPatch, *, if_match: int | None = None, by: Caller = IN_PROCESS
    ) -> Model:
        """Change a model's names, share, price and credential. One that is given a name comes into the pool of it.

        Raises ModelNotFoundError, CredentialNotFoundError, InvalidInputError, OutOfReachError or ModelExistsError;
        PreconditionFailedError where its version is not `if_match`.
        """

        async def plan() -> tuple[Changeset, Model]:
            before = await self.get(id, workspace=by.workspace)
            if if_match not in {None, before.version}:
                raise PreconditionFailedError
            after = patched(before, patch)
            check_share(after.priority, after.weight)
            check_context(after.context_length)
            if after.price is not None:
                check_price(after.price)
            if after == before:
                return (), before
            if cost_of(after) != cost_of(before):
                check_costs(by)
            after = replace(after, updated=self._clock.now(), version=before.version + 1)
            more: Sequence[Change] = ()
            if (after.name, after.provider_model) != (before.name, before.provider_model):
                after, more = await entered(self._store, after, by.reach, by_hand=False)
            elif takes_more(before, after):
                await check_uncontested(self._store, after, by.reach)
            if after.credential != before.credential:
                more = [*await self._link_expectations(after), *more]
            details: Details = {"priority": after.priority, "weight": after.weight, **_names(after)}
            event = self._journal.event(by, Action.MODEL_UPDATED, id, details=details)
            return (ReplaceModel(after, expected=before.version), *more, event), after

        try:
            return await self._journal.retried(plan)
        except DuplicateError:
            raise ModelExistsError from None

    async def delete(self, id: ModelId, *, by: Caller = IN_PROCESS) -> tuple[Slot, ...]:
        """Delete a model, and clear the default slots it held; those are given. Raises ModelNotFoundError."""

        async def plan() -> tuple[Changeset, tuple[Slot, ...]]:
            await self.get(id, workspace=by.workspace)
            check_costs(by)
            before = await self._store.defaults(by.workspace)
            after = before.without({id})
            cleared = tuple(slot for slot in before.slots if slot not in after.slots)
            event = self._journal.event(by, Action.MODEL_DELETED, id, details={"cleared": [*cleared]})
            return (DeleteModel(by.workspace, id), put_defaults(before, after), event), cleared

        return await self._journal.retried(plan)

    async def defaults(self, *, workspace: str = DEFAULT_WORKSPACE, reach: Reach = EVERYWHERE) -> Defaults:
        """The defaults of the workspace, without the models that are out of `reach`."""
        return await defaults_within(self._store, workspace, reach)

    async def set_defaults(self, wishes: Mapping[Slot, ModelId | None], *, by: Caller = IN_PROCESS) -> Defaults:
        """Apply `wishes`, None clearing a slot; other slots stay. Raises InvalidDefaultError, writing nothing."""

        async def plan() -> tuple[Changeset, Defaults]:
            types: dict[ModelId, Modality] = {}
            for slot, id in wishes.items():
                if id is not None and (model := await self._store.model(by.workspace, id)):
                    await self._check_served(slot, model)
                    types[id] = model.type
            before = await self._store.defaults(by.workspace)
            return self._assigned(before, wishes, types, by)

        return await self._journal.retried(plan)

    async def auto_assign(self, *, every: bool = False, by: Caller = IN_PROCESS) -> Assignment:
        """Fill the chat and the embedding slot where they are empty, by the best registered model.

        `every`: all slots besides that chat does not stand in for.
        """
        slots = tuple(slot for slot in Slot if not slot.falls_back) if every else AUTO_ASSIGNED
        preferred = {p.spec.name: p.spec.preferred_models for p in self._registry.all()}

        async def plan() -> tuple[Changeset, Assignment]:
            defaults = await self._store.defaults(by.workspace)
            empty = [slot for slot in slots if slot not in defaults.slots]
            chosen: dict[Slot, Model] = {}
            for slot in empty:
                best: Model | None = None
                after: ModelId | None = None
                while part := await self._store.models(by.workspace, type=slot.type, after=after, limit=TURN):
                    # the best of the best of each part is the best of all
                    usable = await linked(self._store, part)
                    best = best_model(usable if best is None else (best, *usable), slot.type, preferred)
                    after = part[-1].id
                    await asyncio.sleep(0)
                if best is not None:
                    chosen[slot] = best
            wishes = {slot: model.id for slot, model in chosen.items()}
            changes, _ = self._assigned(defaults, wishes, {model.id: model.type for model in chosen.values()}, by)
            return changes, Assignment(
                assigned=wishes,
                skipped=tuple(slot for slot in slots if slot not in empty),
                missing=tuple(slot for slot in empty if slot not in chosen),
            )

        return await self._journal.retried(plan)

    async def _check_served(self, slot: Slot, model: Model) -> None:
        """Raise InvalidDefaultError for a model that no credential serves."""
        (served,) = await linked(self._store, [model])
        if served.credential is None:
            message = (
                f"{slot} needs a model that can be called: this one has no credential, and {model.provider} has none."
            )
            raise InvalidDefaultError(message, {slot: "is linked to no credential, and its provider has none"})

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
        put = put_defaults(before, after)
        details: Details = {"slots": sorted(wishes)}
        event = self._journal.event(by, Action.DEFAULTS_CHANGED, f"defaults:{by.workspace}", details=details)
        return (*(ExpectModel(by.workspace, id) for id in types), put, event), put.defaults

    async def count(self, provider: str, *, workspace: str = DEFAULT_WORKSPACE) -> dict[Modality, int]:
        """The number of models of a provider, by type; every type is there. Raises UnknownProviderError."""
        name = self._registry.get(provider).spec.name
        models = await self._store.models(workspace, provider=name, limit=None)
        counts = Counter(await in_turns(models, attrgetter("type")))
        return {type: counts[type] for type in Modality}

    async def _link_expectations(self, model: Model) -> Sequence[Change]:
        if model.credential is None:
            return []
        credential = await require_credential(self._store, model.workspace, model.credential)
        if credential.provider != model.provider:
            message = f"The credential is a {credential.provider} credential, the model a {model.provider} model."
            raise InvalidInputError(message, {"credential": "belongs to another provider"})
        return [ExpectCredential(model.workspace, credential.id)]


def _names(model: Model) -> Details:
    """What the audit log says of a name that was given on purpose: whose calls go where."""
    return {"name": model.name, "provider_model": model.own_name} if model.pooled else {}
