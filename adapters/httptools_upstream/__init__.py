"""The gateway's streaming client: sockets of our own, read by httptools."""

from keycairn.adapters.httptools_upstream.client import HttptoolsUpstream

__all__ = ["HttptoolsUpstream"]
