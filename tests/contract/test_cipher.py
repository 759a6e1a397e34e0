"""The laws of every cipher, and those of the one that encrypts."""

import secrets
from base64 import b64encode
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fakes import NOON, FakeCipher

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.aesgcm.cipher import AesGcmCipher
from keycairn.adapters.aesgcm.key import Key
from keycairn.domain.errors import InvalidInputError, UndecryptableError
from keycairn.domain.keyset import KeyState
from keycairn.domain.rootkey import RootKey, RootKeyForm
from keycairn.domain.sealed import FORMER_SUITE, SealContext, SealedSecret, is_former, join, split
from keycairn.domain.secret import Secret
from keycairn.ports.cipher import Cipher

ROOT_KEY = RootKey(RootKeyForm.RAW, Secret(b64encode(secrets.token_bytes(32)).decode()))
OPENER = AesGcmKeysets()
PLACE = SealContext(
    workspace="default",
    table="credential",
    record="credential:01KDWE9G000000000000000001",
    provider="acme",
    field="api_key",
    destinations=(("base_url", "https://api.example.com:443"), ("endpoint_stt", "https://eu.example.com:443")),
    origins=("https://api.example.com:443", "https://eu.example.com:443"),
)
API, EU = PLACE.destinations
ELSEWHERE = {
    "workspace": replace(PLACE, workspace="other"),
    "table": replace(PLACE, table="other"),
    "record": replace(PLACE, record="credential:01KDWE9G000000000000000002"),
    "field": replace(PLACE, field="other"),
    "provider": replace(PLACE, provider="other"),
    "one destination changed": replace(PLACE, destinations=(("base_url", "https://api.example.com:8443"), EU)),
    "one destination fewer": replace(PLACE, destinations=(API,)),
    "one destination more": replace(PLACE, destinations=(API, EU, ("endpoint_tts", API[1]))),
    "no destination": replace(PLACE, destinations=()),
    "two destinations swapped": replace(PLACE, destinations=((API[0], EU[1]), (EU[0], API[1]))),
    "a destination under another setting": replace(PLACE, destinations=(("endpoint_llm", API[1]), EU)),
    "setting and origin exchanged": replace(PLACE, destinations=((API[1], API[0]), EU)),
    "a border moved": replace(PLACE, workspace="defaultc", table="redential"),
    "fields swapped": replace(PLACE, table="api_key", field="credential"),
    "a destination taken for a field": replace(PLACE, field="", destinations=(("api_key", ""), API, EU)),
}
FORMERLY_ELSEWHERE = {
    **{name: ELSEWHERE[name] for name in ("workspace", "table", "record", "field")},
    "an origin changed": replace(PLACE, origins=("https://api.example.com:8443", PLACE.origins[1])),
    "an origin fewer": replace(PLACE, origins=PLACE.origins[:1]),
    "an origin more": replace(PLACE, origins=(*PLACE.origins, "https://us.example.com:443")),
    "no origin": replace(PLACE, origins=()),
}


class Ciphers(NamedTuple):
    """One cipher; one of another installation; one that seals with a data key the first has not."""

    own: Cipher
    foreign: Cipher
    newer: Cipher
    newer_kid: int


def aesgcm() -> Ciphers:
    keyset = OPENER.open(OPENER.create(ROOT_KEY, NOON), ROOT_KEY)
    newer = keyset.with_new_key().with_key_state(2, KeyState.PRIMARY)
    return Ciphers(keyset.cipher, OPENER.open(OPENER.create(ROOT_KEY, NOON), ROOT_KEY).cipher, newer.cipher, 2)


def fake() -> Ciphers:
    return Ciphers(FakeCipher(), FakeCipher(install_id="other"), FakeCipher(kid=2), 2)


REAL, FAKE = aesgcm(), fake()


@pytest.fixture(params=[REAL, FAKE], ids=["aesgcm", "fake"], scope="module")
def ciphers(request: pytest.FixtureRequest) -> Ciphers:
    given: Ciphers = request.param
    return given


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(TEXTS)
def test_what_was_sealed_opens(ciphers: Ciphers, text: str) -> None:
    sealed = ciphers.own.seal(Secret(text), PLACE)
    assert sealed.startswith("kc1:")
    assert ciphers.own.open(sealed, PLACE).reveal() == text
    assert ciphers.own.unreadable(sealed) is None


@pytest.mark.parametrize("text", ["", "\0", "\0" * 500, " sk-1\n", "é" * 32_767 + "x", "x" * 65_535, "😀" * 16_383])
def test_empty_zero_and_longest_texts_open(ciphers: Ciphers, text: str) -> None:
    assert ciphers.own.open(ciphers.own.seal(Secret(text), PLACE), PLACE).reveal() == text


@pytest.mark.parametrize("text", ["x" * 65_536, "é" * 32_768])
def test_a_longer_text_is_refused(ciphers: Ciphers, text: str) -> None:
    with pytest.raises(InvalidInputError):
        ciphers.own.seal(Secret(text), PLACE)


def test_text_that_utf8_cannot_hold_is_refused_without_a_trace_of_it(ciphers: Ciphers) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        ciphers.own.seal(Secret("sk-canary\udcff"), PLACE)
    assert "canary" not in str(refusal.value)
    assert refusal.value.__context__ is None


def test_sealing_twice_gives_two_texts(ciphers: Ciphers) -> None:
    assert len({ciphers.own.seal(Secret("sk-1"), PLACE) for _ in range(100)}) == 100


@pytest.mark.parametrize("place", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_it_does_not_open_in_another_place(ciphers: Ciphers, place: SealContext) -> None:
    sealed = ciphers.own.seal(Secret("sk-1"), PLACE)
    with pytest.raises(UndecryptableError):
        ciphers.own.open(sealed, place)


def test_it_does_not_open_in_another_installation(ciphers: Ciphers) -> None:
    with pytest.raises(UndecryptableError):
        ciphers.foreign.open(ciphers.own.seal(Secret("sk-1"), PLACE), PLACE)


def test_an_unknown_data_key_is_named(ciphers: Ciphers) -> None:
    sealed = ciphers.newer.seal(Secret("sk-1"), PLACE)
    assert f"data key {ciphers.newer_kid}" in (ciphers.own.unreadable(sealed) or "")
    with pytest.raises(UndecryptableError, match=f"data key {ciphers.newer_kid}"):
        ciphers.own.open(sealed, PLACE)


@pytest.mark.parametrize("text", ["", "sk-1", "kc1:", "kc1:AAAA", "gAAAAABm"])
def test_what_is_not_sealed_is_told_by_its_form(ciphers: Ciphers, text: str) -> None:
    assert ciphers.own.unreadable(SealedSecret(text))
    with pytest.raises(UndecryptableError):
        ciphers.own.open(SealedSecret(text), PLACE)


def test_length_shows_in_steps_of_64_bytes_only(ciphers: Ciphers) -> None:
    lengths = [len(split(ciphers.own.seal(Secret("x" * size), PLACE)).ciphertext) - 16 for size in range(200)]
    assert lengths == [64 * -(-(2 + size) // 64) for size in range(200)]


SAMPLE = REAL.own.seal(Secret("sk-canary-0001"), PLACE)
RAW = b"".join([split(SAMPLE).header, split(SAMPLE).ciphertext])


def opens(sealed: SealedSecret) -> bool:
    try:
        REAL.own.open(sealed, PLACE)
    except UndecryptableError:
        return False
    return True


def test_every_value_of_every_byte_but_the_right_one_is_detected() -> None:
    assert opens(SAMPLE)
    changed = [
        join(RAW[:place] + bytes([RAW[place] ^ change]) + RAW[place + 1 :])
        for place in range(len(RAW))
        for change in (1, 2, 16, 128, 255)
    ]
    assert not any(map(opens, changed))


def test_every_changed_character_is_detected() -> None:
    alphabet = "Aa0-_/+= \n"
    changed = [SAMPLE[:at] + other + SAMPLE[at + 1 :] for at in range(len(SAMPLE)) for other in alphabet]
    assert not any(opens(SealedSecret(text)) for text in changed if text != SAMPLE)


def test_every_truncation_and_every_addition_is_detected() -> None:
    assert not any(opens(SealedSecret(SAMPLE[:end])) for end in range(len(SAMPLE)))
    assert not any(opens(join(RAW[:end])) for end in range(len(RAW)))
    assert not any(opens(join(RAW + bytes(more))) for more in (1, 16, 64, 128))


@settings(max_examples=200)
@given(st.binary(min_size=len(RAW) - 5, max_size=len(RAW) - 5))
def test_forged_bytes_of_the_right_shape_do_not_open(rest: bytes) -> None:
    assert not opens(join(RAW[:5] + rest))


def test_parts_of_two_sealed_secrets_do_not_mix() -> None:
    other = split(REAL.own.seal(Secret("sk-canary-0001"), PLACE))
    own = split(SAMPLE)
    assert not opens(join(own.header + other.ciphertext))
    assert not opens(join(own.header[:37] + other.commitment + own.ciphertext))


def test_the_text_is_nowhere_in_what_is_stored() -> None:
    assert b"canary" not in RAW


def test_the_order_of_destinations_is_no_difference() -> None:
    again = replace(PLACE, destinations=tuple(reversed(PLACE.destinations)))
    assert REAL.own.open(SAMPLE, again).reveal() == "sk-canary-0001"


DATA_KEY = secrets.token_bytes(32)
KNOWN = AesGcmCipher("install-1", {7: Key(DATA_KEY)}, {7: KeyState.PRIMARY})


def built_by_hand(
    suite: bytes = b"\x02", *, commitment: bytes | None = None, install_id: bytes = b"install-1"
) -> SealedSecret:
    """A sealed secret made step by step, to hold the stored format to what is written down of it."""
    salt = bytes(range(32))
    okm = HKDFExpand(SHA256(), 76, b"keycairn/1 record" + suite + b"\x00\x00\x00\x07" + salt).derive(DATA_KEY)
    header = suite + b"\x00\x00\x00\x07" + salt + (commitment or okm[44:])
    items: list[bytes | str] = [b"keycairn/1", header, install_id, PLACE.workspace, PLACE.table, PLACE.record]
    if suite == b"\x01":
        items += [PLACE.field, "https://api.example.com:443", "https://eu.example.com:443"]
    else:
        items += [PLACE.provider, PLACE.field, "base_url", "https://api.example.com:443"]
        items += ["endpoint_stt", "https://eu.example.com:443"]
    raw_items = [item if isinstance(item, bytes) else item.encode() for item in items]
    associated = b"".join(len(item).to_bytes(4, "big") + item for item in raw_items)
    frame = b"\x00\x04sk-1" + bytes(58)
    return join(header + AESGCM(okm[:32]).encrypt(okm[32:44], frame, associated))


@pytest.mark.parametrize("suite", [b"\x01", b"\x02"])
def test_the_format_is_the_one_written_down(suite: bytes) -> None:
    assert KNOWN.open(built_by_hand(suite), PLACE).reveal() == "sk-1"


FORMER: list[tuple[Cipher, SealedSecret]] = [
    (KNOWN, built_by_hand(b"\x01")),
    (FakeCipher(), FakeCipher(suite=FORMER_SUITE).seal(Secret("sk-1"), PLACE)),
]


@pytest.mark.parametrize(("cipher", "former"), FORMER, ids=["aesgcm", "fake"])
class TestTheFormerSuite:
    def test_opens_where_it_belongs_and_is_never_made_again(self, cipher: Cipher, former: SealedSecret) -> None:
        assert is_former(former)
        assert cipher.open(former, PLACE).reveal() == "sk-1"
        assert not is_former(cipher.seal(Secret("sk-1"), PLACE))

    @pytest.mark.parametrize("place", FORMERLY_ELSEWHERE.values(), ids=FORMERLY_ELSEWHERE.keys())
    def test_does_not_open_in_another_place(self, cipher: Cipher, former: SealedSecret, place: SealContext) -> None:
        with pytest.raises(UndecryptableError):
            cipher.open(former, place)

    def test_is_no_way_around_what_the_present_one_is_bound_to(self, cipher: Cipher, former: SealedSecret) -> None:
        """The suite is part of what is encrypted: bytes of one do not pass for the other."""
        relabelled = join(b"\x01" + split(cipher.seal(Secret("sk-1"), PLACE)).header[1:] + split(former).ciphertext)
        with pytest.raises(UndecryptableError):
            cipher.open(relabelled, PLACE)
        anew = split(cipher.seal(Secret("sk-1"), PLACE))
        with pytest.raises(UndecryptableError):
            cipher.open(join(b"\x01" + anew.header[1:] + anew.ciphertext), PLACE)


def test_a_ciphertext_that_does_not_commit_to_its_key_is_refused() -> None:
    with pytest.raises(UndecryptableError):
        KNOWN.open(built_by_hand(commitment=b"c" * 32), PLACE)


def test_the_same_data_key_in_another_installation_does_not_help() -> None:
    elsewhere = AesGcmCipher("install-2", {7: Key(DATA_KEY)}, {7: KeyState.PRIMARY})
    assert elsewhere.open(built_by_hand(install_id=b"install-2"), PLACE).reveal() == "sk-1"
    with pytest.raises(UndecryptableError):
        elsewhere.open(built_by_hand(), PLACE)
