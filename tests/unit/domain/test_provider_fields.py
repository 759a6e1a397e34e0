"""What a field may say of its values: choices, a pattern, several lines, former names, its place in a form."""

import pytest
from msgspec.structs import replace

from keycairn.domain.errors import InvalidInputError
from keycairn.domain.modality import Modality
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec
from keycairn.domain.provider_faults import spec_faults

KEY = FieldSpec(name="api_key", label="Key", secret=True, required=True, env=("ACME_KEY",), order=-1)
TIER = FieldSpec(name="tier", label="Tier", choices=("fast", "cheap"), default="cheap", help="How soon it answers.")
TEAM = FieldSpec(name="team", label="Team", pattern="t-[0-9]{4}", help="Such as t-0042.")
NOTE = FieldSpec(name="note", label="Note", multi_line=True)
PLACE = FieldSpec(name="place", label="Place", formerly=("zone", "site"))


def spec_of(*fields: FieldSpec) -> ProviderSpec:
    return ProviderSpec(name="acme", label="Acme", modalities=(Modality.LANGUAGE,), fields=fields)


SPEC = spec_of(TIER, TEAM, NOTE, PLACE, KEY)


def test_sound_declarations_have_no_fault() -> None:
    assert [*spec_faults(SPEC)] == []


def test_a_choice_is_taken_and_nothing_else_is() -> None:
    assert SPEC.check_setting("tier", " fast ") == "fast"
    with pytest.raises(InvalidInputError, match="The field tier is one of: fast or cheap") as refused:
        SPEC.check_setting("tier", "FAST")
    assert refused.value.fields == {"tier": "must be fast or cheap"}


@pytest.mark.parametrize("value", ["t-004", "t-00420", "xt-0042", "t-0042 t-0042", "t-\u0664\u0664\u0664\u0664"])
def test_all_of_a_value_has_to_match_the_pattern_and_the_help_says_how(value: str) -> None:
    assert SPEC.check_setting("team", "t-0042") == "t-0042"
    with pytest.raises(InvalidInputError, match="Such as t-0042"):
        SPEC.check_setting("team", value)


def test_several_lines_are_kept_where_they_are_declared_and_refused_elsewhere() -> None:
    assert SPEC.check_setting("note", "one\r\n\ttwo\n") == "one\n\ttwo"
    with pytest.raises(InvalidInputError, match="control character"):
        SPEC.check_setting("note", "one\x1b[2J")
    with pytest.raises(InvalidInputError, match="control character"):
        SPEC.check_setting("place", "one\ntwo")


@pytest.mark.parametrize(
    ("stored", "used"),
    [
        ({}, {}),
        ({"zone": "eu"}, {"place": "eu"}),
        ({"site": "us"}, {"place": "us"}),
        ({"site": "us", "zone": "eu"}, {"place": "eu"}),
        ({"zone": "eu", "place": "us"}, {"place": "us"}),
    ],
)
def test_a_setting_stored_under_a_former_name_is_the_present_one(stored: dict[str, str], used: dict[str, str]) -> None:
    assert SPEC.renamed(stored) == used
    assert SPEC.effective(stored) == {"tier": "cheap", **used}


def test_fields_are_asked_for_in_their_order_and_those_alike_as_declared() -> None:
    assert [field.name for field in SPEC.ordered_fields] == ["api_key", "tier", "team", "note", "place"]


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        (replace(KEY, choices=("a",)), "'api_key' has choices or a pattern"),
        (replace(KEY, pattern="a"), "'api_key' has choices or a pattern"),
        (FieldSpec(name="n", label="N", kind=FieldKind.INTEGER, choices=("1",)), "'n' has choices or a pattern"),
        (replace(TIER, choices=("cheap", " fast")), "'tier' has a choice that nobody can type"),
        (replace(TIER, choices=("cheap", "")), "'tier' has a choice that nobody can type"),
        (replace(TIER, default="slow"), "the default of the field 'tier'"),
        (replace(TEAM, pattern="("), "the pattern of the field 'team' is no regular expression"),
        (replace(TEAM, pattern="(", default="t"), "the pattern of the field 'team' is no regular expression"),
        (FieldSpec(name="u", label="U", kind=FieldKind.URL, multi_line=True), "'u' is of several lines"),
        (FieldSpec(name="h", label="H", names_host=True, multi_line=True), "'h' is of several lines"),
        (replace(KEY, formerly=("key",)), "'api_key' had another name"),
        (FieldSpec(name="u", label="U", kind=FieldKind.URL, formerly=("url",)), "'u' had another name"),
        (replace(PLACE, formerly=("note",)), "the former name 'note' of the field 'place' is taken"),
        (replace(PLACE, formerly=("zone", "zone")), "the former name 'zone' of the field 'place' is taken"),
    ],
)
def test_what_a_field_cannot_be_is_a_fault(field: FieldSpec, fault: str) -> None:
    others = [each for each in SPEC.fields if each.name != field.name]
    assert any(fault in told for told in spec_faults(spec_of(*others, field)))
