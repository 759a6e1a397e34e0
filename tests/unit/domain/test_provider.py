import pytest

from keycairn.domain.credential import destinations
from keycairn.domain.errors import InvalidInputError, MissingFieldError, UndeclaredFieldError, UrlRefusedError
from keycairn.domain.modality import Modality
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec, canonical_name, spec_faults

SPEC = ProviderSpec(
    name="acme",
    label="Acme",
    modalities=(Modality.LANGUAGE,),
    fields=(
        FieldSpec(name="api_key", label="Key", secret=True, required=True, env=("ACME_KEY",)),
        FieldSpec(name="endpoint", label="Endpoint", kind=FieldKind.URL),
        FieldSpec(name="endpoint_llm", label="Endpoint for language", kind=FieldKind.URL),
        FieldSpec(name="api_version", label="Version", default="2024-10-21"),
        FieldSpec(name="num_ctx", label="Context", kind=FieldKind.INTEGER),
    ),
    any_of=(("endpoint", "endpoint_llm"),),
)


@pytest.mark.parametrize("name", ["openai_compatible", "OpenAI-Compatible", " openai-compatible "])
def test_hyphen_and_underscore_and_case_are_alike(name: str) -> None:
    assert canonical_name(name) == "openai_compatible"


def test_every_missing_group_is_named_at_once() -> None:
    with pytest.raises(MissingFieldError, match="api_key, endpoint or endpoint_llm"):
        SPEC.check_complete(set())
    SPEC.check_complete({"api_key", "endpoint_llm"})


@pytest.mark.parametrize(("given", "kept"), [("12", 12), (" 7 ", 7), (1, 1)])
def test_a_number_may_come_as_text(given: str | int, kept: int) -> None:
    assert SPEC.check_setting("num_ctx", given) == kept


@pytest.mark.parametrize("value", ["", "x", "-1", "0", 0, -1, True, 2**31, "٣", "1e3"])
def test_a_number_is_a_positive_whole_one(value: str | int) -> None:
    with pytest.raises(InvalidInputError):
        SPEC.check_setting("num_ctx", value)


@pytest.mark.parametrize("name", ["api_key", "region", "sk-misplaced-key"])
def test_a_secret_or_undeclared_field_is_no_setting_and_is_not_echoed(name: str) -> None:
    with pytest.raises(UndeclaredFieldError) as refused:
        SPEC.check_setting(name, "value")
    assert "sk-misplaced" not in str(refused.value)


@pytest.mark.parametrize("value", ["a\nb", "a\x00", "\x7f"])
def test_text_holds_no_control_character(value: str) -> None:
    with pytest.raises(InvalidInputError):
        SPEC.check_setting("api_version", value)


def test_a_url_is_parsed_strictly() -> None:
    with pytest.raises(UrlRefusedError) as refused:
        SPEC.check_setting("endpoint", "https://user:pw@one.example")
    assert "pw" not in str(refused.value)


def test_defaults_fill_in_at_use_and_never_hide_a_setting() -> None:
    assert SPEC.effective({}) == {"api_version": "2024-10-21"}
    assert SPEC.effective({"api_version": "x", "num_ctx": 1}) == {"api_version": "x", "num_ctx": 1}


def test_a_secret_goes_to_the_origins_of_all_urls_or_to_the_provider_itself() -> None:
    assert destinations(SPEC, {}) == ("provider:acme",)
    one, two = "https://b.example/x", "https://A.example:443/y"
    assert destinations(SPEC, {"endpoint": one, "endpoint_llm": two}) == (
        "https://a.example:443",
        "https://b.example:443",
    )
    assert destinations(SPEC, {"endpoint": one, "endpoint_llm": one + "/deeper"}) == ("https://b.example:443",)


def test_a_sound_spec_has_no_fault_and_every_fault_is_a_sentence() -> None:
    assert list(spec_faults(SPEC)) == []
    twice = ProviderSpec(
        name="Acme!",
        label="",
        modalities=(),
        fields=(
            FieldSpec(name="key", label="", secret=True, default="x"),
            FieldSpec(name="key", label="", secret=True),
            FieldSpec(name="A b", label=""),
        ),
        any_of=(("nowhere",),),
    )
    assert len(list(spec_faults(twice))) == 8
