from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keycairn.domain.environment import read_account
from keycairn.domain.modality import Modality
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec
from keycairn.domain.secret import Secret


def spec(*fields: FieldSpec, **more: Any) -> ProviderSpec:
    return ProviderSpec(name="acme", label="Acme", modalities=(Modality.LANGUAGE,), fields=fields, **more)


def env(**variables: str) -> dict[str, Secret]:
    return {name: Secret(value) for name, value in variables.items()}


KEY = FieldSpec(name="api_key", label="Key", secret=True, required=True, env=("ACME_KEY", "ACME_TOKEN"))
URL = FieldSpec(name="base_url", label="URL", kind=FieldKind.URL, env=("ACME_URL",), default="http://localhost:1")


def test_the_first_variable_that_is_not_blank_wins() -> None:
    account = read_account(spec(KEY), env(ACME_KEY=" \t", ACME_TOKEN=" two\n"))
    assert account.variables == {"api_key": "ACME_TOKEN"}
    assert account.secrets["api_key"].reveal() == "two"
    assert account.configured


def test_an_optional_variable_alone_configures_nothing() -> None:
    account = read_account(spec(KEY, URL), env(ACME_URL="http://x"))
    assert not account.configured
    assert account.missing == (("ACME_KEY", "ACME_TOKEN"),)


def test_any_of_is_satisfied_by_one() -> None:
    key = FieldSpec(name="api_key", label="Key", secret=True, env=("ACME_KEY",))
    either = spec(key, URL, any_of=(("api_key", "base_url"),))
    assert read_account(either, env(ACME_KEY="k")).configured
    assert read_account(either, env(ACME_URL="http://x")).configured
    assert not read_account(either, {}).configured


def test_a_field_with_a_default_can_still_be_demanded_of_the_environment() -> None:
    keyless = spec(URL, env_requires=(("base_url",),))
    assert not read_account(keyless, {}).configured
    assert read_account(keyless, env(ACME_URL="http://x")).configured


@given(st.dictionaries(st.sampled_from(["ACME_KEY", "ACME_TOKEN", "ACME_URL", "OTHER"]), st.text(max_size=20)))
def test_nothing_it_returns_prints_a_secret(variables: dict[str, str]) -> None:
    account = read_account(spec(KEY), env(**variables))
    for value in account.secrets.values():
        assert repr(value) == "Secret('********')"
    assert account.configured == any(variables.get(n, "").strip() for n in KEY.env)


@pytest.mark.parametrize("blank", ["", " ", "\n", "\t \r\n"])
def test_blank_counts_as_unset(blank: str) -> None:
    assert not read_account(spec(KEY), env(ACME_KEY=blank)).variables
