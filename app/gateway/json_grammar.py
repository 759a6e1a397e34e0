"""The grammar of JSON, as patterns over bytes. All repeats are possessive: others keep a record of each round.

`items`, `members` and `top_members` read most of a body, each with its comma, where values hold no more than two lists
or objects within each other. Half a surrogate pair is no text.
"""

import re
from collections.abc import Callable

Scan = Callable[..., re.Match[bytes] | None]
"""Looks for a pattern in bytes, from a position on."""

_SPACE = rb"[ \t\n\r]*+"
_ESCAPE = (
    rb'\\(?:["\\/bfnrt]|u(?:[0-9A-Ca-cEFef][0-9A-Fa-f]{3}|[Dd][0-7][0-9A-Fa-f]{2}'
    rb"|[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}))"
)
_INSIDE = rb'(?:[^"\\\x00-\x1f]++|' + _ESCAPE + rb")*+"
_TEXT = rb'"' + _INSIDE + rb'"'
_NUMBER = rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?+[0-9]++)?+"
_STREAM = rb'"stream(?:_options)?+"'
_MODEL = rb'"(?:[mM]|\\u00[46][dD])(?:[oO]|\\u00[46][fF])(?:[dD]|\\u00[46]4)(?:[eE]|\\u00[46]5)(?:[lL]|\\u00[46][cC])"'
"""In any case: some parsers, such as Go's, take `Model` for it."""


def _within(value: bytes) -> bytes:
    """The pattern of a value, or of a list or object of such values.

    `value` stands in it three times, and no more: a pattern is compiled at each start. So what follows an item is a
    comma that is not the last thing, or the end.
    """
    member = _TEXT + _SPACE + rb":" + _SPACE + value + _SPACE
    listed = rb"\[" + _SPACE + rb"(?:" + value + _SPACE + rb"(?:," + _SPACE + rb"(?!\])|(?=\])))*+\]"
    named = rb"\{" + _SPACE + rb"(?:" + member + rb"(?:," + _SPACE + rb"(?!\})|(?=\})))*+\}"
    return rb"(?>" + value + rb"|" + listed + rb"|" + named + rb")"


_VALUE = _within(_within(rb"(?>" + _TEXT + rb"|" + _NUMBER + rb"|true|false|null)"))
items: Scan = re.compile(rb"(?:" + _SPACE + _VALUE + _SPACE + rb",)*+").match
_MEMBER = _TEXT + _SPACE + rb":" + _SPACE + _VALUE + _SPACE + rb","
members: Scan = re.compile(rb"(?:" + _SPACE + _MEMBER + rb")*+").match
top_members: Scan = re.compile(rb"(?:" + _SPACE + rb"(?!" + _MODEL + rb"|" + _STREAM + rb")" + _MEMBER + rb")*+").match

space: Scan = re.compile(_SPACE).match
inside_text: Scan = re.compile(_INSIDE).match
number: Scan = re.compile(_NUMBER).match
model: Scan = re.compile(_MODEL).fullmatch
of_number: Scan = re.compile(rb"[-+0-9.eE]++").match
word: Scan = re.compile(rb"[A-Za-z]++").match
half_number: Scan = re.compile(rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:\.|[eE][-+]?+[0-9]*+)?+").fullmatch
MORE_DIGITS = re.compile(rb"(?<=[0-9])[0-9]++")
half_escape: Scan = re.compile(
    rb"\\(?:u(?:[0-9A-Fa-f]{0,3}|[Dd][89ABab][0-9A-Fa-f]{2}(?:\\(?:u(?:[Dd](?:[C-Fc-f][0-9A-Fa-f]?)?)?)?)?))?"
).fullmatch
surrogate: Scan = re.compile(rb"\\u[Dd][89A-Fa-f][0-9A-Fa-f]{2}").match
