"""Everything that decides where an account's calls go is part of its target, and nothing else is."""

import pytest
from msgspec.structs import replace
from tests.fakes import NOON

from keycairn.domain.credential import Credential
from keycairn.domain.field import FieldKind, FieldSpec
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_rotation.binding import target
from keycairn.domain.options import Options
from keycairn.domain.provider import ProviderSpec
from keycairn.plugins.registry import PluginRegistry

SPECS = [provider.spec for provider in PluginRegistry(external=False).all()]
PLACES = [(spec, place) for spec in SPECS for place in spec.places()]


def credential(spec: ProviderSpec, **settings: str) -> Credential:
    return Credential(
        id=CredentialId("credential:01J9ZK3V6Q8M2T4B7N5R0XWYCE"),
        provider=spec.name,
        name="x",
        modalities=spec.modalities,
        settings=settings,
        created=NOON,
        updated=NOON,
    )


def value(field: FieldSpec, number: int) -> str:
    return f"https://host-{number}.example/v1" if field.kind is FieldKind.URL else f"place-{number}"


@pytest.mark.parametrize(("spec", "field"), PLACES, ids=[f"{spec.name}.{field.name}" for spec, field in PLACES])
def test_each_setting_that_says_where_is_part_of_it(spec: ProviderSpec, field: FieldSpec) -> None:
    unset, one, two = credential(spec), *(credential(spec, **{field.name: value(field, number)}) for number in (1, 2))
    assert len({target(spec, each) for each in (unset, one, two)}) == 3
    if field.default is not None:
        assert target(spec, credential(spec, **{field.name: str(field.default)})) == target(spec, unset)


def test_so_are_authorities_and_headers_that_steer_and_other_options_are_not() -> None:
    spec = next(one for one in SPECS if one.name == "openai")
    plain = credential(spec)
    for options, same in (
        (Options(ca_certificates="-----BEGIN CERTIFICATE-----"), False),
        (Options(headers={"x-target-url": "a"}), False),
        (Options(headers={"x-anything": "https://proxy.example"}), False),
        (Options(headers={"anthropic-beta": "a"}), True),
        (Options(headers={"http-referer": "https://app.example"}), True),
        (Options(any_model=True, total_timeout=3.0, closed="its key leaked"), True),
    ):
        assert (target(spec, replace(plain, options=options)) == target(spec, plain)) is same, options
