"""What a form sends, read field by field: browsers know no types, and leave out what is not ticked."""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping

import msgspec
from litestar.datastructures import FormMultiDict, UploadFile
from msgspec import Struct

from keycairn.domain.errors import AmbiguousRequestError, ForeignOriginError
from keycairn.domain.secret import MASK, Secret
from keycairn.domain.secretlike import is_key

SECRET = "secret:"  # noqa: S105  # how names of fields begin
"""Begins the name of every field whose value is a secret. None of these is ever put into a page."""
FORM_KEY = "form_key"
KEY_PLACE = "@form-key@"
"""Stands in a page where the session's form key belongs, until it is sent: it is masked anew each time."""
TAKE, THEIRS = "take:", "theirs:"
"""Begin the fields that say whose text of a field is meant, where two people changed it, and what the other's is."""
BETWEEN = ", "
"""Stands between what is ticked, where boxes are told as a text."""
WAS = "was"
"""The field that holds what a form held when it was opened, to tell what was changed in it."""
_KEY_BYTES = 32


class Difference(Struct, frozen=True):
    """A field that somebody else saved with another value meanwhile: both, and whether the form's was changed too."""

    mine: str
    theirs: str
    both: bool


def whole_number(text: str, *, most: int = 10**15 - 1) -> int | None:
    """The number that a text is, in the digits of ASCII, from 0 to `most`; None where it is none."""
    digits = text if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else ""
    return int(digits) if digits and int(digits) <= most else None


class PageForm:
    """The fields of a form. Its repr shows no value."""

    def __init__(self, data: FormMultiDict) -> None:
        self._data = data

    def text(self, name: str) -> str:
        """The text of a field, trimmed; "" where it is not there. Raises AmbiguousRequestError where there are two."""
        self._check_once(name)
        return self._first(name)

    def _check_once(self, name: str) -> None:
        if len(self._data.getall(name, [])) > 1:
            raise AmbiguousRequestError("A field of the form is there more than once.")

    def _first(self, name: str) -> str:
        value = self._data.get(name, "")
        return value.replace("\r\n", "\n").strip() if isinstance(value, str) else ""

    def meant(self, name: str) -> str:
        """The text that is meant for a field: where two people changed it, the one that was chosen."""
        return self.text(self._chosen(name))

    def ticks(self, name: str) -> list[str]:
        """The boxes of a name that are meant to be ticked."""
        if self._takes_theirs(name):
            return [text for text in self.text(f"{THEIRS}{name}").split(BETWEEN) if text]
        return [text for text in self.all(name) if text]

    def opened_with(self) -> dict[str, str]:
        """What it held when it was opened; nothing where it does not say."""
        try:
            return msgspec.json.decode(self.text(WAS), type=dict[str, str])
        except msgspec.DecodeError:
            return {}

    def _chosen(self, name: str) -> str:
        return f"{THEIRS}{name}" if self._takes_theirs(name) else name

    def _takes_theirs(self, name: str) -> bool:
        return self.text(f"{TAKE}{name}") == "theirs"

    def secret(self, name: str) -> Secret | None:
        """The secret of that name, None for one that was left empty."""
        text = self.text(SECRET + name)
        return Secret(text) if text else None

    def ticked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return name in self._data

    def all(self, name: str) -> list[str]:
        """Every value of a field that may be there many times."""
        return [value for value in self._data.getall(name, []) if isinstance(value, str)]

    def file(self, name: str) -> UploadFile | None:
        """The file of a field, None where none was chosen."""
        self._check_once(name)
        value = self._data.get(name)
        return value if isinstance(value, UploadFile) and value.filename else None

    def again(self, name: str) -> str:
        """The text of a field as it may stand in a page again: "" for one that is a key."""
        text = self._first(self._chosen(name))
        return "" if is_key(text) else text

    def given(self) -> list[str]:
        """The names of the fields that are not empty, in order."""
        return [name for name, text in self.pairs() if text.strip()]

    def shown(self) -> Mapping[str, str]:
        """What may stand in a page again: the texts that are no secrets."""
        return {name: self.again(name) for name, _ in self.pairs()}

    def pairs(self) -> list[tuple[str, str]]:
        """The names and texts of all fields that are no secrets, in order; without the text where that is a key."""
        return [
            (name, "" if is_key(value) else value)
            for name, value in self._data.multi_items()
            if isinstance(value, str) and not name.startswith(SECRET) and name != FORM_KEY
        ]

    def __repr__(self) -> str:
        return f"Form({MASK})"


def masked(key: bytes) -> str:
    """A form key as it is sent: each time another text, since what is compressed with it tells of what stays."""
    mask = secrets.token_bytes(_KEY_BYTES)
    return urlsafe_b64encode(mask + bytes(a ^ b for a, b in zip(mask, key, strict=True))).rstrip(b"=").decode()


def check_key(text: str, key: bytes) -> None:
    """Raise ForeignOriginError unless `text` is the form key of the session."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raw = b""
    given = bytes(a ^ b for a, b in zip(raw[:_KEY_BYTES], raw[_KEY_BYTES:], strict=False))
    if len(raw) != 2 * _KEY_BYTES or not hmac.compare_digest(given, key):
        raise ForeignOriginError
