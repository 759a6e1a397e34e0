"""What one batch of an import works with, and the changes one incoming row brings about."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.lookup import linked
from keycairn.app.services.audit import Deleted
from keycairn.app.services.imports.mapped_rows import Identity
from keycairn.domain.audit import Caller
from keycairn.domain.change import AddModel, Changeset, ReplaceCredential, ReplaceModel
from keycairn.domain.credential import Credential
from keycairn.domain.incoming import ImportReport, IncomingRow
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.pools import joined, joining
from keycairn.ports.store import Store


class Batch(Struct):
    """The rows of one request. `planned` are the ids it will have made before a later row is looked at.

    `fresh` are the credentials among them by id, `keys` their ids by what tells accounts apart, `models` the names and
    types that each of them has; `names` are those of credentials that are taken, by provider. `joined` are the models
    here that come into pools.
    """

    by: Caller
    dry_run: bool
    again: bool
    deleted: Deleted
    planned: set[str]
    fresh: dict[str, Credential] = {}
    keys: dict[Identity, str] = {}
    models: dict[str, set[tuple[str, str, Modality]]] = {}
    names: dict[str, dict[str, str]] = {}
    joined: set[str] = set()

    def without(self, step: "ImportPlan") -> None:
        """Forget a step that is to be worked out anew."""
        ids = step.ids
        self.planned -= ids
        self.joined -= step.joined
        self.fresh = {id: one for id, one in self.fresh.items() if id not in ids}
        self.keys = {identity: id for identity, id in self.keys.items() if id not in ids}
        self.models = {id: have for id, have in self.models.items() if id not in ids}
        self.names.clear()


class ImportPlan(Struct, frozen=True, kw_only=True):
    """A row, what it changes, and what the report says of it once that is committed."""

    row: IncomingRow
    changes: Changeset = ()
    report: ImportReport
    ids: frozenset[str] = frozenset()
    """What it makes."""
    joined: frozenset[str] = frozenset()
    """The models here that come into pools by it."""


async def new_models(
    store: Store, models: Sequence[Model], credential: Credential, gone: Deleted, planned: Collection[str]
) -> list[AddModel | ReplaceModel]:
    """The changes that give `credential` those of `models` that are not here.

    One that is here and linked to nothing is linked; one that was deleted, or belongs elsewhere, is passed over.
    """
    changes: list[AddModel | ReplaceModel] = []
    for model in models:
        if model.id in planned or model.id in gone.ids:
            continue
        there = await store.model(model.workspace, model.id)
        if there is None:
            changes.append(AddModel(model))
        elif there.credential is None and there.provider == credential.provider:
            changes.append(link(there, credential, model.updated))
    return changes


async def linked_unlinked(
    store: Store, credential: Credential, models: Sequence[AddModel | ReplaceModel], now: datetime
) -> dict[tuple[str, str, Modality], ReplaceModel]:
    """The changes that link every unlinked model of the provider to `credential`, by what the model is."""
    taken = {change.model.id for change in models if isinstance(change, ReplaceModel)}
    loose = await store.unlinked_models(credential.workspace, credential.provider)
    return {model.offer: link(model, credential, now) for model in loose if model.id not in taken}


async def into_pools(store: Store, created: Iterable[Model], done: Collection[str]) -> list[ReplaceModel]:
    """The changes that bring what serves a name alone into the pool that one of `created` begins; `done` are planned.

    So it goes on to serve that name, beside what came in: see `keycairn.domain.pools`.
    """
    changes: dict[str, ReplaceModel] = {}
    for model in created:
        if model.pooled:
            named = await store.models(model.workspace, name=model.name, limit=None)
            changes |= {change.model.id: change for change in joining(model, named, await linked(store, named))}
    return [change for id, change in changes.items() if id not in done]


def promoted(meant: Iterable[Model], owned: Iterable[Model]) -> list[ReplaceModel]:
    """The changes that bring models an account has into pools, where the source puts the same ones into them."""
    pooled = {model.offer for model in meant if model.pooled}
    return [joined(model) for model in owned if not model.pooled and model.offer in pooled]


def link(model: Model, credential: Credential, now: datetime) -> ReplaceModel:
    """The change that links a model."""
    linked = replace(model, credential=credential.id, updated=max(model.updated, now), version=model.version + 1)
    return ReplaceModel(linked, expected=model.version)


def repaired(fresh: Credential, there: Credential, now: datetime) -> ReplaceCredential | None:
    """The change that gives `there` the secrets which do not open in it and came readable; None where there is none.

    Both are the same record at the same destinations, so what is sealed for one opens in the other.
    """
    healed = {name: fresh.sealed[name] for name in there.broken if name in fresh.sealed and name not in fresh.broken}
    if not healed or fresh.id != there.id:
        return None
    marks = {name: fresh.fingerprints[name] for name in healed}
    anew = replace(
        there,
        sealed={**there.sealed, **healed},
        fingerprints={**there.fingerprints, **marks},
        broken={name: why for name, why in there.broken.items() if name not in healed},
        updated=now,
        version=there.version + 1,
    )
    return ReplaceCredential(anew, expected=there.version, kept=frozenset(there.sealed) - healed.keys())
