from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import NOON, FakeIds

from keycairn.domain.ids import TokenId
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope, Token, carries, token_key, token_text

KEY = FakeIds.ulid(7)
TEXT = token_text(KEY, bytes(range(32))).reveal()


@given(st.binary(min_size=32, max_size=32))
def test_a_token_gives_its_id_back(random: bytes) -> None:
    text = token_text(KEY, random)
    assert text.reveal().startswith(f"kc_{KEY}_")
    assert token_key(text) == TokenId(f"token:{KEY}")


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_different_random_bytes_give_different_tokens_of_one_length(one: bytes, other: bytes) -> None:
    texts = token_text(KEY, one).reveal(), token_text(KEY, other).reveal()
    assert (texts[0] == texts[1]) == (one == other)
    assert len(texts[0]) == len(texts[1]) == len(TEXT)


@given(st.integers(0, len(TEXT) - 1), st.sampled_from("0123456789ABCXYZabcxyz_-é "))
def test_one_mistyped_character_is_noticed(place: int, character: str) -> None:
    mistyped = TEXT[:place] + character + TEXT[place + 1 :]
    assert (token_key(Secret(mistyped)) is None) == (mistyped != TEXT)


@pytest.mark.parametrize("text", ["", "kc_", TEXT[:-1], TEXT + "0", TEXT + "\n", " " + TEXT, TEXT.lower(), "\udcff"])
def test_anything_else_is_no_token(text: str) -> None:
    assert token_key(Secret(text)) is None


def test_a_token_works_until_it_expires_or_is_revoked() -> None:
    token = Token(id=TokenId(f"token:{KEY}"), name="ci", scopes=(Scope.INVOKE,), mac="00", created=NOON)
    expiring = Token(id=token.id, name="ci", scopes=(), mac="00", created=NOON, expires=NOON + timedelta(hours=1))
    revoked = Token(id=token.id, name="ci", scopes=(), mac="00", created=NOON, revoked=NOON)
    assert token.valid_at(NOON)
    assert expiring.valid_at(NOON + timedelta(minutes=59))
    assert not expiring.valid_at(NOON + timedelta(hours=1))
    assert not revoked.valid_at(NOON)


@pytest.mark.parametrize("needed", list(Scope))
def test_admin_carries_every_scope_and_the_others_only_themselves(needed: Scope) -> None:
    assert carries((Scope.ADMIN,), needed)
    assert carries((needed,), needed)
    assert not carries((), needed)
    assert not carries(tuple(set(Scope) - {needed, Scope.ADMIN}), needed)
