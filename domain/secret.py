"""A value that must not be seen by accident."""

import hmac
from typing import ClassVar, NoReturn

MASK = "********"


class Secret:
    """Text that prints as a mask.

    `repr`, `str` and formatting give the mask; msgspec has no encoder for it, and it refuses to be pickled, copied or
    hashed. The one way to the text is `reveal()`, called where the value is used and nowhere else.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Keep it short-lived: no attribute, no log line, no exception argument."""
        return self._text

    def forget(self) -> None:
        """Let go of the text, for good and for everyone who holds this secret; `reveal` then gives an empty one.

        What Python frees it does not overwrite at once: this shortens a secret's time in memory, and proves nothing.
        """
        self._text = ""

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # A lone surrogate must not end in a UnicodeEncodeError, which carries the text.
        own, others = (text.encode("utf-8", "surrogatepass") for text in (self._text, other._text))
        return hmac.compare_digest(own, others)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # a hash of a low-entropy secret is a fingerprint

    def __reduce__(self) -> NoReturn:
        message = "a Secret cannot be pickled"
        raise TypeError(message)
