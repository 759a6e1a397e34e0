"""Whose calls a name takes: models and accounts that would answer to a name which others, out of reach, serve.

Whoever answers to a name gets the prompts of all who call it, so that is for those who reach all that serves it.
"""

import asyncio
from collections.abc import Iterator, Sequence

from keycairn.app.lookup import linked
from keycairn.domain.audit import Caller
from keycairn.domain.credential import Credential
from keycairn.domain.deletion import Deletion
from keycairn.domain.errors import OutOfReachError, OwnLimitError
from keycairn.domain.model import Model
from keycairn.domain.reach import Reach
from keycairn.domain.routing import qualified
from keycairn.ports.store import Store

_Called = str | tuple[str, str]
"""A name by itself, or a provider and a name of its models."""


async def contested(store: Store, models: Sequence[Model], reach: Reach) -> Sequence[Model]:
    """Those of `models`, of one workspace, that must not answer to their names, as they are to be stored.

    What serves such a name is out of `reach`, be it a model, one that is linked to nothing, or an account that takes
    any model of its provider. So is a model whose own name is.
    """
    if reach.whole or not models:
        return ()
    registered: set[_Called] = set()
    taken: set[_Called] = set()
    pools: set[str] = set()
    workspace = models[0].workspace
    after = None
    while page := await store.models(workspace, after=after):
        for row in await linked(store, page):
            names = set(_called(row))
            registered |= names
            if not reach.serves(row):
                taken |= names
                if row.pooled:
                    pools.add(row.name)
        after = page[-1].id
        await asyncio.sleep(0)  # there may be thousands
    closed = {provider: await _takes_any(store, workspace, provider, reach) for provider in _providers(models)}

    def is_contested(model: Model) -> bool:
        given = set(_given(model))
        if not model.pooled and model.name in pools:
            given.discard(model.name)  # the pool answers to it, and this one only with its provider in front
        own = (model.provider, model.name)
        of_any = [one for one in (own, qualified(model.name)) if one is not None and one not in registered]
        return (
            not reach.names(model.provider, model.name)
            or not taken.isdisjoint(given)
            or any(closed.get(provider, False) for provider, _ in of_any)
        )

    return [model for model in models if is_contested(model)]


def check_costs(by: Caller) -> None:
    """Raise OwnLimitError for who is held to a limit of money, and would change what it is counted by."""
    if by.spends_within:
        raise OwnLimitError


async def check_deletion(store: Store, deletion: Deletion, by: Caller) -> None:
    """Raise OwnLimitError for models that go with an account, OutOfReachError for contested ones that are moved."""
    if deletion.deleted:
        check_costs(by)
    if await contested(store, deletion.moved, by.reach):
        raise OutOfReachError


async def check_any_model(store: Store, before: Credential | None, after: Credential, by: Caller) -> None:
    """Raise OutOfReachError where a credential, as it is to be stored, comes to take any model of its provider.

    That needs reach over all models of the provider, and over its other accounts that take any. It is free of charge,
    so OwnLimitError is raised for who has a limit of money.
    """
    if not after.options.any_model:
        return
    if before is None or not before.options.any_model:
        check_costs(by)
    reach = by.reach
    if reach.whole:
        return
    if before is not None and before.options.any_model and set(after.modalities) <= set(before.modalities):
        return
    if not reach.everything_of(after.provider) or await _takes_any(
        store, after.workspace, after.provider, reach, besides=after
    ):
        raise OutOfReachError


async def _takes_any(
    store: Store, workspace: str, provider: str, reach: Reach, besides: Credential | None = None
) -> bool:
    """Whether an account out of reach takes any model of the provider."""
    return any(
        one.options.any_model and not reach.holds(provider, one.id)
        for one in await store.credentials(workspace, provider=provider)
        if besides is None or one.id != besides.id
    )


def _providers(models: Sequence[Model]) -> set[str]:
    named = (qualified(model.name) for model in models)
    return {model.provider for model in models} | {parts[0] for parts in named if parts}


def _called(model: Model) -> Iterator[_Called]:
    """What calls may name the model by, besides its id."""
    yield model.name
    yield model.provider, model.name
    if parts := qualified(model.name):
        yield parts


def _given(model: Model) -> Iterator[_Called]:
    """As `_called`, where another model may be called so too: one of that provider comes before one named after it."""
    parts = qualified(model.name)
    yield from (one for one in _called(model) if one != parts or model.pooled)
