"""What the sources have in common, and the other places an Open Notebook can be read from."""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from surrealdb import AsyncSurreal, RecordID, Value
from tests.house import House
from tests.notebook import DATABASE, NAMESPACE, PASSPHRASE, SCHEMA, encrypted, open_notebook
from tests.servers.surreal_rpc import surreal_rpc

from keycairn.adapters.imports.exported import JsonExport, exported
from keycairn.adapters.imports.legacy import legacy_document
from keycairn.adapters.imports.legacy_configs import NotebookLegacy, StoredLegacyConfig
from keycairn.adapters.imports.litellm import LiteLlmConfig, parse_yaml
from keycairn.adapters.imports.open_notebook import OpenNotebook
from keycairn.adapters.imports.surreal_records import PAGE, SurrealRecords
from keycairn.adapters.memory import MemoryStore
from keycairn.app import open_keycairn
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.imports.importer import BATCH, MEANWHILE
from keycairn.app.settings import Settings
from keycairn.app.sources import Kind, SourceSpec
from keycairn.app.wiring import open_source
from keycairn.domain.audit import IN_PROCESS, Caller
from keycairn.domain.change import AddCredential, Changeset
from keycairn.domain.errors import DuplicateError, StoreUnavailableError, UnreadableSourceError
from keycairn.domain.ids import CredentialId
from keycairn.domain.incoming import IncomingCredential, IncomingDefaults, IncomingModel, IncomingRow, Refused
from keycairn.domain.model import Slot
from keycairn.domain.secret import Secret
from keycairn.ports.store import Finish

KEY = "sk-source-canary-0123456789"
PASS = Secret(PASSPHRASE)


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


def row(number: int, **fields: object) -> IncomingCredential:
    whole = {"where": f"row {number}", "provider": "openai", "name": f"n{number}", "secrets": {"api_key": Secret(KEY)}}
    return IncomingCredential(**{**whole, **fields})  # type: ignore[arg-type]  # a test's short hand


class Watched:
    """Counts how far it has been read ahead of what is stored."""

    label = "watched"

    def __init__(self, house: House, count: int) -> None:
        self._house, self._count = house, count
        self.ahead = 0

    async def rows(self) -> AsyncIterator[IncomingRow]:
        for number in range(self._count):
            stored = len(await self._house.store.credentials("default"))
            self.ahead = max(self.ahead, number + 1 - stored)
            yield row(number, id=f"credential:c{number:04}")


async def test_no_more_than_a_batch_is_read_ahead(house: House, kc: Keycairn) -> None:
    source = Watched(house, 3 * BATCH + 7)
    told: list[int] = []
    report = await kc.importer.run(source, progress=told.append)
    assert len(report.created) == 3 * BATCH + 7
    assert source.ahead == BATCH
    assert sum(told) == 3 * BATCH + 7


async def test_others_are_served_between_the_rows(kc: Keycairn) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    serving = asyncio.create_task(other())
    await kc.importer.take([row(n, secrets={"api_key": Secret(f"{KEY}{n}")}) for n in range(20)])
    serving.cancel()
    assert turns >= 20


class Fussy(MemoryStore):
    """Commits nothing that holds a credential called `odd`."""

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        if any(isinstance(change, AddCredential) and change.credential.name == "odd" for change in changes):
            raise DuplicateError
        await super().commit(changes, finish)


async def test_a_row_that_fails_in_the_store_stops_no_other() -> None:
    keycairn = await House(store=Fussy()).open()
    rows = [row(n, id=f"credential:c{n}", name="odd" if n == 2 else f"n{n}") for n in range(4)]
    report = await keycairn.importer.take([*rows, Refused(where="here", reason="so it is"), rows[0]])
    assert [one.id for one in report.created] == [f"credential:c{n}" for n in (0, 1, 3)]
    assert [(one.where, one.reason) for one in report.refused] == [("here", "so it is")]
    assert [(one.where, one.reason) for one in report.skipped] == [
        ("row 0", "the same account stands above"),
        ("row 2", MEANWHILE),
    ]
    assert len(await keycairn.store.credentials("default")) == 3


async def test_two_imports_at_once_make_each_credential_once(house: House, kc: Keycairn) -> None:
    rows = [row(n, id=f"credential:c{n:03}", secrets={"api_key": Secret(f"{KEY}{n}")}) for n in range(120)]
    reports = await asyncio.gather(*(kc.importer.take(rows) for _ in range(3)))
    assert sorted(one.id for report in reports for one in report.created) == [one.id for one in rows]
    assert all(len(report.created) + len(report.skipped) == 120 for report in reports)


async def test_two_workspaces_can_import_the_same_source(house: House, kc: Keycairn) -> None:
    model = IncomingModel(name="gpt-4o", id="model:m")
    rows: list[IncomingRow] = [
        row(1, id="credential:a", models=(model,)),
        row(2),
        IncomingDefaults(slots={"default_chat_model": "model:m"}),
    ]
    theirs = Caller(actor="t", workspace="theirs")

    for by in (IN_PROCESS, theirs):
        for times in range(2):
            report = await kc.importer.take(rows, by=by)
            assert len(report.created) == (0 if times else 1)

    assert [one.id for one in await house.store.credentials("default")] == ["credential:a"]
    [moved] = await house.store.credentials("theirs")
    [linked] = await house.store.models("theirs")
    assert linked.credential == moved.id
    assert (await house.store.defaults("theirs")).slots == {Slot.CHAT: linked.id}


@pytest.mark.parametrize("mask", ["********", "••••", "sk\0"])
async def test_the_mask_of_a_key_is_no_key(house: House, kc: Keycairn, mask: str) -> None:
    report = await kc.importer.take([row(1, secrets={"api_key": Secret(mask)})])
    assert len(report.refused) == 1
    assert await house.store.credentials("default") == []


async def test_a_server_is_read_page_by_page(kc: Keycairn) -> None:
    count = PAGE * 2 + 3
    async with surreal_rpc() as server:
        client = AsyncSurreal(server.url)
        await client.connect(server.url)
        await client.use(NAMESPACE, DATABASE)
        await client.query_raw(SCHEMA, {})
        for start in range(0, count, PAGE):
            rows: list[Value] = [
                {
                    "id": RecordID("credential", f"c{n:05}"),
                    "name": f"n{n}",
                    "provider": "openai",
                    "api_key": f"{KEY}{n}",
                }
                for n in range(start, min(start + PAGE, count))
            ]
            await client.query_raw("INSERT INTO credential $rows", {"rows": rows})
        await client.close()

        records = SurrealRecords(server.url, namespace=NAMESPACE, database=DATABASE)
        report = await kc.importer.run(OpenNotebook(records, PASS))

    assert [one.id for one in report.created] == [f"credential:c{n:05}" for n in range(count)]
    assert report.refused == ()


async def test_a_server_that_is_not_there_is_told(kc: Keycairn) -> None:
    records = SurrealRecords("ws://127.0.0.1:9", namespace=NAMESPACE, database=DATABASE, deadline=2)
    with pytest.raises(StoreUnavailableError):
        await kc.importer.run(OpenNotebook(records, PASS))


ENTRY = {"id": "e1", "name": "Work", "provider": "openai", "is_default": True, "api_key": encrypted(KEY)}


async def test_the_former_singleton_is_found_in_a_database_and_in_exports(tmp_path: Path, house: House) -> None:
    place = tmp_path / "notebook"
    async with open_notebook(place) as notebook:
        await notebook.legacy({"openai": [ENTRY]})
    live = SurrealRecords(f"surrealkv://{place}", namespace=NAMESPACE, database=DATABASE)
    text = tmp_path / "export.surql"
    text.write_text(
        "-- TABLE DATA: open_notebook\nINSERT [ { credentials: { openai: [ "
        + json.dumps(ENTRY)
        + " ] }, id: open_notebook:provider_configs } ];\n"
    )
    listed = tmp_path / "export.json"
    listed.write_text(json.dumps({"open_notebook:provider_configs": {"credentials": {"openai": [ENTRY]}}}))

    for records in (live, exported(text), exported(listed)):
        fresh = House()
        keycairn = await fresh.open()
        report = await keycairn.importer.run(StoredLegacyConfig(records, PASS))
        assert [one.id for one in report.created] == ["credential:e1"]
        assert await fresh.key_of(CredentialId("credential:e1")) == KEY
    assert (await NotebookLegacy(live).stored() or {})["id"] == "open_notebook:provider_configs"
    assert await NotebookLegacy(None).stored() is None
    assert await NotebookLegacy(JsonExport({})).stored() is None
    with pytest.raises(UnreadableSourceError):
        await (await house.open()).importer.run(StoredLegacyConfig(JsonExport({}), PASS))


@pytest.mark.parametrize("wrapped", ["alone", "listed", "printed", "answered", "answered among others", "twice"])
async def test_a_json_file_of_the_former_singleton_may_be_as_a_query_gave_it(
    tmp_path: Path, house: House, wrapped: str
) -> None:
    record = {"id": "open_notebook:provider_configs", "credentials": {"openai": [ENTRY]}}
    answer = {"result": [record], "status": "OK", "time": "120µs"}
    other = {"result": [{"id": "open_notebook:default_models"}], "status": "OK"}
    document = {
        "alone": record,
        "listed": [record],
        "printed": [[record]],
        "answered": [answer],
        "answered among others": [other, answer],
        "twice": [answer, {"result": record, "status": "OK"}],
    }
    file = tmp_path / "configs.JSON"
    file.write_text(json.dumps(document[wrapped]))

    source = open_source(SourceSpec(kind=Kind.LEGACY, place=str(file), passphrase=PASS))
    report = await (await house.open()).importer.run(source)

    assert [one.id for one in report.created] == ["credential:e1"]


@pytest.mark.parametrize(
    "document",
    [
        [],
        [1],
        {"result": []},
        [{"result": "no", "status": "ERR"}],
        "text",
        [{"credentials": "none"}],
        [{"credentials": {"openai": [ENTRY]}}, {"credentials": {"groq": [ENTRY]}}],
    ],
)
async def test_a_json_file_without_one_former_singleton_is_refused(
    tmp_path: Path, house: House, document: object
) -> None:
    file = tmp_path / "configs.json"
    file.write_text(json.dumps(document))
    keycairn = await house.open()
    with pytest.raises(UnreadableSourceError):
        await keycairn.importer.run(open_source(SourceSpec(kind=Kind.LEGACY, place=str(file), passphrase=PASS)))
    assert await keycairn.credentials.list() == []


async def test_litellm_accounts_are_told_apart_by_key_and_address(kc: Keycairn) -> None:
    shared = """
      x: &shared {api_key: sk-one-0123456789, api_base: "https://one.example/v1"}
      model_list:
        - {model_name: a, litellm_params: {<<: *shared, model: openai/gpt-4o}}
        - {model_name: b, litellm_params: {<<: *shared, model: gpt-4o-mini}}
        - {model_name: c, litellm_params: {<<: *shared, model: openai/gpt-4o, api_base: "https://two.example/v1"}}
        - {model_name: d, litellm_params: {<<: *shared, model: openai/gpt-4o, api_key: sk-two-0123456789}}
        - {model_name: e, litellm_params: {model: no-prefix, api_key: sk-three-0123456789}}
        - {model_name: f}
    """
    report = await kc.importer.run(LiteLlmConfig(parse_yaml(shared.encode()), {}))
    assert [(one.name, one.models) for one in report.created] == [
        ("model_list[1] (LiteLLM)", ("a", "b")),
        ("model_list[3] (LiteLLM)", ("c",)),
        ("model_list[4] (LiteLLM)", ("d",)),
    ]
    assert [one.where for one in report.refused] == ["model_list[5]", "model_list[6]"]


async def test_a_rotation_passes_over_what_came_in_unreadable(tmp_path: Path) -> None:
    async with open_keycairn(Settings(data_dir=tmp_path, database_url="mem://", env_file=None)) as keycairn:
        broken = row(1, id="credential:b", secrets={}, unopened={"api_key": "no passphrase"})
        await keycairn.importer.take([broken, row(2)])
        await keycairn.rotation.start()
        async with asyncio.timeout(20):
            while (now := await keycairn.rotation.status()).rotating:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.02)
        assert now.pending == 0
        assert [one.credential for one in now.quarantined] == ["credential:b"]
        assert (await keycairn.credentials.get(CredentialId("credential:b"))).decryption_error == (
            "api_key: it could not be read when this record was imported"
        )


@pytest.mark.night
async def test_the_memory_of_a_batch_does_not_grow_with_what_came_before(tmp_path: Path) -> None:
    async with open_keycairn(Settings(data_dir=tmp_path, env_file=None, external_plugins=False)) as keycairn:

        async def take(batch: int) -> int:
            """The most Python memory a batch took beyond the records that are held anyway, in bytes."""
            rows = [
                row(n, id=f"credential:c{n:05}", secrets={"api_key": Secret(f"{KEY}{n}")})
                for n in range(batch * BATCH, (batch + 1) * BATCH)
            ]
            gc.collect()
            held = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            assert len((await keycairn.importer.take(rows)).created) == BATCH
            return tracemalloc.get_traced_memory()[1] - held

        tracemalloc.start()
        try:
            peaks = [await take(batch) for batch in range(5)]
        finally:
            tracemalloc.stop()
    assert peaks[4] < 1.25 * peaks[1]


def test_a_legacy_record_is_read_alone_in_a_list_and_as_a_request_holds_it() -> None:
    record = {"credentials": {"openai": [ENTRY]}}
    for shape in (record, [record], {"provider_configs": record}, {"provider_configs": record, "passphrase": "x"}):
        assert legacy_document(shape) == record
    assert legacy_document({"provider_configs": "none"}) is None
