"""Patterns of models' names: what a token may call is said with them."""

from collections.abc import Iterable, Sequence

from keycairn.domain.errors import InvalidInputError
from keycairn.domain.model import LONGEST_CALLED_NAME

MOST_PATTERNS = 100
EVERY = "*"
_ANYTHING = "\0"
"""Stands for what a star stands for. No name holds it."""


def fits(pattern: str, name: str) -> bool:
    """Whether a name is one of those a pattern stands for.

    A star stands for any characters; in a pattern without a slash for any but a slash, unless the star is all of it, so
    that `o*` means a model `o3`, and no provider that begins so.
    """
    if pattern == EVERY:
        return True
    if "/" not in pattern and "/" in name:
        return False
    first, *rest = pattern.split("*")
    if not rest:
        return name == first
    if not name.startswith(first):
        return False
    *between, last = rest
    at = len(first)
    for piece in between:
        found = name.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return name.endswith(last) and len(name) - len(last) >= at


def covers(patterns: Iterable[str], other: str) -> bool:
    """Whether one of the patterns stands for every name that `other`, a pattern itself, stands for."""
    if other == EVERY:
        return EVERY in patterns
    return any(fits(pattern, other.replace("*", _ANYTHING)) for pattern in patterns)


def check_patterns(patterns: Sequence[str], field: str) -> None:
    """Raise InvalidInputError for patterns that stand for no name, or too many of them."""
    if len(patterns) > MOST_PATTERNS:
        message = f"At most {MOST_PATTERNS} names of models can be listed."
        raise InvalidInputError(message, {field: f"must be at most {MOST_PATTERNS}"})
    for pattern in patterns:
        fine = 0 < len(pattern) <= LONGEST_CALLED_NAME and pattern.isprintable() and pattern == pattern.strip()
        if not fine or pattern.startswith(("default:", "model:")):
            message = "A name of a model in a list is its name or provider/name, with * for any characters."
            raise InvalidInputError(message, {field: "must be names of models"})
