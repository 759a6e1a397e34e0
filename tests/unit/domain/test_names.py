"""Patterns of models' names: what they stand for, and which covers which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.samples import a_credential, a_model

from keycairn.domain.errors import InvalidInputError
from keycairn.domain.ids import CredentialId
from keycairn.domain.names import check_patterns, covers, fits
from keycairn.domain.reach import Reach

pieces = st.text("ab/*", min_size=1, max_size=6)
names = st.text("ab/", min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("pattern", "name", "fit"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "GPT-4o", False),
        ("gpt-4o*", "gpt-4o", True),
        ("gpt-4o*", "gpt-4o-mini", True),
        ("*-mini", "gpt-4o-mini", True),
        ("gpt-*-mini", "gpt-mini", False),
        ("a*a", "a", False),
        ("a*b*c", "a-c-b", False),
        ("a*b*c", "abbbc", True),
        ("*", "openai/gpt-4o", True),
        ("o*", "openai/gpt-4o", False),
        ("o*", "o3", True),
        ("*gpt*", "openai/gpt-4o", False),
        ("**", "a/b", False),
        ("openai/*", "openai/gpt-4o", True),
        ("openai/*", "openai/ft:x/y", True),
        ("openai/*", "openai", False),
        ("openai/*", "openai-too/x", False),
        ("*/gpt-4o", "azure/gpt-4o", True),
        ("[a-z]*", "x", False),
        ("gpt?4o", "gpt-4o", False),
        (".*", "gpt", False),
        ("", "", True),
    ],
)
def test_a_pattern_stands_for_names(pattern: str, name: str, fit: bool) -> None:  # noqa: FBT001
    assert fits(pattern, name) is fit


@given(pieces, pieces, names)
def test_what_a_covered_pattern_stands_for_its_cover_stands_for_too(cover: str, covered: str, name: str) -> None:
    if covers([cover], covered) and fits(covered, name):
        assert fits(cover, name)


@given(pieces)
def test_every_pattern_covers_itself_and_is_covered_by_the_star(pattern: str) -> None:
    assert covers([pattern], pattern)
    assert covers(["*"], pattern)


def test_many_stars_take_no_time() -> None:
    assert not fits("a*" * 250 + "b", "a" * 500)


@pytest.mark.parametrize("pattern", ["", " ", " a", "a ", "a\tb", "default:chat", "default:*", "model:01", "x" * 513])
def test_what_stands_for_no_name_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInputError):
        check_patterns((pattern,), "models")


def test_a_list_of_names_has_an_end() -> None:
    check_patterns(("a",) * 100, "models")
    with pytest.raises(InvalidInputError):
        check_patterns(("a",) * 101, "models")


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (("gpt-4o",), True),
        (("openai/gpt-4o",), True),
        (("openai/*",), True),
        (("gpt*", "x"), True),
        (("azure/*",), False),
        (("prod-4o",), False),
        (("*",), True),
        (None, True),
    ],
)
def test_a_model_is_listed_by_the_name_it_is_called_by(models: tuple[str, ...] | None, expected: bool) -> None:  # noqa: FBT001
    model = a_model(name="gpt-4o", provider_model="prod-4o", credential=a_credential().id)
    assert Reach(models=models).serves(model) is expected


@pytest.mark.parametrize(
    ("mine", "theirs", "inside"),
    [
        (Reach(models=("gpt-4o",)), Reach(models=("gpt-4o*",)), True),
        (Reach(models=("gpt-4o*",)), Reach(models=("gpt-4o",)), False),
        (Reach(models=("gpt-4o", "o3")), Reach(models=("gpt-4o",)), False),
        (Reach(models=("openai/gpt*",)), Reach(models=("openai/*",)), True),
        (Reach(models=("gpt-4o",)), Reach(models=("openai/*",)), False),
        (Reach(models=("*",)), Reach(models=("openai/*", "azure/*")), False),
        (Reach(), Reach(models=("*",)), True),
        (Reach(), Reach(models=("a*",)), False),
        (Reach(models=("a",)), Reach(), True),
        (Reach(models=("a",), providers=("openai",)), Reach(models=("a",)), True),
        (Reach(models=("a",)), Reach(models=("a",), providers=("openai",)), False),
        (Reach(models=("a",)), Reach(credentials=(CredentialId("credential:x"),)), False),
    ],
)
def test_nobody_hands_out_more_models_than_he_may_call(mine: Reach, theirs: Reach, inside: bool) -> None:  # noqa: FBT001
    assert mine.within(theirs) is inside


@pytest.mark.parametrize(
    ("models", "all_of_it"), [(None, True), (("*",), True), (("openai/*",), True), (("o*",), False), (("gpt*",), False)]
)
def test_every_model_of_a_provider_is_listed_by_a_star_behind_it(
    models: tuple[str, ...] | None,
    all_of_it: bool,  # noqa: FBT001
) -> None:
    assert Reach(models=models).everything_of("openai") is all_of_it
    assert Reach(models=models).everything_of("azure") is (models in {None, ("*",)})
