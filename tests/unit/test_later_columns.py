"""A column of credentials that came later is stored, proven, settable and shown; unset, it leaves no trace."""

import re
from typing import Any

import pytest
from msgspec.structs import replace
from tests.samples import a_credential

from keycairn.adapters.surreal.credential_rows import credential_of, credential_row
from keycairn.adapters.surreal.rows import record_id
from keycairn.adapters.surreal.schema import MIGRATIONS
from keycairn.app.api.bodies import CreateCredential, UpdateCredential
from keycairn.app.api.credential_views import CredentialView
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import LATER_COLUMNS
from keycairn.domain.options import Options
from keycairn.domain.proof import statement

EXAMPLES: dict[str, Any] = {"options": Options(any_model=True)}
"""A value of each that is not its default."""


def test_each_column_has_an_example() -> None:
    assert set(EXAMPLES) == set(LATER_COLUMNS)


@pytest.mark.parametrize("name", EXAMPLES)
class TestColumn:
    def test_it_comes_back_from_a_row(self, name: str) -> None:
        credential = a_credential(**{name: EXAMPLES[name]})
        assert credential_of({"id": record_id("credential", credential.id), **credential_row(credential)}) == credential

    def test_a_row_of_before_reads_as_its_default(self, name: str) -> None:
        credential = a_credential()
        row = {"id": record_id("credential", credential.id), **credential_row(credential)}
        assert row.pop(name) is None
        assert credential_of(row) == credential

    def test_its_proof_covers_it_and_those_of_before_hold(self, name: str) -> None:
        plain = a_credential()
        set_ = replace(plain, **{name: EXAMPLES[name]})
        assert statement(set_) != statement(plain)
        assert name.encode() not in statement(plain)

    def test_the_schema_takes_it_or_none(self, name: str) -> None:
        assert re.search(rf"DEFINE FIELD {name} ON credential TYPE option<string>", "".join(MIGRATIONS))

    @pytest.mark.parametrize("kind", [CredentialPatch, CreateCredential, UpdateCredential, CredentialView])
    def test_it_can_be_set_and_is_shown(self, name: str, kind: type[Any]) -> None:
        assert name in kind.__struct_fields__
