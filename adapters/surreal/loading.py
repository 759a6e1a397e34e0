"""What a changeset is worked out against, and reading all of it."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar, cast

from keycairn.domain.errors import StoreError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.record import NAMES, Record
from keycairn.domain.state import Key, State

_R = TypeVar("_R", bound=Record)


class Loaded:
    """A `keycairn.domain.overlay.Base`: a state, and `more` records beside it."""

    def __init__(self, state: State, more: Mapping[Key, Record]) -> None:
        self._state = state
        self._more = more

    def get(self, kind: type[_R], key: str) -> _R | None:
        """See `State.get`."""
        more = cast("_R | None", self._more.get((NAMES[kind], key))) if self._more else None
        return more or self._state.get(kind, key)

    def has_provider(self, workspace: str, provider: str) -> bool:
        """See `State.has_provider`."""
        return self._state.has_provider(workspace, provider)

    def linked(self, credential: CredentialId) -> list[ModelId]:
        """See `State.linked`."""
        return self._state.linked(credential)

    def holder_of(self, place: tuple[object, ...]) -> ModelId | None:
        """See `State.holder_of`."""
        return self._state.holder_of(place)

    def sealed_with(self, kid: int) -> int:
        """See `State.sealed_with`."""
        return self._state.sealed_with(kid)


def number_in(revision: object) -> int:
    """The revision. Raises StoreError for what is none: the next one could not be told from it."""
    if isinstance(revision, int) and 0 <= revision < 2**63 - 1:
        return revision
    raise StoreError("The database's revision is damaged: run UPDATE revision:current SET number = 1 on it.")


@contextmanager
def no_collecting() -> Iterator[None]:
    """Look for no garbage meanwhile: what is read stays, and going through it again and again is a fifth of a start."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
