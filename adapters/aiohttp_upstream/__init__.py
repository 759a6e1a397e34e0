"""The gateway's streaming client, on aiohttp."""

from keycairn.adapters.aiohttp_upstream.client import AiohttpUpstream

__all__ = ["AiohttpUpstream"]
