"""Whatever stands in a source: rows, refusals or the one declared error, and never a word of a secret."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzzing import looking
from tests.house import House
from tests.notebook import PASSPHRASE, encrypted

from keycairn.adapters.fernet import NotebookKeys, UnreadableKeyError
from keycairn.adapters.imports.exported import JsonExport, SurqlExport, read_json
from keycairn.adapters.imports.legacy import LegacyConfig
from keycairn.adapters.imports.litellm import LiteLlmConfig, parse_yaml, read_yaml
from keycairn.adapters.imports.open_notebook import OpenNotebook
from keycairn.adapters.imports.surql import NotDataError, records, statements
from keycairn.adapters.imports.table import Table, csv_lines, json_lines, read_table
from keycairn.domain.errors import UnreadableSourceError
from keycairn.domain.incoming import Refused
from keycairn.domain.secret import Secret
from keycairn.ports.source import ImportSource

CANARY = "sk-fuzz-canary-5550123456789"
WORDS = (
    *("provider", "name", "id", "api_key", "base_url", "config", "models", "model", "type", "credential", "created"),
    *("credentials", "open_notebook", "model_list", "litellm_params", "credential_list", "credential_name"),
    *("credential_values", "litellm_credential_name", "api_base", "model_info", "mode", "is_default", "num_ctx"),
    *("openai", "anthropic", "openai/gpt-4o", "os.environ/UNSET", "credential:x", "model:x", "open_notebook:default"),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from((*WORDS, CANARY, encrypted(CANARY), "gAAAAA", "pbkdf2v1:x", "2025-01-01", "a\0b", "\ud800")),
    st.text(max_size=20),
)
JSON: Any = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=25,
)
FAST = looking(40)
PASS = Secret(PASSPHRASE)


def near(*path: str) -> Any:
    """Documents of the right outline, so that what is inside is reached."""

    def wrapped(value: object) -> object:
        for name in reversed(path):
            value = [value] if name == "*" else {name: value}
        return value

    row = st.fixed_dictionaries({"provider": SCALARS, "name": SCALARS, "api_key": SCALARS, "id": SCALARS}) | JSON
    return JSON | row.map(wrapped)


MAKERS: dict[str, tuple[Callable[[Any], ImportSource], Any]] = {
    "legacy": (
        lambda doc: LegacyConfig(doc if isinstance(doc, dict) else {}, PASS),
        near("credentials", "openai", "*"),
    ),
    "json export": (lambda doc: OpenNotebook(JsonExport(doc), PASS), near("credential", "*")),
    "table": (lambda doc: Table(json_lines(doc)), near("*")),
    "litellm models": (lambda doc: LiteLlmConfig(doc, {}), near("model_list", "*", "litellm_params")),
    "litellm credentials": (lambda doc: LiteLlmConfig(doc, {}), near("credential_list", "*")),
}


@pytest.mark.parametrize("kind", MAKERS)
@FAST
@given(data=st.data())
async def test_any_document_gives_rows_or_the_declared_error(kind: str, data: st.DataObject) -> None:
    make, documents = MAKERS[kind]
    document = data.draw(documents)
    house = House()
    keycairn = await house.open()
    said = ""
    try:
        report = await keycairn.importer.run(make(document))
        said = "".join(refused.reason for refused in report.refused)
    except UnreadableSourceError as error:
        said = str(error)
    assert CANARY not in said
    for stored in await house.store.credentials("default"):
        # what a source calls a name, and no readable key comes with, is a name
        nameable = stored.broken or not stored.has_api_key
        assert nameable or CANARY not in repr((stored.name, stored.settings, stored.extra))


@FAST
@given(st.text(st.sampled_from("{}[],:;'\"`⟨⟩\\ abcu0129.-\nINSERT<>/*#dn")) | st.text())
def test_any_export_gives_records_or_is_no_data(text: str) -> None:
    for prefix in ("", "INSERT [ { id: credential:a, x: ", "-- TABLE DATA: credential\nUPDATE credential:a CONTENT "):
        lines = (prefix + text).splitlines(keepends=True)
        for statement in statements(lines, frozenset({"credential"})):
            try:
                found = list(records(statement.text or ""))
            except (NotDataError, RecursionError):
                continue
            assert all(isinstance(record, dict) for record in found)


@FAST
@given(st.binary(max_size=200) | st.text(st.sampled_from("provider,;\t\n\"'name=k\r"), max_size=120).map(str.encode))
async def test_any_bytes_are_a_table_or_refused(raw: bytes) -> None:
    for head in (b"", b"provider,name,api_key\n"):
        try:
            rows = [row async for row in Table(csv_lines(head + raw)).rows()]
        except UnreadableSourceError:
            continue
        assert all(isinstance(row, Refused) or row.provider for row in rows)  # type: ignore[union-attr]  # its only two


@FAST
@given(
    st.binary(max_size=200)
    | st.text(st.sampled_from("-: \n[]{}&*a!<>|'\"model_list,?0."), max_size=100).map(str.encode)
)
def test_any_bytes_are_yaml_or_refused(raw: bytes) -> None:
    with suppress(
        yaml.YAMLError, ValueError, RecursionError, TypeError, OverflowError
    ):  # what read_yaml turns into one
        parse_yaml(raw)


@FAST
@given(st.text() | st.binary().map(lambda raw: encrypted(CANARY)[: len(raw)]) | st.just(encrypted(CANARY, "else")))
def test_a_stored_key_is_plain_or_opens_or_is_unreadable(text: str) -> None:
    try:
        opened = NotebookKeys(PASS).open(text)
    except UnreadableKeyError:
        return
    assert not opened.reveal().startswith(("gAAAAA", "pbkdf2v1:"))


HOSTILE = {
    "deep.json": b"[" * 100_000,
    "deep.yaml": b"[" * 1_000,
    "deep.surql": b"INSERT [" + b"{a:" * 50_000,
    "huge.surql": b"INSERT [ { id: credential:a, n: " + b"9" * 10_000 + b" } ];",
    "bombs.yaml": b"a0: &a0 {k: v}\n"
    + b"".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n".encode() for n in range(1, 12)),
    "dates.yaml": b"model_list: 2025-99-99",
    "int.yaml": b"model_list: " + b"9" * 5_000,
    "utf16.csv": "provider,api_key\nopenai,x".encode("utf-16"),
    "nul.csv": b"provider,api_key\nopenai,\0\n",
    "wide.csv": b"provider,api_key\nopenai," + b"k" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_files_end_in_the_declared_error_or_a_refusal(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(HOSTILE[name])
    keycairn = await House().open()
    readers: dict[str, Callable[[], ImportSource]] = {
        ".json": lambda: OpenNotebook(JsonExport(read_json(file)), PASS),
        ".yaml": lambda: LiteLlmConfig(read_yaml(file), {}),
        ".surql": lambda: OpenNotebook(SurqlExport(file), PASS),
        ".csv": lambda: read_table(file),
    }
    try:
        report = await keycairn.importer.run(readers[file.suffix]())
    except UnreadableSourceError:
        return
    assert report.created == ()
