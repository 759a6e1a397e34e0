"""Opening, refusing and rotating the keyset."""

import pickle
import secrets
import traceback
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator

import msgspec
import pytest
from msgspec.structs import replace
from tests.fakes import NOON

from keycairn.adapters.aesgcm import AesGcmKeysets, Argon2Cost
from keycairn.adapters.aesgcm.key import Key
from keycairn.adapters.aesgcm.keyset import AesGcmKeyset
from keycairn.adapters.aesgcm.soundness import MOST_SLOTS
from keycairn.domain.errors import DamagedKeysetError, InvalidInputError, UndecryptableError, WrongRootKeyError
from keycairn.domain.keyset import Keyset, KeySlot, KeyState
from keycairn.domain.rootkey import RootKey, RootKeyForm, parse_root_key
from keycairn.domain.sealed import SealContext, SealedSecret, split
from keycairn.domain.secret import Secret

PLACE = SealContext(
    workspace="default", table="credential", record="credential:1", provider="p", field="api_key", destinations=()
)
OPENER = AesGcmKeysets(Argon2Cost(iterations=1, lanes=1, memory_kib=64))


def raw_key() -> RootKey:
    return RootKey(RootKeyForm.RAW, Secret(b64encode(secrets.token_bytes(32)).decode()))


RAW, NEW, STRANGER = raw_key(), raw_key(), raw_key()
WORDS = parse_root_key(Secret("passphrase:lantern orbit velvet crumbs"))
OTHER_WORDS = parse_root_key(Secret("passphrase:lantern orbit velvet crumb"))
FORMS = pytest.mark.parametrize("root_key", [RAW, WORDS], ids=["base64", "passphrase"])


def opened(root_key: RootKey = RAW) -> AesGcmKeyset:
    return OPENER.open(OPENER.create(root_key, NOON), root_key)


@FORMS
def test_a_keyset_opens_again_with_its_root_key(root_key: RootKey) -> None:
    record = OPENER.create(root_key, NOON)
    sealed = OPENER.open(record, root_key).cipher.seal(Secret("sk-1"), PLACE)
    stored = msgspec.json.decode(msgspec.json.encode(record), type=Keyset)
    again = OPENER.open(stored, root_key)
    assert again.cipher.open(sealed, PLACE).reveal() == "sk-1"
    assert (again.install_id, again.record) == (record.install_id, record)


def test_a_fresh_keyset_has_one_slot_and_one_primary_key() -> None:
    record = OPENER.create(RAW, NOON)
    assert (record.generation, record.created, record.keys) == (1, NOON, {1: KeyState.PRIMARY})
    assert [(slot.slot_id, slot.kdf) for slot in record.slots] == [("slot-1", "hkdf-sha256")]
    assert record.install_id != OPENER.create(RAW, NOON).install_id


def test_passphrases_are_stretched_as_promised() -> None:
    opener = AesGcmKeysets()
    record = opener.create(WORDS, NOON)
    (slot,) = record.slots
    assert (slot.kdf, slot.params) == ("argon2id", {"iterations": 3, "lanes": 4, "memory_kib": 65_536})
    assert len(b64decode(slot.salt)) == 16
    assert opener.open(record, WORDS).install_id == record.install_id


@pytest.mark.parametrize(("root_key", "wrong"), [(RAW, STRANGER), (RAW, WORDS), (WORDS, OTHER_WORDS), (WORDS, RAW)])
def test_another_root_key_is_refused_and_the_slots_are_named(root_key: RootKey, wrong: RootKey) -> None:
    record = opened(root_key).with_slot(NEW).record
    with pytest.raises(WrongRootKeyError) as refusal:
        OPENER.open(record, wrong)
    assert not isinstance(refusal.value, DamagedKeysetError)
    assert "slot-1" in str(refusal.value)
    assert "slot-2" in str(refusal.value)
    assert "KEYCAIRN_ROOT_KEY" in str(refusal.value)


def flipped(text: str) -> Iterator[str]:
    raw = b64decode(text)
    for place in range(len(raw)):
        yield b64encode(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]).decode()


def truncated(text: str) -> list[str]:
    raw = b64decode(text)
    return [b64encode(raw[:end]).decode() for end in {0, 1, 12, len(raw) // 2, len(raw) - 1}]


def changed_slots(slot: KeySlot) -> Iterator[KeySlot]:
    yield from (replace(slot, wrapped=text) for text in flipped(slot.wrapped))
    yield from (replace(slot, wrapped=text) for text in (*truncated(slot.wrapped), "no base64", slot.wrapped + "\n"))
    yield from (replace(slot, salt=text) for text in flipped(slot.salt))
    yield from (replace(slot, salt=text) for text in (*truncated(slot.salt), "é", slot.salt + "\n"))
    yield replace(slot, slot_id="slot-9")
    yield from (replace(slot, kdf=kdf) for kdf in ("argon2id", "hkdf-sha256", "none") if kdf != slot.kdf)
    yield replace(slot, params={**slot.params, "more": 1})
    for name, value in slot.params.items():
        yield from (replace(slot, params={**slot.params, name: other}) for other in (value + 1, 0, -1, 2**40))
        yield replace(slot, params={other: its for other, its in slot.params.items() if other != name})


def changed(record: Keyset) -> Iterator[Keyset]:
    for index, slot in enumerate(record.slots):
        before, after = record.slots[:index], record.slots[index + 1 :]
        yield from (replace(record, slots=(*before, other, *after)) for other in changed_slots(slot))
        yield replace(record, slots=(*before, *after))
        yield replace(record, slots=(*record.slots, slot))
    yield replace(record, slots=tuple(reversed(record.slots)))
    yield from (replace(record, wrapped_keys=text) for text in flipped(record.wrapped_keys))
    yield from (replace(record, wrapped_keys=text) for text in (*truncated(record.wrapped_keys), "", "é", "no base64"))
    yield replace(record, install_id="0" * 32)
    yield from (replace(record, generation=record.generation + step) for step in (-1, 1))
    yield replace(record, keys={1: KeyState.DECRYPT_ONLY, 2: KeyState.PRIMARY})
    yield replace(record, keys={1: KeyState.PRIMARY, 2: KeyState.RETIRED})
    yield replace(record, keys={1: KeyState.PRIMARY})
    yield replace(record, keys={**record.keys, 3: KeyState.DECRYPT_ONLY})


@FORMS
def test_any_change_of_the_record_is_refused(root_key: RootKey) -> None:
    record = opened(root_key).with_slot(NEW).with_new_key().record
    OPENER.open(record, root_key)
    for other in changed(record):
        with pytest.raises(WrongRootKeyError):
            OPENER.open(other, root_key)


def test_where_the_root_key_is_right_and_the_record_is_not_the_error_says_so() -> None:
    record = OPENER.create(RAW, NOON)
    with pytest.raises(DamagedKeysetError, match="root key is right"):
        OPENER.open(replace(record, generation=2), RAW)


def test_a_second_spelling_of_the_wrapped_keys_is_refused() -> None:
    record = next(made for made in (nth.record for nth in generations()) if made.wrapped_keys.endswith("="))
    body = record.wrapped_keys.rstrip("=")
    padding = record.wrapped_keys[len(body) :]
    twin = body[:-1] + chr(ord(body[-1]) + 1) + padding
    assert b64decode(twin) == b64decode(record.wrapped_keys)
    with pytest.raises(DamagedKeysetError):
        OPENER.open(replace(record, wrapped_keys=twin), RAW)


def generations() -> Iterator[AesGcmKeyset]:
    keyset = opened()
    for _ in range(3):
        yield keyset
        keyset = keyset.with_new_key()


def test_parts_of_two_generations_do_not_mix() -> None:
    first = opened().with_slot(NEW)
    second = first.with_new_key()
    for mixed in (
        replace(second.record, wrapped_keys=first.record.wrapped_keys),
        replace(first.record, wrapped_keys=second.record.wrapped_keys),
    ):
        with pytest.raises(DamagedKeysetError):
            OPENER.open(mixed, RAW)


def test_a_tampered_slot_cannot_ask_for_all_memory() -> None:
    record = OPENER.create(WORDS, NOON)
    greedy = replace(record.slots[0], params={"iterations": 1, "lanes": 1, "memory_kib": 2**31})
    with pytest.raises(WrongRootKeyError):
        OPENER.open(replace(record, slots=(greedy,)), WORDS)


def test_a_data_key_rotates_step_by_step_and_old_secrets_open_until_it_is_retired() -> None:
    first = opened()
    old = first.cipher.seal(Secret("sk-old"), PLACE)

    learnt = first.with_new_key()
    assert learnt.record.keys == {1: KeyState.PRIMARY, 2: KeyState.DECRYPT_ONLY}
    assert split(learnt.cipher.seal(Secret("sk"), PLACE)).kid == 1

    switched = learnt.with_key_state(2, KeyState.PRIMARY)
    assert switched.record.keys == {1: KeyState.DECRYPT_ONLY, 2: KeyState.PRIMARY}
    new = switched.cipher.seal(Secret("sk-new"), PLACE)
    assert split(new).kid == 2
    assert switched.cipher.open(old, PLACE).reveal() == "sk-old"
    assert learnt.cipher.open(new, PLACE).reveal() == "sk-new"

    done = switched.with_key_state(1, KeyState.RETIRED)
    again = OPENER.open(done.record, RAW)
    assert again.record.generation == first.record.generation + 3
    assert again.cipher.open(new, PLACE).reveal() == "sk-new"
    assert (again.cipher.unreadable(old), again.cipher.outdated(old), again.cipher.outdated(new)) == (None, True, False)
    with pytest.raises(UndecryptableError, match="1 is retired"):
        again.cipher.open(old, PLACE)
    assert again.cipher.open(old, PLACE, retired=True).reveal() == "sk-old"

    back = again.with_key_state(1, KeyState.DECRYPT_ONLY)
    assert back.cipher.open(old, PLACE).reveal() == "sk-old"


def test_a_retired_key_that_is_forgotten_opens_nothing_more_and_its_number_stays_used() -> None:
    first = opened()
    old = first.cipher.seal(Secret("sk-old"), PLACE)
    retired = first.with_new_key().with_key_state(2, KeyState.PRIMARY).with_key_state(1, KeyState.RETIRED)

    gone = OPENER.open(retired.without_key(1).record, RAW)

    assert gone.record.keys == {2: KeyState.PRIMARY}
    assert "1 is not in the keyset" in (gone.cipher.unreadable(old) or "")
    with pytest.raises(UndecryptableError, match="1 is not in the keyset"):
        gone.cipher.open(old, PLACE, retired=True)
    assert list(gone.with_new_key().record.keys) == [2, 3]


def test_only_a_retired_key_that_is_not_the_youngest_can_be_forgotten() -> None:
    keyset = opened().with_new_key()
    for kid in (1, 2, 7):
        with pytest.raises(InvalidInputError):
            keyset.without_key(kid)
    with pytest.raises(InvalidInputError, match="youngest"):
        keyset.with_key_state(2, KeyState.RETIRED).without_key(2)


def test_a_later_generation_is_followed_without_the_root_key() -> None:
    first = opened()
    later = first.with_new_key().with_key_state(2, KeyState.PRIMARY).with_slot(NEW)
    new = later.cipher.seal(Secret("sk-new"), PLACE)

    followed = first.following(later.record)

    assert followed.record == later.record
    assert followed.slot == first.slot
    assert followed.cipher.open(new, PLACE).reveal() == "sk-new"
    assert OPENER.open(followed.without_slot(later.record.slots[-1].slot_id).record, RAW).slot == first.slot


def test_a_renewed_keyset_key_is_followed_through_the_own_slot() -> None:
    first = opened().with_slot(NEW)
    mine = OPENER.open(first.record, NEW)
    alone = mine.without_slot(first.record.slots[0].slot_id)

    assert mine.following(alone.record).record == alone.record
    with pytest.raises(WrongRootKeyError):
        OPENER.open(first.record, RAW).following(alone.record)


@pytest.mark.parametrize("change", ["another installation", "altered", "malformed"])
def test_what_is_no_later_generation_of_the_same_keyset_is_not_followed(change: str) -> None:
    first = opened()
    later = first.with_new_key().record
    record = {
        "another installation": OPENER.open(OPENER.create(RAW, NOON), RAW).with_new_key().record,
        "altered": replace(later, keys={1: KeyState.PRIMARY, 2: KeyState.RETIRED}),
        "malformed": replace(later, slots=()),
    }[change]
    with pytest.raises(WrongRootKeyError):
        first.following(record)


def test_a_kid_is_never_used_again() -> None:
    keyset = opened().with_new_key().with_key_state(2, KeyState.RETIRED).with_new_key()
    assert list(keyset.record.keys) == [1, 2, 3]


def test_a_keyset_always_keeps_a_primary_key() -> None:
    keyset = opened()
    for state in (KeyState.RETIRED, KeyState.DECRYPT_ONLY):
        with pytest.raises(InvalidInputError):
            keyset.with_key_state(1, state)
    with pytest.raises(InvalidInputError):
        keyset.with_key_state(7, KeyState.PRIMARY)
    assert keyset.with_key_state(1, KeyState.PRIMARY).record.keys == {1: KeyState.PRIMARY}


@FORMS
def test_the_root_key_rotates_without_touching_a_sealed_secret(root_key: RootKey) -> None:
    first = opened(root_key)
    sealed = first.cipher.seal(Secret("sk-1"), PLACE)
    both = first.with_slot(NEW)
    assert OPENER.open(both.record, root_key).cipher.open(sealed, PLACE).reveal() == "sk-1"

    verified = OPENER.open(both.record, NEW)
    only = verified.without_slot("slot-1")
    assert [slot.slot_id for slot in only.record.slots] == ["slot-2"]
    assert OPENER.open(only.record, NEW).cipher.open(sealed, PLACE).reveal() == "sk-1"
    with pytest.raises(WrongRootKeyError):
        OPENER.open(only.record, root_key)


def test_a_dropped_slot_that_is_put_back_opens_nothing() -> None:
    both = opened().with_slot(NEW)
    only = OPENER.open(both.record, NEW).without_slot("slot-1").record
    revived = replace(only, slots=(both.record.slots[0], *only.slots))
    with pytest.raises(WrongRootKeyError):
        OPENER.open(revived, RAW)


def test_dropping_down_to_one_slot_renews_the_keyset_key() -> None:
    both = opened().with_slot(NEW)
    only = OPENER.open(both.record, NEW).without_slot("slot-1")
    former, renewed = both._opening.keyset_key, only._opening.keyset_key
    assert former.exported() != renewed.exported()


def test_with_more_slots_left_each_of_them_still_opens() -> None:
    three = opened().with_slot(WORDS).with_slot(NEW)
    two = OPENER.open(three.record, NEW).without_slot("slot-1")
    for root_key in (WORDS, NEW):
        assert OPENER.open(two.record, root_key).record == two.record
    with pytest.raises(WrongRootKeyError):
        OPENER.open(two.record, RAW)


def test_the_slot_it_was_opened_with_stays() -> None:
    both = opened().with_slot(NEW)
    for slot_id in ("slot-1", "slot-7"):
        with pytest.raises(InvalidInputError):
            both.without_slot(slot_id)


def test_there_is_a_limit_to_slots() -> None:
    keyset = opened()
    for _ in range(MOST_SLOTS - 1):
        keyset = keyset.with_slot(NEW)
    with pytest.raises(InvalidInputError):
        keyset.with_slot(NEW)


def test_macs_differ_by_purpose_and_installation_and_outlive_rotation() -> None:
    keyset = opened()
    of_each = (keyset.token_mac, keyset.audit_mac, keyset.session_mac, keyset.fingerprint_mac)
    macs = {mac(b"x") for mac in of_each} | {keyset.token_mac(b"y")}
    assert len(macs | {opened().token_mac(b"x")}) == 6
    assert all(len(bytes.fromhex(mac)) == 32 for mac in macs)
    rotated = keyset.with_new_key().with_key_state(2, KeyState.PRIMARY).with_slot(NEW)
    later = OPENER.open(rotated.record, NEW).without_slot("slot-1")
    assert later.token_mac(b"x") == keyset.token_mac(b"x")


def test_a_cursor_opens_for_its_place_in_its_installation_and_outlives_rotation() -> None:
    keyset = opened()
    sealed = keyset.seal_cursor(b"credential:x", b"list")
    assert b"credential" not in sealed
    assert sealed != keyset.seal_cursor(b"credential:x", b"list")
    assert keyset.open_cursor(sealed, b"list") == b"credential:x"
    assert keyset.with_new_key().with_key_state(2, KeyState.PRIMARY).open_cursor(sealed, b"list") == b"credential:x"
    assert keyset.open_cursor(sealed, b"other") is None
    assert opened().open_cursor(sealed, b"list") is None
    for raw in (
        b"",
        sealed[:-1],
        sealed + b"x",
        *(sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :] for n in (0, 40, 70)),
    ):
        assert keyset.open_cursor(raw, b"list") is None


def spellings(key: Key) -> list[str]:
    raw = key.exported()
    return [repr(raw)[2:-1], raw.hex(), b64encode(raw).decode(), urlsafe_b64encode(raw).decode(), str(list(raw))]


def forbidden(keyset: AesGcmKeyset) -> list[str]:
    contents, opening = keyset._contents, keyset._opening
    keys = [contents.macs, *contents.keys.values(), opening.keyset_key, opening.slot_key]
    return [*(text for key in keys for text in spellings(key)), RAW.material.reveal()]


def test_no_repr_shows_a_key() -> None:
    keyset = opened()
    things = (keyset, keyset.cipher, keyset.record, keyset._contents, keyset._opening, keyset._contents.keys, RAW)
    for shown in map(repr, things):
        assert not any(text in shown for text in forbidden(keyset))


def test_no_key_can_be_pickled() -> None:
    keyset = opened()
    for thing in (Key.fresh(), keyset, keyset.cipher):
        with pytest.raises(TypeError):
            pickle.dumps(thing)


def behind(error: BaseException | None) -> Iterator[BaseException]:
    """The error and everything it hides, suppressed or not."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def shown(failures: list[BaseException]) -> str:
    """All that a traceback with the locals of every frame tells."""
    errors = (error for failure in failures for error in behind(failure))
    pages = (traceback.TracebackException.from_exception(error, capture_locals=True) for error in errors)
    return "".join("".join(page.format()) for page in pages)


def leaks(failures: list[BaseException], keyset: AesGcmKeyset) -> list[str]:
    return [text for text in [*forbidden(keyset), SHORT_TEXT.reveal(), TEXT.reveal()[:100]] if text in shown(failures)]


TEXT = Secret("sk-canary" * 8_000)
SHORT_TEXT = Secret("sk-canary" * 10)
UNSPEAKABLE = Secret("sk-canary" * 10 + "\udcff")


def test_a_traceback_with_locals_shows_neither_key_nor_text() -> None:
    keyset = opened()
    sealed = keyset.cipher.seal(SHORT_TEXT, PLACE)
    damaged = SealedSecret(sealed[:-4] + ("AAAA" if sealed[-4:] != "AAAA" else "BBBB"))
    failures: list[BaseException] = []
    for use in (
        lambda: keyset.cipher.open(sealed, replace(PLACE, field="other")),
        lambda: keyset.cipher.open(damaged, PLACE),
        lambda: keyset.cipher.seal(TEXT, PLACE),
        lambda: keyset.cipher.seal(UNSPEAKABLE, PLACE),
        lambda: OPENER.open(keyset.record, STRANGER),
        lambda: OPENER.open(replace(keyset.record, generation=9), RAW),
    ):
        with pytest.raises((UndecryptableError, WrongRootKeyError, InvalidInputError)) as failure:
            use()
        failures.append(failure.value)
    assert leaks(failures, keyset) == []
