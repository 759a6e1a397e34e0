"""The guarded client: every request to a provider leaves through here."""

from keycairn.adapters.guarded_http.backend import Destination, Resolve, VettingBackend, resolve
from keycairn.adapters.guarded_http.client import GuardedHttp
from keycairn.adapters.guarded_http.token_cache import MemoryTokenCache
from keycairn.adapters.guarded_http.trust import Trust

__all__ = [
    "Destination",
    "GuardedHttp",
    "MemoryTokenCache",
    "Resolve",
    "Trust",
    "VettingBackend",
    "resolve",
]
