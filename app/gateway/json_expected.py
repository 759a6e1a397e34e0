"""What may come next in JSON, and what is said where something else comes."""

from enum import Enum, auto

_NOT_JSON = {b"NaN": "NaN", b"Infinity": "Infinity", b"-Infinity": "-Infinity"}


class Next(Enum):
    """What may come next."""

    VALUE = auto()
    ITEM_OR_END = auto()
    NAME = auto()
    NAME_OR_END = auto()
    COLON = auto()
    COMMA_OR_END = auto()
    NOTHING = auto()


EXPECTED = {
    Next.VALUE: "a value is expected",
    Next.ITEM_OR_END: 'a value or "]" is expected',
    Next.NAME: "a name in double quotes is expected",
    Next.NAME_OR_END: 'a name in double quotes or "}" is expected',
    Next.COLON: '":" is expected',
    Next.NOTHING: "nothing may follow the object",
}


def not_json(word: bytes, state: Next | None) -> str:
    """What is said of a word that is no value in JSON."""
    name = _NOT_JSON.get(word)
    if name:
        return f"{name} is no value in JSON"
    return "this is no number" if state is None else EXPECTED[state]
