"""The changes one incoming row brings about."""

from collections.abc import Collection, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.services.audit import Deleted
from keycairn.domain.change import AddModel, Changeset, ReplaceCredential, ReplaceModel
from keycairn.domain.credential import Credential
from keycairn.domain.incoming import ImportReport, IncomingRow
from keycairn.domain.model import Model
from keycairn.ports.store import Store


class ImportPlan(Struct, frozen=True, kw_only=True):
    """A row, what it changes, and what the report says of it once that is committed."""

    row: IncomingRow
    changes: Changeset = ()
    report: ImportReport
    ids: frozenset[str] = frozenset()
    """What it makes."""


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
) -> dict[tuple[str, str], ReplaceModel]:
    """The changes that link every unlinked model of the provider to `credential`, by the model's name and type."""
    taken = {change.model.id for change in models if isinstance(change, ReplaceModel)}
    loose = await store.unlinked_models(credential.workspace, credential.provider)
    return {(model.name, model.type): link(model, credential, now) for model in loose if model.id not in taken}


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
