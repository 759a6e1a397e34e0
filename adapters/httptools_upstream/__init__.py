"""The gateway's streaming client: sockets of our own, read by httptools."""

from keycairn.adapters.httptools_upstream.client import HttptoolsUpstream
from keycairn.adapters.httptools_upstream.way_out import WayOut

__all__ = ["HttptoolsUpstream", "WayOut"]
