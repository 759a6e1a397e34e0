"""The guarded client: every request to a provider leaves through here."""

from keycairn.adapters.guarded_http.backend import Destination, Resolve, VettingBackend, resolve
from keycairn.adapters.guarded_http.client import GuardedHttp

__all__ = ["Destination", "GuardedHttp", "Resolve", "VettingBackend", "resolve"]
