"""Where a text that comes in pieces must be waited for: its end may be the beginning of an escape, or of a secret."""

import re
from collections.abc import Callable
from itertools import islice

from keycairn.domain.spellings import readings

LONGEST_ESCAPE = 24
"""Bytes that one character may be written with, in escapes of escapes too."""
ESCAPED_DEPTH = 4
"""How often escapes of escapes are undone."""
MOST_READINGS = 2
"""Readings of a text that are looked at in each layer."""

_BEGUN_ESCAPE = re.compile(
    rb"(?:<[^<>]{0,23}|=\?[\w?-]{0,20}|=[0-9a-fA-F]?|(?:\\{1,8}(?:u001[bB]|x1[bB]|033|e)|\x1b)\[[0-9;]{0,12}"
    rb"|\\{1,8}u003[cC][^<>\\]{0,12}|&lt;[^<>&]{0,12}"
    rb"|\\{1,8}(?:u005[cC]){0,2}[uUx]?\{?[0-9a-fA-F]{0,8}|%[u0-9a-fA-F]{0,8}|&(?:amp;){0,2}\#?[0-9a-zA-Z]{0,10}"
    rb"|\\{1,8}N(?:\{(?:U(?:\+[0-9a-fA-F]{0,8})?)?)?|\xf0[\x80-\xbf]{0,2}|[\xe2\xef][\x80-\xbf]?)\Z"
)

Begins = Callable[[bytes, bool], int]
"""Where the end of a text begins that may be the beginning of a secret, told whether the text had escapes."""


def open_end(text: bytes, begins: Begins) -> int:
    """Where an end of `text` begins that what follows may turn into something else: its length where it is complete.

    That is an escape that is not whole, or what `begins` finds at the end of the text, or of a reading without its
    escapes. Where the latter stands in the text itself is not looked up: as much waits as it may be written with.
    """
    whole = _without_begun_escape(text)
    waits = len(text) - begins(whole, False)
    layer = [whole]
    for _ in range(ESCAPED_DEPTH):
        layer = [*islice((one for outer in layer for one in readings(outer)), MOST_READINGS)]
        for place, reading in enumerate(layer):
            layer[place] = whole = _without_begun_escape(reading)
            waits = max(waits, LONGEST_ESCAPE * (len(reading) - begins(whole, True)))
    return max(0, len(text) - waits)


def _without_begun_escape(text: bytes) -> bytes:
    cut = _BEGUN_ESCAPE.search(text, max(0, len(text) - LONGEST_ESCAPE))
    return text[: cut.start()] if cut else text
