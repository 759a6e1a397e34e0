"""What the parts of the suite for stores have in common: an empty store for each test, and the promise that failed."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import pytest

from keycairn.domain.change import AddCredential, AddModel
from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId
from keycairn.domain.model import Model
from keycairn.ports.store import Store
from keycairn.testing.stores.samples import a_credential

PATIENCE = 60
"""Seconds for one test, of which the slowest takes two."""

_P = ParamSpec("_P")
_S = TypeVar("_S", bound="StoreSuite")


class StoreSuite:
    """Tests of one store, which `opened` gives."""

    def opened(self, folder: Path) -> AbstractAsyncContextManager[Store]:
        """An empty store, open for as long as the context. `folder` is an empty one of the test's. Override this."""
        raise NotImplementedError("Give your subclass of StoreConformance a method `opened`.")


def with_store(
    test: Callable[Concatenate[_S, Store, _P], Awaitable[None]],
) -> Callable[Concatenate[_S, Path, _P], None]:
    """`test`, which takes an open store, as one that takes a folder and needs no plugin of pytest to be awaited.

    Where it fails, the error is told which promise was not kept: the test's name is that.
    """
    promise = test.__name__.removeprefix("test_").replace("_", " ")

    @wraps(test)
    def run(self: _S, tmp_path: Path, *args: _P.args, **options: _P.kwargs) -> None:
        async def play() -> None:
            async with self.opened(tmp_path) as store, asyncio.timeout(PATIENCE):
                await test(self, store, *args, **options)

        try:
            asyncio.run(play())
        except (Exception, pytest.fail.Exception) as error:
            raise AssertionError(f"A store has to keep this promise of its port: {promise}.\n{error}") from error

    shape = signature(test)
    parameters = [one.replace(name="tmp_path") if one.name == "store" else one for one in shape.parameters.values()]
    run.__signature__ = shape.replace(parameters=parameters)  # type: ignore[attr-defined]  # what pytest reads
    return cast("Callable[Concatenate[_S, Path, _P], None]", run)


async def put(store: Store, *records: Credential | Model) -> None:
    """Add records in one commit."""
    await store.commit(tuple(AddCredential(r) if isinstance(r, Credential) else AddModel(r) for r in records))


async def get(store: Store, credential: Credential) -> Credential:
    """The credential as it is stored. Fails where it is not."""
    found = await store.credential(credential.workspace, credential.id)
    assert found is not None, "a credential that was added is not there"
    return found


async def accounts(store: Store, *ids: str, **fields: Any) -> list[CredentialId]:
    """Have credentials of these ids, for models that are to be linked to them; the ids."""
    made = [a_credential(id=CredentialId(f"credential:{id}"), sealed={}, **fields) for id in ids]
    await put(store, *made)
    return [credential.id for credential in made]
