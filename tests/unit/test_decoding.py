"""What of a body is refused before any handler sees it."""

import json
from time import process_time

import pytest
from msgspec import Struct

from keycairn.app.api.decoding import decode
from keycairn.domain.errors import RepeatedFieldError

VALUE = "sk-canary-4f9A7c2E81b6D05x"


class Sent(Struct, forbid_unknown_fields=True):
    name: str = ""
    config: dict[str, str] = {}


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (f'{{"name": "{VALUE}", "name": "b"}}', {"name": "is there more than once"}),
        (f'{{"config": {{"{VALUE}": "1", "{VALUE}": "2"}}}}', {}),
        ('{"config": {"a": "1"}, "name": "", "config": {}}', {"config": "is there more than once"}),
    ],
)
def test_a_repeated_field_is_named_where_it_is_ours_and_never_its_value(body: str, errors: dict[str, str]) -> None:
    with pytest.raises(RepeatedFieldError) as caught:
        decode(body.encode(), Sent)
    assert caught.value.fields == errors
    assert VALUE not in str(caught.value)


def test_one_name_in_several_objects_is_no_repetition() -> None:
    assert decode(b'{"name": "a", "config": {"name": "b", "config": "c"}}', Sent).config["name"] == "b"


def test_finding_it_among_many_fields_takes_no_longer_than_reading_them() -> None:
    names = [f"field{number}" for number in range(30_000)]
    body = '{"config": {' + ",".join(f'{json.dumps(name)}: ""' for name in [*names, names[-1]]) + "}}"
    began = process_time()
    with pytest.raises(RepeatedFieldError):
        decode(body.encode(), Sent)
    assert process_time() - began < 1  # comparing each with each takes over five
