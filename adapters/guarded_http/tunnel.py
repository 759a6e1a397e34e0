"""The head of a proxy's answer to CONNECT (RFC 9110, 9.3.6)."""

import re

LARGEST = 2**14
"""Bytes of the head of such an answer."""
UNREACHABLE = "The outgoing proxy cannot be reached."
BROKEN_OFF = "The outgoing proxy closed the connection."
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^0-9]")


def tunnel_fault(head: bytes) -> str | None:
    """Why there is no tunnel after such an answer, None where there is one. "" while more of it is to come.

    Whoever speaks behind the tunnel waits for the first word, so that nothing may follow the head.
    """
    if b"\r\n\r\n" not in head:
        return "" if len(head) < LARGEST else "The outgoing proxy does not speak HTTP."
    status = _STATUS.match(head)
    if status is not None and not 200 <= (code := int(status[1])) < 300:
        return f"The outgoing proxy refused the connection ({code})."
    alone = head.index(b"\r\n\r\n") + 4 == len(head)
    return None if status is not None and alone else "The outgoing proxy does not speak HTTP."
