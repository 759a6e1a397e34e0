"""Where a handler finds the Keycairn that serves its request: in the request's state, for routes hold none of it."""

from collections.abc import Callable
from typing import Any

from litestar.di import Provide
from litestar.types import Scope

from keycairn.app.keycairn import Keycairn

KEYCAIRN = "keycairn"
"""The key under which the state has a function that gives the open Keycairn."""


def keycairn_of(scope: Scope) -> Keycairn:
    """The Keycairn that serves the request. Raises RuntimeError before the application started."""
    current: Callable[[], Keycairn] = scope["state"][KEYCAIRN]
    return current()


def from_state(name: str) -> Provide:
    """A dependency that is in the state of every request, under `name`."""

    def part(scope: Scope) -> Any:
        return scope["state"][name]

    return Provide(part, sync_to_thread=False)
