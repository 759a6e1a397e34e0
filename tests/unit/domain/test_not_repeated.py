"""What is kept in the clear beside a secret does not repeat it."""

import pytest
from tests.spelled import SPELLINGS

from keycairn.domain.credential import check_not_repeated
from keycairn.domain.errors import SecretInPlainFieldError
from keycairn.domain.redaction import LONGEST
from keycairn.domain.secret import Secret

KEY = "sk-canary+4f9A7c2E/81b6D05x"


def refused(value: object, key: str = KEY) -> bool:
    try:
        check_not_repeated([Secret(key)], {"config": value})
    except SecretInPlainFieldError:
        return True
    return False


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_secret_is_found_in_every_spelling_wherever_it_stands(name: str) -> None:
    text = SPELLINGS[name](KEY)
    assert refused(text)
    assert refused({"a": [f"pre {text} post"]})
    assert refused({f"pre {text}": 1})
    assert refused(["x" * LONGEST, {"deep": (text,)}])


def test_a_secret_that_is_spread_over_several_values_is_found() -> None:
    assert refused([KEY[:9], KEY[9:]])
    assert refused({KEY[:9]: KEY[9:]})
    assert refused({"a": KEY[:14], "b": KEY[14:]}), "each is half of it"


def test_a_short_secret_is_looked_for_as_it_is() -> None:
    assert refused({"note": "the key is ollama"}, "ollama")
    assert not refused({"note": "a m a l l o"}, "ollama")


def test_what_repeats_nothing_is_kept() -> None:
    assert not refused({"a": ["sk-canary", 8192, None, True], "b": "ask Ada about the budget"})
    assert not refused({"text": "word " * LONGEST})


def test_configuration_of_endless_depth_is_refused() -> None:
    config: object = "x"
    for _ in range(100_000):
        config = [config]
    assert refused(config)
