import pytest
from msgspec.structs import replace
from tests.fakes import NOON

from keycairn.domain.credential import Credential, account, destinations
from keycairn.domain.errors import InvalidInputError, MissingFieldError, UndeclaredFieldError, UrlRefusedError
from keycairn.domain.ids import CredentialId
from keycairn.domain.modality import Modality
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec, canonical_name
from keycairn.domain.provider_faults import spec_faults

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


def test_a_secret_goes_to_the_origin_of_each_url_setting_that_is_set() -> None:
    one, two = "https://b.example/x", "https://A.example:443/y"
    a, b = "https://a.example:443", "https://b.example:443"
    assert destinations(SPEC, {"api_version": "2"}) == ()
    assert destinations(SPEC, {"endpoint_llm": two, "endpoint": one}) == (("endpoint", b), ("endpoint_llm", a))
    assert destinations(SPEC, {"endpoint": two, "endpoint_llm": one}) == (("endpoint", a), ("endpoint_llm", b))
    assert destinations(SPEC, {"endpoint": one, "endpoint_llm": one + "/deeper"}) == (
        ("endpoint", b),
        ("endpoint_llm", b),
    )


def test_a_secret_goes_to_the_settings_it_declares_and_a_word_in_a_hosts_name_counts_as_its_place() -> None:
    key, region = SPEC.fields[0], FieldSpec(name="region", label="Region", names_host=True)
    spec = replace(SPEC, fields=(replace(key, sent_to=("endpoint", "region")), *SPEC.fields[1:], region))
    settings = {"endpoint": "https://b.example", "endpoint_llm": "https://c.example", "region": "eu"}
    assert list(spec_faults(spec)) == []
    assert destinations(spec, settings, "api_key") == (("endpoint", "https://b.example:443"), ("region", "eu"))
    assert [name for name, _ in destinations(spec, settings)] == ["endpoint", "endpoint_llm", "region"]
    for value in ("eu.evil", "eu/", "eu@evil", "-eu", "eu-", "", "e" * 64, "é"):
        with pytest.raises(InvalidInputError):
            spec.check_setting("region", value)


def test_a_url_that_was_stored_under_laxer_rules_still_has_an_origin_but_serves_no_call() -> None:
    settings = {"endpoint": "https://b.example//169.254.169.254/"}
    assert destinations(SPEC, settings) == (("endpoint", "https://b.example:443"),)
    stored = Credential(
        id=CredentialId("credential:1"),
        provider="acme",
        name="A",
        modalities=SPEC.modalities,
        settings=settings,
        created=NOON,
        updated=NOON,
    )
    with pytest.raises(UrlRefusedError, match="empty segment"):
        account(SPEC, stored, {})


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        (FieldSpec(name="k", label="", secret=True, env=("K",), sent_to=("nowhere",)), "sent to 'nowhere'"),
        (FieldSpec(name="k", label="", secret=True, env=("K",), sent_to=("api_version",)), "sent to 'api_version'"),
        (FieldSpec(name="k", label="", secret=True, env=("K",), sent_to=("api_key",)), "sent to 'api_key'"),
        (FieldSpec(name="k", label="", sent_to=("endpoint",)), "which only a secret is"),
        (FieldSpec(name="k", label="", secret=True, env=("K",), names_host=True), "which only a text setting can"),
        (FieldSpec(name="k", label="", kind=FieldKind.URL, names_host=True), "which only a text setting can"),
    ],
)
def test_a_declaration_of_places_that_cannot_be_is_a_fault(field: FieldSpec, fault: str) -> None:
    (told,) = spec_faults(replace(SPEC, fields=(*SPEC.fields, field)))
    assert fault in told


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
