"""What a form's fields mean: numbers, choices and boxes, and what is wrong with each that means nothing."""

import re
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from keycairn.app.page.forms import PageForm
from keycairn.domain.errors import InvalidInputError

_SPACES = re.compile(r"[ \u00a0\u202f]")
"""What people put between thousands."""
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,40})?", re.ASCII)
_Choice = TypeVar("_Choice", bound=StrEnum)


def written(number: float | None) -> str:
    """A number as a form holds it, so that it is read as the same one; "" for None."""
    text = "" if number is None else f"{Decimal(repr(number)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class FormReader:
    """Reads a form field by field. `wrong` says by field what cannot be used; `check` tells all of it at once."""

    def __init__(self, form: PageForm) -> None:
        self.form = form
        self.wrong: dict[str, str] = {}

    def check(self) -> None:
        """Raise InvalidInputError where anything is wrong."""
        if self.wrong:
            raise InvalidInputError("Some of what was typed cannot be used.", self.wrong)

    def needed(self, key: str, why: str) -> str:
        """A text that must not be empty; `why` is what is said where it is."""
        text = self.form.meant(key)
        if not text:
            self.wrong[key] = why
        return text

    def number(self, key: str) -> float | None:
        """A number, such as 60 or 1.5, below 10^15; None for one that was left empty."""
        text = _SPACES.sub("", self.form.meant(key))
        if text and not _NUMBER.fullmatch(text):
            self.wrong[key] = "must be a number, such as 60 or 1.5"
        return float(text) if text and key not in self.wrong else None

    def whole(self, key: str) -> int | None:
        """A whole number below 10^15; None for one that was left empty."""
        number = self.number(key)
        if key in self.wrong or (number is not None and number != int(number)):
            self.wrong[key] = "must be a whole number, such as 60"
        return None if number is None or key in self.wrong else int(number)

    def one_of(self, key: str, choices: Iterable[_Choice]) -> _Choice | None:
        """The choice of a list; None where it is none of them."""
        known = {str(choice): choice for choice in choices}
        found = known.get(self.form.meant(key))
        if found is None:
            self.wrong[key] = f"must be one of: {', '.join(known)}"
        return found

    def some_of(self, key: str, choices: Iterable[_Choice]) -> list[_Choice]:
        """What is ticked among boxes."""
        known = {str(choice): choice for choice in choices}
        given = self.form.ticks(key)
        if any(text not in known for text in given):
            self.wrong[key] = f"must be of: {', '.join(known)}"
        return [known[text] for text in given if text in known]
