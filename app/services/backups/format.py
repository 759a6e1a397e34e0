"""The form of a backup: a gzip file, readable with `zcat`, that proves to be whole.

The first gzip member holds lines of JSON: a header, one record a line, a trailer with the counts. A second, empty
member ends the file; its comment is the SHA-256 of every byte before it, so that no byte can change or be missing
unnoticed. See docs/backup.md.
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec import Struct

from keycairn.domain.errors import DamagedBackupError, InvalidInputError
from keycairn.domain.record import KINDS, Record, kind_of, record_in, record_key, record_line

FORMAT = 1
LONGEST_LINE = 32 * 1024 * 1024
"""Bytes of one record as JSON."""
MOST_EXPANSION = 250
"""How many times as long as the file its content may be. Records of ours shrink to a quarter or a twentieth."""
FREE_EXPANSION = 4 * 1024 * 1024
"""Bytes of content that are never too many."""
_STEP = 64 * 1024
_GZIP = 31
"""zlib's name for its gzip form."""
_SEAL_START = b"\x1f\x8b\x08\x10" + bytes(5) + b"\xffsha256:"
_SEAL_END = b"\0\x03\0" + bytes(8)
SEAL_BYTES = len(_SEAL_START) + 64 + len(_SEAL_END)
"""Length of the last member."""
_FOREIGN = "it is not a Keycairn backup"
_RANKS: Mapping[str, int] = {name: rank for rank, name in enumerate(KINDS)}
_CHANGED = "it is incomplete or was changed"


class BackupHeader(Struct, frozen=True, kw_only=True):
    """Where a backup comes from. `install_id` is "" for a database that has no keyset yet."""

    keycairn_backup: int = FORMAT
    created: datetime
    version: str
    install_id: str


class Trailer(Struct, frozen=True, kw_only=True):
    """What a backup holds: the number of its records, in all and by kind."""

    records: int
    counts: Mapping[str, int]


class Packer:
    """Makes the bytes of a backup, a piece at a time. Records come in the order of a snapshot."""

    def __init__(self, header: BackupHeader) -> None:
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
        self._hash = sha256()
        self._counts: Counter[str] = Counter()
        self._start = msgspec.json.encode(header) + b"\n"

    @property
    def trailer(self) -> Trailer:
        """What was packed so far."""
        return Trailer(records=self._counts.total(), counts=dict(self._counts))

    def pack(self, records: Iterable[Record]) -> bytes:
        """The next bytes of the file. Raises InvalidInputError for a record that is too large for any backup."""
        lines = [self._start] if self._start else []
        self._start = b""
        for record in records:
            line = record_line(record)
            if len(line) >= LONGEST_LINE:
                raise InvalidInputError(f"The {kind_of(record)} {record_key(record)} is too large for a backup.")
            self._counts[kind_of(record)] += 1
            lines.append(line + b"\n")
        return self._hashed(self._deflate.compress(b"".join(lines)))

    def finish(self) -> bytes:
        """The last bytes of the file."""
        last = self._start + msgspec.json.encode(self.trailer) + b"\n"
        rest = self._hashed(self._deflate.compress(last) + self._deflate.flush())
        return rest + _seal(self._hash.hexdigest())

    def _hashed(self, data: bytes) -> bytes:
        self._hash.update(data)
        return data


def unpack(chunks: Iterable[bytes]) -> Iterator[BackupHeader | Record | Trailer]:
    """What is in a file: its header, its records in the order of a snapshot, its trailer.

    Nothing is proven before the trailer is there. Raises DamagedBackupError as soon as something is wrong. Memory stays
    bounded whatever the bytes are.
    """
    lines = _lines(_content(chunks))
    first = next(lines, b"")
    try:
        header = msgspec.json.decode(first, type=BackupHeader)
        if "keycairn_backup" not in json.loads(first):
            raise DamagedBackupError(_FOREIGN)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        raise DamagedBackupError(_FOREIGN) from None
    if header.keycairn_backup != FORMAT:
        raise DamagedBackupError("it was written by a later version of Keycairn")
    yield header
    counts: Counter[str] = Counter()
    last = (-1, "")
    line = next(lines, b"")
    for following in lines:  # the last line is the trailer, and not a record
        record = _record(line)
        place = (_RANKS[kind_of(record)], record_key(record))
        if place <= last:
            raise DamagedBackupError("its records are not in order")
        last = place
        counts[kind_of(record)] += 1
        yield record
        line = following
    yield _trailer(line, counts)


def _trailer(line: bytes, counts: Counter[str]) -> Trailer:
    try:
        trailer = msgspec.json.decode(line, type=Trailer)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        raise DamagedBackupError(_CHANGED) from None
    if trailer != Trailer(records=counts.total(), counts=dict(counts)):
        raise DamagedBackupError(_CHANGED)
    return trailer


def _record(line: bytes) -> Record:
    try:
        return record_in(line)
    except InvalidInputError:
        raise DamagedBackupError("it holds something that is no record of this version of Keycairn") from None


def _seal(digest: str) -> bytes:
    return _SEAL_START + digest.encode() + _SEAL_END


def _content(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The decompressed first member, in pieces of at most `_STEP`; afterwards the seal is checked."""
    inflate = zlib.decompressobj(_GZIP)
    whole = sha256()
    taken = given = 0
    for piece, is_last in _held_back(chunks):
        if is_last:
            if not inflate.eof or piece != _seal(whole.hexdigest()):
                raise DamagedBackupError(_CHANGED if taken else _FOREIGN)
            return
        whole.update(piece)
        taken += len(piece)
        pending = piece
        while pending:
            if inflate.eof:
                raise DamagedBackupError(_CHANGED)  # something stands between the two members
            try:
                part = inflate.decompress(pending, _STEP)
            except zlib.error:
                raise DamagedBackupError(_CHANGED if given else _FOREIGN) from None
            given += len(part)
            if given > FREE_EXPANSION + taken * MOST_EXPANSION:
                raise DamagedBackupError("it expands beyond all measure")
            pending = inflate.unconsumed_tail or inflate.unused_data
            if part:
                yield part


def _held_back(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """All bytes but those of the seal, then the seal's, marked as the last."""
    held = b""
    for chunk in chunks:
        held += chunk
        if len(held) > SEAL_BYTES:
            yield held[:-SEAL_BYTES], False
            held = held[-SEAL_BYTES:]
    yield held, True


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of the content; it ends with one."""
    begun = bytearray()
    for part in parts:
        *ends, rest = part.split(b"\n")
        for end in ends:
            yield bytes(begun) + end
            begun.clear()
        begun += rest
        if len(begun) > LONGEST_LINE:
            raise DamagedBackupError("a line of it is too long")
    if begun:
        raise DamagedBackupError(_CHANGED)
