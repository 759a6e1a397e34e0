"""Whatever bytes or text arrive, every parser gives its value or its declared error, and never repeats what it read."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.canary import scan
from tests.fakes import NOON
from tests.fuzzing import looking
from tests.house import House

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.environment import ProcessEnvironment
from keycairn.adapters.fernet import NotebookKeys, UnreadableKeyError
from keycairn.adapters.imports.exported import JsonExport, SurqlExport, read_json
from keycairn.adapters.imports.legacy import LegacyConfig
from keycairn.adapters.imports.litellm import LiteLlmConfig, read_yaml
from keycairn.adapters.imports.open_notebook import OpenNotebook
from keycairn.adapters.imports.table import read_table
from keycairn.app.api.bodies import CreateCredential, CreateToken, UpdateCredential
from keycairn.app.api.decoding import decode
from keycairn.app.hosts import Hosts, usable
from keycairn.app.services.backups.format import unpack
from keycairn.app.web.paging import Cursors
from keycairn.domain.audit import IN_PROCESS
from keycairn.domain.egress import EgressPolicy, kind_of_address, parse_allow
from keycairn.domain.errors import (
    DamagedBackupError,
    EgressRefusedError,
    InvalidIdError,
    InvalidInputError,
    KeycairnError,
    RootKeyError,
    SettingsError,
    UndecryptableError,
    UrlRefusedError,
)
from keycairn.domain.ids import credential_id, model_id
from keycairn.domain.rootkey import RootKeyForm, parse_root_key
from keycairn.domain.sealed import SealContext, SealedSecret, join, split
from keycairn.domain.secret import Secret
from keycairn.domain.token import token_key, token_text
from keycairn.domain.url import parse_target, parse_url
from keycairn.ports.store import Position

KEY = "sk-canary-4f9A7c2E81b6D05x"
ANY_TEXT = st.text(st.characters(), max_size=300)
"""Lone surrogates and NUL too."""
_MARKS = r"""
kc1: kc_ http:// https:// [::1] @ %00 %2e .. / \ ? # : 0x7f 1 . base64: passphrase: = - _ ' ` { } [ ] ; , é "
INSERT[ credential: CREATE CONTENT d' s' \u \U{ null 1e999 gAAAAA"""
CLUTTER = st.sampled_from([*_MARKS.split(), KEY, "\n", "\0", "\u202e", " "])
WRITTEN = st.lists(st.one_of(CLUTTER, st.text(max_size=6)), max_size=14).map("".join)
"""Text that looks like what the parsers look for."""
TEXTS = st.one_of(ANY_TEXT, WRITTEN)
BYTES = st.one_of(st.binary(max_size=400), TEXTS.map(lambda text: text.encode("utf-8", "replace")))
MEMBERS = st.one_of(
    WRITTEN,
    st.sampled_from(["id", "name", "type", "provider", "api_key", "model_name", "litellm_params", "credential_values"]),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS.map(lambda t: t.replace("\0", ""))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(WRITTEN, st.sampled_from(["id", "name"])), inner, max_size=4),
    ),
    max_leaves=12,
)

KEYSET = AesGcmKeysets().open(
    AesGcmKeysets().create(parse_root_key(Secret("base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho=")), NOON),
    parse_root_key(Secret("base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho=")),
)
PLACE = SealContext(
    workspace="w",
    table="credential",
    record="credential:x",
    provider="p",
    field="api_key",
    destinations=(("base_url", "o"),),
)
SEALED = KEYSET.cipher.seal(Secret(KEY), PLACE)


def refused(
    declared: type[Exception] | tuple[type[Exception], ...], work: Callable[..., object], *args: object
) -> str | None:
    """The declared error, whose text holds nothing of the key; any other exception fails the test."""
    try:
        work(*args)
    except declared as error:
        told = f"{error!r} {error} {getattr(error, 'fields', '')}"
    else:
        return None
    assert scan(told, KEY) == []
    return told


@given(TEXTS)
@looking(100)
def test_a_sealed_secret_is_canonical_or_refused(text: str) -> None:
    if refused(UndecryptableError, split, SealedSecret(text)) is None:
        parts = split(SealedSecret(text))
        assert join(parts.header + parts.ciphertext) == text
    assert refused(UndecryptableError, KEYSET.cipher.open, SealedSecret(text), PLACE) is not None


@given(st.data())
@looking(100)
def test_no_changed_sealed_secret_opens(data: st.DataObject) -> None:
    where = data.draw(st.integers(0, len(SEALED)))
    changed = SEALED[:where] + data.draw(st.text(max_size=3)) + SEALED[data.draw(st.integers(where, where + 3)) :]
    assume(changed != SEALED)
    assert refused(UndecryptableError, KEYSET.cipher.open, SealedSecret(changed), PLACE) is not None


@given(TEXTS, st.text(max_size=80))
@looking(70)
def test_what_can_be_sealed_opens_to_the_same(text: str, workspace: str) -> None:
    place = SealContext(
        workspace=workspace,
        table="credential",
        record="credential:x",
        provider=workspace,
        field=workspace,
        destinations=((workspace, workspace),),
    )
    if refused(InvalidInputError, KEYSET.cipher.seal, Secret(text), place) is None:
        assert KEYSET.cipher.open(KEYSET.cipher.seal(Secret(text), place), place).reveal() == text


@given(TEXTS, st.binary(min_size=32, max_size=32))
@looking(100)
def test_a_token_is_ours_or_nothing(text: str, random: bytes) -> None:
    assert token_key(Secret(text)) is None
    whole = token_text("01KDWE9G000000000000000004", random)
    assert token_key(whole) == "token:01KDWE9G000000000000000004"
    assert token_key(Secret(whole.reveal() + text)) is None or not text


@given(TEXTS, st.booleans())
@looking(160)
def test_a_url_is_understood_one_way_or_refused(text: str, base: bool) -> None:  # noqa: FBT001  # drawn
    for written in (text, f"http://{text}", f"https://api.example.com/{text}"):
        parse = parse_url if base else parse_target
        if refused(UrlRefusedError, parse, written) is None:
            url = parse(written)
            canonical = f"{url.scheme}://{url.authority}{url.path}" + (f"?{url.query}" if url.query else "")
            assert parse(canonical) == url
            assert parse_url(url.origin).origin == url.origin


@given(st.one_of(st.ip_addresses().map(str), TEXTS), st.integers(0, 70000), st.booleans(), st.booleans())
@looking(160)
def test_the_egress_judge_says_yes_or_refuses(text: str, port: int, strict: bool, secret: bool) -> None:  # noqa: FBT001  # drawn
    policy = EgressPolicy(strict=strict, own=(("127.0.0.1", 8765),))
    try:
        address = str(ip_address(text))
    except ValueError:
        address = "93.184.216.34"
    kind_of_address(address)
    host = f"[{text}]" if ":" in text else text

    def judge() -> None:
        url = parse_url(f"http://{host}:{port}")
        policy.judge_url(url, secret=secret)
        policy.judge_address(url, address, secret=secret)

    refused((UrlRefusedError, EgressRefusedError), judge)


@given(st.lists(TEXTS, max_size=3))
@looking(70)
def test_what_is_allowed_out_is_origins_and_networks(entries: list[str]) -> None:
    refused(SettingsError, parse_allow, tuple(entries))


@given(TEXTS, st.binary(max_size=40))
@looking(100)
def test_a_root_key_is_of_a_form_or_refused(text: str, raw: bytes) -> None:
    for written in (text, f"base64:{text}", f"passphrase:{text}", f"base64:{b64encode(raw).decode()}"):
        if refused(RootKeyError, parse_root_key, Secret(written)) is None:
            key = parse_root_key(Secret(written))
            again = parse_root_key(Secret(f"{key.form}:{key.material.reveal()}"))
            assert again.raw() == key.raw()
            assert key.form is not RootKeyForm.RAW or len(key.raw()) == 32


@given(BYTES)
@looking(100)
def test_an_environment_file_is_read_or_refused(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "env"
    file.write_bytes(raw)
    refused(SettingsError, ProcessEnvironment(file).variables)


_NAME = st.from_regex(r"FUZZ_[A-Z][A-Z_]{0,9}", fullmatch=True)


@given(st.dictionaries(_NAME, st.from_regex(r"[!-&(-\[\]-~]{0,30}", fullmatch=True)))
@looking(40)
def test_what_stands_in_an_environment_file_is_what_is_read(tmp_path: Path, values: dict[str, str]) -> None:
    file = tmp_path / "env"
    file.write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))
    read = ProcessEnvironment(file).variables()
    assert {name: read[name].reveal() for name in values} == values


@given(BYTES, st.sampled_from([CreateCredential, UpdateCredential, CreateToken]))
@looking(100)
def test_a_body_is_understood_or_refused(raw: bytes, type: Any) -> None:
    refused(KeycairnError, decode, raw, type)


@given(JSON, st.sampled_from([CreateCredential, UpdateCredential, CreateToken]))
@looking(100)
def test_a_body_of_the_wrong_shape_is_refused(document: Any, type: Any) -> None:
    raw = json.dumps({"name": document, "provider": "openai", "api_key": KEY, "config": document}).encode()
    refused(KeycairnError, decode, raw, type)


HOUSE = House(keysets=AesGcmKeysets())
asyncio.run(HOUSE.open())
CURSORS = Cursors(HOUSE.keycairn.vault, IN_PROCESS, "credentials")


@given(TEXTS)
@looking(70)
def test_cursors_and_ids_are_ours_or_refused(text: str) -> None:
    refused(KeycairnError, CURSORS.read, text, Position)
    for checked in (credential_id, model_id):
        refused(InvalidIdError, checked, text)


@given(TEXTS)
@looking(70)
def test_a_host_header_is_good_or_not(text: str) -> None:
    raw = text.encode("utf-8", "replace")
    assert Hosts((text,) if usable(text) else ()).accept(raw) in {True, False}


@given(BYTES, st.integers(1, 64))
@looking(100)
def test_a_backup_is_whole_or_refused(raw: bytes, step: int) -> None:
    chunks = [raw[start : start + step] for start in range(0, len(raw), step)]
    assert refused(DamagedBackupError, lambda: list(unpack(chunks))) is not None


def drained(rows: AsyncIterator[Any]) -> list[Any]:
    async def drain() -> list[Any]:
        return [row async for row in rows]

    return asyncio.run(drain())


PASSPHRASE = Secret("a passphrase for the tests")


@given(raw=BYTES)
@looking(80)
@pytest.mark.parametrize("ending", [".surql", ".json", ".csv", ".yaml"])
def test_a_file_to_import_is_read_or_refused(tmp_path: Path, raw: bytes, ending: str) -> None:
    file = tmp_path / f"import{ending}"
    file.write_bytes(raw)
    rows = {
        ".surql": lambda: OpenNotebook(SurqlExport(file), PASSPHRASE).rows(),
        ".json": lambda: OpenNotebook(JsonExport(read_json(file)), PASSPHRASE).rows(),
        ".csv": lambda: read_table(file).rows(),
        ".yaml": lambda: LiteLlmConfig(read_yaml(file), {}).rows(),
    }
    refused(KeycairnError, lambda: drained(rows[ending]()))


@given(JSON)
@looking(100)
def test_a_document_of_any_shape_is_imported_or_refused(document: Any) -> None:
    shapes: list[Callable[[], AsyncIterator[Any]]] = [
        lambda: OpenNotebook(JsonExport({"credential": document, "model": document}), PASSPHRASE).rows(),
        lambda: OpenNotebook(JsonExport(document), None).rows(),
        lambda: LegacyConfig({"credentials": document}, PASSPHRASE).rows(),
        lambda: LegacyConfig({"credentials": {"openai": [document]}}, None).rows(),
        lambda: LiteLlmConfig({"model_list": [document], "credential_list": [document]}, {}).rows(),
        lambda: LiteLlmConfig(document, {}).rows(),
    ]
    for shape in shapes:
        refused(KeycairnError, lambda shape: drained(shape()), shape)


@given(TEXTS)
@looking(70)
def test_what_others_encrypted_opens_or_is_refused(text: str) -> None:
    for keys in (NotebookKeys(PASSPHRASE), NotebookKeys(None)):
        refused(UnreadableKeyError, keys.open, text)
        if text.startswith("gAAAAA"):
            assert refused(UnreadableKeyError, keys.open, text) is not None
