"""A store with something done right before a commit, or its commits counted until it dies."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from keycairn.domain.change import Changeset
from keycairn.domain.errors import StoreUnavailableError
from keycairn.ports.store import Finish, Store


class Interposed:
    """Passes everything on to a store, and keeps the changesets it was asked for.

    `before`, once set, runs once: right before the next commit that `when` says. After `commits_left` commits, where
    that is set, it answers none: what is stored is what a killed process leaves.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before: Callable[[], Awaitable[object]] | None = None
        self.when: Callable[[Changeset], bool] = lambda _: True
        self.asked: list[Changeset] = []
        self.commits_left: int | None = None

    @property
    def waiting(self) -> bool:
        """Whether `before` is set and did not run yet."""
        return self.before is not None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @property
    def as_store(self) -> Store:
        return cast("Store", self)

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        if self.commits_left is not None:
            if self.commits_left == 0:
                raise StoreUnavailableError
            self.commits_left -= 1
        self.asked.append(changes)
        if self.before is not None and self.when(changes):
            before, self.before = self.before, None
            await before()
        await self._store.commit(changes, finish)
