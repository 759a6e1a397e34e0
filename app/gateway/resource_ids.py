"""Ids of what lives at one account: responses, files, batches, conversations.

A provider's id tells neither whose account it is of nor who made it. So the client gets another one in its place, in
which both are sealed: with it, and with nothing else, the same token finds the same account again, after a restart and
on every instance. Nothing is stored.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from keycairn.app.services.access import Principal
from keycairn.app.services.keys import Vault
from keycairn.domain.errors import ResourceNotFoundError
from keycairn.domain.ids import CredentialId, credential_id

MARK = b"kc_"
LONGEST_ID = 256
"""Characters of a provider's id that is sealed; a longer one, or one of other characters, is none."""
SHORTEST_ID = 12
"""Characters of a provider's id that is looked for within a sentence; a shorter one may be a word."""
MOST_IDS = 32
"""Ids of one answer that are remembered at one time. An answer names a few, over and over."""

_ID = re.compile(rb"(?:[a-z]{1,16}[_-])?[A-Za-z0-9_-]{1,256}")
_PREFIX = re.compile(rb"[a-z]{1,16}[_-]")
_SEALED = re.compile(rb"(?:[a-z]{1,16}[_-])?kc_([A-Za-z0-9_-]{90,1024})")
_IN_JSON = re.compile(rb'"((?:[a-z]{1,16}[_-])?kc_[A-Za-z0-9_-]{90,1024})"')


class Resource(Struct, frozen=True):
    """What a sealed id names: the provider's own id, and the credential it lives at."""

    id: str
    credential: CredentialId


class ResourceIds:
    """Seals the ids that a caller is given, and opens those it sends."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def sealed(self, id: bytes, credential: CredentialId, caller: Principal) -> bytes:
        """The id for the client, as long as 4/3 of both ids and 40 more. Raises SealedError."""
        prefix = _PREFIX.match(id)
        plain = msgspec.json.encode([id.decode("ascii"), credential])
        sealed = urlsafe_b64encode(self._vault.keyset.seal_cursor(plain, _place(caller))).rstrip(b"=")
        return (prefix[0] if prefix else b"") + MARK + sealed

    def opened(self, id: bytes, caller: Principal) -> Resource:
        """What the id names. Raises ResourceNotFoundError for one that was not made for the caller, or SealedError."""
        found = _SEALED.fullmatch(id)
        if found is not None:
            text = found[1]
            try:
                sealed = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
                plain = self._vault.keyset.open_cursor(sealed, _place(caller))
                if plain is not None:
                    own, credential = msgspec.json.decode(plain, type=tuple[str, str])
                    return Resource(own, credential_id(credential))
            except ValueError:
                pass
        raise ResourceNotFoundError


def sealed_in(body: bytes) -> Iterator[tuple[int, int]]:
    """Where in a JSON body sealed ids stand as texts: where each begins and ends, without its quotation marks."""
    for found in _IN_JSON.finditer(body):
        yield found.span(1)


_NULL = Raw(b"null")


class _Ids(Struct):
    """The members of an answer that name what lives at the account."""

    id: Raw = _NULL
    previous_response_id: Raw = _NULL
    conversation: Raw = _NULL
    input_file_id: Raw = _NULL
    output_file_id: Raw = _NULL
    error_file_id: Raw = _NULL
    response: Raw = _NULL


class _Conversation(Struct):
    id: Raw = _NULL


_ids = msgspec.json.Decoder(_Ids).decode
_conversation = msgspec.json.Decoder(_Conversation).decode


class _Results(Struct):
    id: str = ""
    results_url: str | None = None


_results = msgspec.json.Decoder(_Results).decode
_RESULTS = re.compile(rb'("results_url"[ \t\r\n]*+:[ \t\r\n]*+)"(?:[^"\\]|\\.)*+"')


class IdEdit:
    """Puts sealed ids in the place of the provider's, in one answer or its events, wherever they stand as texts.

    What the call `referred` to gets the id back that the client gave, also within a sentence, as of an error.
    """

    def __init__(
        self,
        ids: ResourceIds,
        credential: CredentialId,
        caller: Principal,
        referred: Mapping[bytes, bytes] = MappingProxyType({}),
    ) -> None:
        self._referred = {own: given for own, given in referred.items() if len(own) >= SHORTEST_ID}
        self.marks: tuple[bytes, ...] = (b'"id"', b'_id"', b'"conversation"', *self._referred)
        self._ids = ids
        self._credential = credential
        self._caller = caller
        self._known: dict[bytes, bytes] = {}

    def __call__(self, text: bytes) -> bytes:
        """An answer in JSON, or an event of a stream."""
        for id in _named_in(text):
            if id not in self._known and _ID.fullmatch(id):
                if len(self._known) >= MOST_IDS:
                    self._known.clear()
                self._known[id] = self._ids.sealed(id, self._credential, self._caller)
        for id, sealed in self._known.items():
            text = text.replace(b'"' + id + b'"', b'"' + sealed + b'"')
        for id, given in self._referred.items():
            text = text.replace(id, given)
        return text


class ResultsEdit:
    """Puts the URL at which the client finds results in the place of the provider's own. It follows an `IdEdit`."""

    marks: tuple[bytes, ...] = (b'"results_url"',)

    def __init__(self, below: str) -> None:
        self._below = below

    def __call__(self, text: bytes) -> bytes:
        """An answer in JSON."""
        try:
            found = _results(text)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return text
        if not found.results_url:
            return text
        url = msgspec.json.encode(f"{self._below}/{found.id}/results")
        return _RESULTS.sub(lambda match: match[1] + url, text)


def _joined(event: bytes) -> bytes:
    """What an event of several lines of data says: they are joined by line ends. Source: the HTML standard, 9.2.6."""
    lines = [line.removeprefix(b"data:") for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if len(lines) > 1 else event


def _named_in(text: bytes) -> list[bytes]:
    text = _joined(text)
    begin = text.find(b"{")
    if begin < 0:
        return []
    try:
        found = _ids(text[begin:].rstrip())
        if bytes(found.response).startswith(b"{"):
            found = _ids(found.response)
        members = [
            found.id,
            found.previous_response_id,
            found.input_file_id,
            found.output_file_id,
            found.error_file_id,
            found.conversation,
        ]
        if bytes(found.conversation).startswith(b"{"):
            members.append(_conversation(found.conversation).id)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return []
    return [bytes(member)[1:-1] for member in members if bytes(member).startswith(b'"')]


def _place(caller: Principal) -> bytes:
    return msgspec.json.encode(["resource", caller.workspace, caller.actor])
