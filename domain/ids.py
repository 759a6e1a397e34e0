"""Record ids: `table:key`, made before the write, so that an uncertain outcome can be read again."""

import re
from collections.abc import Collection
from typing import NewType

from keycairn.domain.errors import InvalidIdError, InvalidInputError

CredentialId = NewType("CredentialId", str)
ModelId = NewType("ModelId", str)
TokenId = NewType("TokenId", str)
EventId = NewType("EventId", str)

KEY = "[A-Za-z0-9_-]{1,128}"
"""Room for our own ULIDs and for the keys of imported records."""

_KEY = re.compile(KEY, re.ASCII)


def _checked(table: str, text: str) -> str:
    prefix, _, key = text.partition(":")
    if prefix != table or not _KEY.fullmatch(key):
        raise InvalidIdError(table)
    return text


def check_no_id(name: str, table: str, reserved: Collection[str] = ()) -> None:
    """Raise InvalidInputError for a name that would be taken for an id of `table`, or for a `reserved` word."""
    front, _, key = name.partition(":")
    if name in reserved or (front == table and _KEY.fullmatch(key)):
        words = "".join(f", nor {word!r}" for word in reserved)
        message = f"Commands would take this name for something else. Choose one that is no id of a {table}{words}."
        raise InvalidInputError(message, {"name": "must not be an id or a reserved word"})


def credential_id(text: str) -> CredentialId:
    """`text` as a credential id; raises InvalidIdError."""
    return CredentialId(_checked("credential", text))


def model_id(text: str) -> ModelId:
    """`text` as a model id; raises InvalidIdError."""
    return ModelId(_checked("model", text))


def token_id(text: str) -> TokenId:
    """`text` as a token id; raises InvalidIdError."""
    return TokenId(_checked("token", text))


def event_id(text: str) -> EventId:
    """`text` as an event id; raises InvalidIdError."""
    return EventId(_checked("event", text))


def key_of(record_id: str) -> str:
    """The part after the table's name."""
    return record_id.partition(":")[2]
