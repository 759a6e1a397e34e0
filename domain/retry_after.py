"""How long a provider asks to be left alone: the Retry-After header (RFC 9110, 10.2.3)."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_PATIENCE = 600.0
"""Seconds a credential rests at most, whatever the provider asks for."""

_BETWEEN = re.compile(r",(?! ?\d\d[ -][A-Z])", re.ASCII)
"""The comma between two values that were joined into one line; not the one within a date."""
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]*)?", re.ASCII)


def retry_after(headers: Iterable[tuple[str, str]]) -> float | None:
    """Seconds to wait, at most `LONGEST_PATIENCE`; None where the headers say nothing usable.

    Names are in lower case. Seconds may have a fraction, as some providers write it. A date, in any of HTTP's three
    forms, is measured against the provider's own clock, and says nothing without a Date header. Where the header was
    repeated, the longest wait counts.
    """
    wishes: list[str] = []
    sent = ""
    for name, value in headers:
        if name == "retry-after":
            wishes += _BETWEEN.split(value)
        elif name == "date":
            sent = sent or value
    waits = [wait for wish in wishes if (wait := _wait(wish.strip(), sent)) is not None]
    return min(max(waits), LONGEST_PATIENCE) if waits else None


def _wait(wish: str, sent: str) -> float | None:
    if _SECONDS.fullmatch(wish):
        return float(wish)
    then, now = _moment(wish), _moment(sent)
    return None if then is None or now is None else max(0.0, (then - now).total_seconds())


def _moment(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)  # asctime's form names no zone; HTTP's is UTC
