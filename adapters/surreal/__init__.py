"""The store in SurrealDB: embedded (`surrealkv://`, `mem://`) or on a server (`ws://`, `wss://`)."""

from keycairn.adapters.surreal.opening import missing_store, open_surreal
from keycairn.adapters.surreal.store import SurrealStore

__all__ = ["SurrealStore", "missing_store", "open_surreal"]
