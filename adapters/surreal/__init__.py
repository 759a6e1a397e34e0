"""The store in SurrealDB: embedded (`surrealkv://`, `mem://`) or on a server (`ws://`, `wss://`)."""

from keycairn.adapters.surreal.opening import open_surreal
from keycairn.adapters.surreal.store import SurrealStore

__all__ = ["SurrealStore", "open_surreal"]
