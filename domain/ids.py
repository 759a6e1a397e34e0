"""Record ids: `table:key`, made before the write, so that an uncertain outcome can be read again."""

import re
from typing import NewType

from keycairn.domain.errors import InvalidIdError

CredentialId = NewType("CredentialId", str)
ModelId = NewType("ModelId", str)
TokenId = NewType("TokenId", str)
EventId = NewType("EventId", str)

_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
"""Room for our own ULIDs and for the keys of imported records."""


def _checked(table: str, text: str) -> str:
    prefix, _, key = text.partition(":")
    if prefix != table or not _KEY.fullmatch(key):
        raise InvalidIdError(table)
    return text


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
