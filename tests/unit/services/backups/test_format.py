"""The form of a backup: what goes in comes out, and nothing else does."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.samples import THEN, a_check, a_credential, a_keyset, a_model, a_token, an_event

from keycairn.app.services.backups.format import BackupHeader, Packer, Trailer, unpack
from keycairn.domain.audit import Head
from keycairn.domain.errors import DamagedBackupError
from keycairn.domain.model import Defaults, Slot
from keycairn.domain.record import Record, UsageRecord
from keycairn.domain.usage import Usage, UsageKey

HEADER = BackupHeader(created=THEN, version="1.2.3", install_id="here")
CREDENTIAL = a_credential(
    extra={"huge": 2**70, "none": None, "text": "\ud800 ünï \U0001f511"},
    last_check=a_check(),
    broken={"api_key": "old"},
)
MODEL = a_model(credential=CREDENTIAL.id, missing_since=THEN)
RECORDS: list[Record] = [
    a_keyset(),
    CREDENTIAL,
    a_credential(),
    MODEL,
    Defaults(slots={Slot.CHAT: MODEL.id}, version=2),
    a_token(expires=THEN),
    UsageRecord(
        UsageKey(day=date(2026, 1, 2), workspace="w", token="t", credential="c"), Usage(requests=2, last_used=THEN)
    ),
    an_event(details={"names": ["x"], "count": 2}, seq=1, mac="ab"),
    Head(1, "ab"),
]


def packed(records: Iterable[Record] = RECORDS, header: BackupHeader = HEADER) -> bytes:
    packer = Packer(header)
    return packer.pack(records) + packer.finish()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def refused(data: bytes, size: int = 4096) -> str:
    with pytest.raises(DamagedBackupError) as caught:
        list(unpack(pieces(data, size)))
    return str(caught.value)


@pytest.mark.parametrize("size", [1, 7, 4096, 10**6])
def test_every_kind_of_record_comes_back_exactly(size: int) -> None:
    header, *records, trailer = unpack(pieces(packed(), size))
    assert header == HEADER
    assert records == RECORDS
    counts = {"keyset": 1, "credential": 2, "model": 1, "defaults": 1, "token": 1, "usage": 1, "event": 1, "head": 1}
    assert trailer == Trailer(records=9, counts=counts)


def test_an_empty_store_has_a_backup_too() -> None:
    assert list(unpack([packed([])])) == [HEADER, Trailer(records=0, counts={})]


def test_it_reads_as_gzip_everywhere() -> None:
    lines = gzip.decompress(packed()).splitlines()
    assert len(lines) == len(RECORDS) + 2
    assert lines[0].startswith(b'{"keycairn_backup":1,')


def test_every_changed_byte_is_noticed() -> None:
    whole = packed()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        refused(bytes(damaged))


def test_every_length_but_the_right_one_is_noticed() -> None:
    whole = packed()
    for length in range(len(whole)):
        refused(whole[:length])
    refused(whole + b"\0")
    refused(whole + whole)


@pytest.mark.parametrize(
    "text",
    [b"", b"# Keycairn\n", gzip.compress(b"{}\n"), gzip.compress(b'["x"]\n'), bytes(100)],
    ids=["nothing", "text", "an object", "a list", "zeros"],  # a compressed file holds the time, an id must not
)
def test_a_foreign_file_is_called_one(text: bytes) -> None:
    assert "not a Keycairn backup" in refused(text)


def test_another_gzip_file_with_our_seal_is_foreign() -> None:
    packer = Packer(HEADER)
    packer._deflate = zlib.compressobj(6, zlib.DEFLATED, 31)
    packer._start = b"[]\n"
    assert "not a Keycairn backup" in refused(packer.pack([]) + packer.finish())


def test_a_later_form_is_called_one() -> None:
    later = BackupHeader(keycairn_backup=2, created=THEN, version="9", install_id="")
    assert "later version" in refused(packed(header=later))


def test_a_record_out_of_order_or_twice_is_refused() -> None:
    cases: list[list[Record]] = [[MODEL, CREDENTIAL], [CREDENTIAL, CREDENTIAL], [Head(1, "a"), Head(2, "b")]]
    for records in cases:
        assert "order" in refused(packed(records))


def test_a_bomb_is_refused_with_bounded_memory() -> None:
    class Bomb(Packer):
        def pack(self, records: Iterable[Record]) -> bytes:
            return self._hashed(self._deflate.compress(bytes(64 * 1024 * 1024)))

    bomb = Bomb(HEADER)
    data = bomb.pack([]) + bomb.finish()
    assert len(data) < 100_000
    assert "expands" in refused(data)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    refused(data)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_content_raises_anything_else(content: bytes, size: int) -> None:
    packer = Packer(HEADER)
    packer._start = content
    try:
        list(unpack(pieces(packer.pack([]) + packer.finish(), size)))
    except DamagedBackupError:
        return
    raise AssertionError(content)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from(["keyset", "credential", "model", "defaults", "token", "usage", "event", "head"]), _json)
def test_no_record_raises_anything_else(kind: str, fields: object) -> None:
    packer = Packer(HEADER)
    packer._start += json.dumps({kind: fields}).encode() + b"\n"
    refused(packer.pack([]) + packer.finish())
