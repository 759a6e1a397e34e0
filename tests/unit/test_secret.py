import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from keycairn.domain.secret import MASK, Secret

CANARY = "sk-canary-0001"


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        lambda secret: f"{secret} {secret!r} {secret!s} {secret:>20}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031  # loggers format this way
        lambda secret: repr([secret, {"key": secret}]),
        lambda secret: json.dumps({"key": secret}, default=str),
    ],
)
def test_every_way_of_printing_shows_the_mask(shown: Callable[[Secret], str]) -> None:
    text = shown(Secret(CANARY))
    assert CANARY not in text
    assert MASK in text


@pytest.mark.parametrize(
    "take", [pickle.dumps, copy.copy, copy.deepcopy, hash, msgspec.json.encode, msgspec.to_builtins]
)
def test_it_refuses_to_be_pickled_copied_hashed_and_encoded(take: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError) as refusal:
        take(Secret(CANARY))
    assert CANARY not in str(refusal.value)


def test_reveal_gives_the_text() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_only_the_same_text_is_equal() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert Secret(CANARY) != Secret(CANARY + " ")
    assert Secret(CANARY) != CANARY


def test_text_that_utf8_cannot_hold_is_compared_all_the_same() -> None:
    assert Secret("\udcff") == Secret("\udcff")
    assert Secret("\udcff") != Secret("\udcfe")


def test_only_the_empty_secret_is_false() -> None:
    assert not Secret("")
    assert Secret(" ")


def test_a_forgotten_secret_is_gone_for_all_who_hold_it() -> None:
    secret = Secret("sk-canary-4f9A7c2E81b6D05x")
    held = [secret]
    secret.forget()
    assert (held[0].reveal(), bool(secret), repr(secret)) == ("", False, "Secret('********')")
