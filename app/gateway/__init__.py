"""The gateway: calls to models with a Keycairn token; the provider's key is added on the way out."""

from keycairn.app.gateway.gateway import Gateway

__all__ = ["Gateway"]
