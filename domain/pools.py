"""Pools: the models that were given one name on purpose, and who comes into one."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from keycairn.domain.assignment import PROVIDER_ORDER
from keycairn.domain.change import ReplaceModel
from keycairn.domain.model import Model


def serving(rows: Iterable[Model]) -> list[Model]:
    """Those of the linked models of one name and type that serve it: its pool, where it has one.

    Else those of one provider, the first in auto-assignment's order, so that a call never changes provider by itself.
    """
    linked = [row for row in rows if row.credential is not None]
    if pool := [row for row in linked if row.pooled]:
        return pool
    first = min((row.provider for row in linked), key=_rank, default="")
    return [row for row in linked if row.provider == first]


def joined(model: Model) -> ReplaceModel:
    """The change that brings a model, as it is stored, into the pool of its name."""
    return ReplaceModel(replace(model, provider_model=model.own_name, version=model.version + 1), model.version)


def joining(model: Model, named: Sequence[Model], served: Sequence[Model]) -> list[ReplaceModel]:
    """The changes by which those that serve a name alone come into the pool that `model`, given that name, begins.

    `named` are the models of its name as they are stored, `served` the same as they are served, each linked to what
    serves it. None where there is a pool: what serves beside it was not put into it.
    """
    others = [row for row in named if row.id != model.id and row.type is model.type]
    if any(row.pooled for row in others):
        return []
    ids = {row.id for row in others}
    chosen = {row.id for row in serving(row for row in served if row.id in ids)}
    return [joined(row) for row in others if row.id in chosen]


def _rank(provider: str) -> tuple[int, str]:
    known = provider in PROVIDER_ORDER
    return (PROVIDER_ORDER.index(provider) if known else len(PROVIDER_ORDER)), provider
