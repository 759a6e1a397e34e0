"""The gateway's client for websockets: judged sockets, spoken over by the `websockets` library."""

from keycairn.adapters.websockets_upstream.client import WebsocketsUpstream

__all__ = ["WebsocketsUpstream"]
