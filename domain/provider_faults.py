"""What can be wrong with a provider's declaration."""

import re
from collections.abc import Collection, Iterator

from keycairn.domain.env_variable import env_faults
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.key_management import management_faults
from keycairn.domain.pass_through import passing_faults
from keycairn.domain.provider import FieldKind, FieldSpec, ProviderSpec, is_provider_name


def spec_faults(spec: ProviderSpec) -> Iterator[str]:
    """What is wrong with a plugin's spec, one sentence each; nothing when it is sound."""
    if not is_provider_name(spec.name):
        yield "the name must be lower-case letters, digits and underscores, beginning with a letter"
    if not spec.modalities:
        yield "it declares no modality"
    names = [field.name for field in spec.fields]
    yield from (f"the field {name!r} is declared twice" for name in sorted({n for n in names if names.count(n) > 1}))
    yield from (f"the field name {name!r} is malformed" for name in names if not is_provider_name(name))
    for group in (*spec.any_of, *spec.env_requires):
        yield from (f"{name!r} is required, but not declared" for name in group if name not in names)
    places = {place.name for place in spec.places()}
    for field in spec.fields:
        yield from _field_faults(spec, field, places)
        yield from _form_faults(field)
        yield from _former_name_faults(spec, field)
    yield from passing_faults(spec.native_operations, spec.request_headers)
    if spec.key_management is not None:
        yield from management_faults(spec.key_management, tuple(field.name for field in spec.secrets), tuple(names))


def _field_faults(spec: ProviderSpec, field: FieldSpec, places: Collection[str]) -> Iterator[str]:
    if field.secret:
        yield from _secret_faults(field, places)
        return
    if field.default is not None and not _fits(spec, field):
        yield f"the default of the field {field.name!r} is none of its kind, {field.kind}"
    if field.names_host and field.kind is not FieldKind.TEXT:
        yield f"the field {field.name!r} names a host, which only a text setting can"
    if field.sent_to:
        yield f"the setting {field.name!r} is sent somewhere, which only a secret is"
    if field.form is not None:
        yield f"the setting {field.name!r} has a form, which only a secret has"
    yield from (f"the field {field.name!r} {fault}" for fault in env_faults(field.variables))


def _secret_faults(field: FieldSpec, places: Collection[str]) -> Iterator[str]:
    if field.default is not None:
        yield f"the secret {field.name!r} has a default value"
    if not field.env_names:
        yield f"the secret {field.name!r} names no environment variable"
    if field.names_host:
        yield f"the field {field.name!r} names a host, which only a text setting can"
    if field.variables:
        yield f"the secret {field.name!r} is read in another way than as it is, which only a setting can be"
    yield from (
        f"the secret {field.name!r} is sent to {name!r}, which is neither a URL setting nor one that names a host"
        for name in field.sent_to
        if name not in places
    )


def _form_faults(field: FieldSpec) -> Iterator[str]:
    plain_text = field.kind is FieldKind.TEXT and not field.secret
    if (field.choices or field.pattern) and not plain_text:
        yield f"the field {field.name!r} has choices or a pattern, which only a text setting can"
    if any(choice != choice.strip() or not choice.isprintable() or not choice for choice in field.choices):
        yield f"the field {field.name!r} has a choice that nobody can type"
    if field.multi_line and not field.secret and (field.kind is not FieldKind.TEXT or field.names_host):
        yield f"the field {field.name!r} is of several lines, which only a text or a secret can be"
    try:
        re.compile(field.pattern)
    except (re.error, RecursionError, OverflowError):
        yield f"the pattern of the field {field.name!r} is no regular expression"


def _former_name_faults(spec: ProviderSpec, field: FieldSpec) -> Iterator[str]:
    if not field.formerly:
        return
    if field.secret or field in spec.places():
        yield f"the field {field.name!r} had another name, which only a setting that says nothing of a host can"
    names = [name for each in spec.fields for name in (each.name, *each.formerly)]
    yield from (
        f"the former name {name!r} of the field {field.name!r} is taken"
        for name in field.formerly
        if names.count(name) > 1
    )


def _fits(spec: ProviderSpec, field: FieldSpec) -> bool:
    """Whether a setting's default is what the setting itself takes, so that it can be used unchecked."""
    try:
        return field.default is not None and spec.check_setting(field.name, field.default) == field.default
    except (InvalidInputError, re.error):
        return False
