"""A real Open Notebook database, moved into a real Keycairn database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.house import House
from tests.notebook import (
    DATABASE,
    LATER,
    NAMESPACE,
    PASSPHRASE,
    THEN,
    Notebook,
    encrypted,
    encrypted_anew,
    open_notebook,
)

from keycairn.adapters.imports.exported import SurqlExport
from keycairn.adapters.imports.open_notebook import OpenNotebook, Records
from keycairn.adapters.imports.surreal_records import SurrealRecords
from keycairn.adapters.surreal import open_surreal
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.errors import UndecryptableError, UnreadableSourceError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.model import Slot
from keycairn.domain.secret import Secret

KEY, OTHER = "sk-notebook-canary-0123456789", "sk-notebook-canary-other-98765"
MAIN, SECOND = CredentialId("credential:abc123"), CredentialId("credential:x9-y_8")


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    async with open_notebook(tmp_path / "notebook") as notebook:
        await fill(notebook)
    return tmp_path / "notebook"


async def fill(notebook: Notebook) -> None:
    await notebook.credential(
        "abc123",
        name="Production",
        api_key=encrypted(KEY),
        base_url="https://proxy.example/v1",
        config={"num_ctx": 4096, "from_tomorrow": {"a": [1, True]}},
    )
    await notebook.credential("x9-y_8", name="Second", provider="anthropic", api_key=encrypted_anew(OTHER))
    await notebook.model("chat", "abc123")
    await notebook.model("embed", "abc123", name="text-embedding-3", type="embedding")
    await notebook.model("claude", "x9-y_8", name="claude-4", provider="anthropic")
    await notebook.model("loose", name="gpt-old")
    await notebook.model("dangling", "gone", name="gpt-lost")
    await notebook.defaults(default_chat_model="model:chat", default_embedding_model="model:embed")


def live(folder: Path) -> SurrealRecords:
    return SurrealRecords(f"surrealkv://{folder}", namespace=NAMESPACE, database=DATABASE)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    store = await open_surreal(f"surrealkv://{tmp_path / 'keycairn'}")
    yield House(store=store)
    await store.aclose()


@pytest.fixture
async def kc(house: House) -> Keycairn:
    return await house.open()


def source(records: Records, passphrase: str | None = PASSPHRASE) -> OpenNotebook:
    return OpenNotebook(records, Secret(passphrase) if passphrase else None)


async def test_ids_links_times_and_unknown_configuration_are_kept(house: House, kc: Keycairn, folder: Path) -> None:
    report = await kc.importer.run(source(live(folder)))

    assert [(one.where, one.id, one.broken) for one in report.created] == [
        ("openai/Production", MAIN, {}),
        ("anthropic/Second", SECOND, {}),
    ]
    assert (report.refused, report.skipped) == ((), ())
    main = (await kc.credentials.get(MAIN)).credential
    assert (main.created, main.updated, main.name) == (THEN, LATER, "Production")
    assert main.settings == {"base_url": "https://proxy.example/v1", "num_ctx": 4096}
    assert main.extra == {"from_tomorrow": {"a": [1, True]}}
    models = {model.id: (model.name, model.credential, model.created) for model in await kc.models.list()}
    assert models == {
        "model:chat": ("gpt-4o", MAIN, THEN),
        "model:embed": ("text-embedding-3", MAIN, THEN),
        "model:claude": ("claude-4", SECOND, THEN),
        "model:loose": ("gpt-old", None, THEN),
        "model:dangling": ("gpt-lost", None, THEN),
    }
    assert (await kc.models.defaults()).slots == {Slot.CHAT: "model:chat", Slot.EMBEDDING: "model:embed"}
    assert (await kc.provisioning.provision(Slot.CHAT)).config["api_key"] == KEY
    assert (await kc.provisioning.provision(ModelId("model:claude"))).config["api_key"] == OTHER
    assert KEY not in repr(report)


async def test_twice_changes_nothing_and_the_source_never_changes(house: House, kc: Keycairn, folder: Path) -> None:
    async with open_notebook(folder) as notebook:
        before = await notebook.everything()
    await kc.importer.run(source(live(folder)))
    revision = await house.store.revision()

    again = await kc.importer.run(source(live(folder)))

    assert await house.store.revision() == revision
    assert (again.created, again.models, again.defaults, again.refused) == ((), (), {}, ())
    assert len(again.skipped) == 6
    async with open_notebook(folder) as notebook:
        assert await notebook.everything() == before


async def test_a_dry_run_says_the_same_and_writes_nothing(house: House, kc: Keycairn, folder: Path) -> None:
    revision = await house.store.revision()
    planned = await kc.importer.run(source(live(folder)), dry_run=True)
    assert await house.store.revision() == revision

    done = await kc.importer.run(source(live(folder)))

    for part in ("created", "models", "defaults", "refused", "skipped", "relinked"):
        assert getattr(planned, part) == getattr(done, part)


@pytest.mark.parametrize("passphrase", ["wrong", None])
async def test_what_does_not_open_arrives_broken_and_is_healed_by_the_key(
    house: House, kc: Keycairn, folder: Path, passphrase: str | None
) -> None:
    report = await kc.importer.run(source(live(folder), passphrase))

    assert [list(one.broken) for one in report.created] == [["api_key"], ["api_key"]]
    listed = await kc.credentials.get(MAIN)
    assert listed.decryption_error
    assert listed.credential.has_api_key
    assert listed.model_count == 2
    with pytest.raises(UndecryptableError):
        await kc.provisioning.provision(Slot.CHAT)
    await kc.credential_opener.sweep("default")
    assert (await kc.credentials.get(MAIN)).decryption_error

    await kc.credentials.update(MAIN, CredentialPatch(secrets={"api_key": Secret("sk-entered-anew")}))

    assert (await kc.credentials.get(MAIN)).decryption_error is None
    assert (await kc.provisioning.provision(Slot.CHAT)).config["api_key"] == "sk-entered-anew"


async def test_the_right_passphrase_afterwards_heals_what_the_wrong_one_left(
    house: House, kc: Keycairn, folder: Path
) -> None:
    await kc.importer.run(source(live(folder), "wrong"))

    report = await kc.importer.run(source(live(folder)))

    assert [one.id for one in report.repaired] == [MAIN, SECOND]
    assert (await kc.provisioning.provision(Slot.CHAT)).config["api_key"] == KEY
    revision = await house.store.revision()
    assert (await kc.importer.run(source(live(folder)))).repaired == ()
    assert await house.store.revision() == revision


async def test_an_import_moves_no_key_to_another_host(house: House, kc: Keycairn, folder: Path) -> None:
    await kc.importer.run(source(live(folder)))
    async with open_notebook(folder) as notebook:
        await notebook.run("UPDATE credential:abc123 SET base_url = 'https://elsewhere.example', api_key = 'sk-new'")

    report = await kc.importer.run(source(live(folder)))

    assert report.repaired == ()
    assert (await kc.credentials.get(MAIN)).credential.settings["base_url"] == "https://proxy.example/v1"
    assert (await kc.provisioning.provision(Slot.CHAT)).config["api_key"] == KEY


async def test_a_damaged_ciphertext_is_never_taken_for_a_key(house: House, kc: Keycairn, folder: Path) -> None:
    async with open_notebook(folder) as notebook:
        for number, text in enumerate([encrypted(KEY)[:-9], "gAAAAA", "pbkdf2v1:", "pbkdf2v1:" + encrypted(KEY)]):
            await notebook.credential(f"bad{number}", api_key=text)

    report = await kc.importer.run(source(live(folder)))

    assert {one.name for one in report.created if one.broken} == {"bad0", "bad1", "bad2", "bad3"}


async def test_what_was_deleted_here_comes_back_only_when_asked(house: House, kc: Keycairn, folder: Path) -> None:
    await kc.importer.run(source(live(folder)))
    await kc.credentials.delete(MAIN)

    again = await kc.importer.run(source(live(folder)))
    assert [one.where for one in again.skipped if "deleted" in one.reason] == ["openai/Production"]
    assert await house.store.credential("default", MAIN) is None

    asked = await kc.importer.run(source(live(folder)), again=True)
    assert [one.id for one in asked.created] == [MAIN]


async def test_what_cannot_come_in_is_refused_by_name_and_stops_nobody(
    house: House, kc: Keycairn, folder: Path
) -> None:
    async with open_notebook(folder) as notebook:
        await notebook.credential("odd", name="Odd", provider="unheard_of", api_key=encrypted(KEY))
        await notebook.credential("url", name="Url", base_url="gopher://x", api_key=encrypted(KEY))
        await notebook.credential("keyless", name="Keyless")
        await notebook.credential("shown", name=f"with {KEY}", api_key=encrypted(KEY))
        await notebook.model("seen", "abc123", name="gpt-vision", type="vision")

    report = await kc.importer.run(source(live(folder)))

    assert len(report.created) == 2
    places = [refused.where for refused in report.refused]
    assert places[:5] == [
        "openai/Production: model model/openai/gpt-vision",
        "openai/Keyless",
        "unheard_of/Odd",
        "a credential whose name or provider holds its key",
        "openai/Url",
    ]
    assert KEY not in repr(report)
    assert "gopher" not in repr(report)


async def test_a_database_without_a_notebook_is_told(kc: Keycairn, tmp_path: Path, folder: Path) -> None:
    elsewhere = SurrealRecords(f"surrealkv://{folder}", namespace="other", database="other")
    for records in (live(tmp_path / "nowhere"), elsewhere):
        with pytest.raises(UnreadableSourceError):
            await kc.importer.run(source(records))
    assert not (tmp_path / "nowhere").exists()


EXPORT = """
-- ------------------------------
-- OPTION
-- ------------------------------

OPTION IMPORT;

-- ------------------------------
-- TABLE: source
-- ------------------------------

DEFINE TABLE source TYPE ANY SCHEMAFULL PERMISSIONS NONE;

-- ------------------------------
-- TABLE DATA: source
-- ------------------------------

INSERT [ {{ full_text: 'it\\'s; "odd" -- text
over two lines', id: source:1 }} ];

-- ------------------------------
-- TABLE: credential
-- ------------------------------

DEFINE TABLE credential TYPE NORMAL SCHEMAFULL PERMISSIONS NONE;

-- ------------------------------
-- TABLE DATA: credential
-- ------------------------------

INSERT [ {{ api_key: '{key}', base_url: NONE, config: {{ from_tomorrow: [1, 2.5f, true], num_ctx: 4096 }}, \
created: d'2025-03-04T05:06:07.890Z', id: credential:abc123, modalities: ['language'], name: 'Production', \
provider: 'openai', updated: d'2025-09-01T00:00:00Z' }}, {{ api_key: 'sk-plain', id: credential:⟨x9-y_8⟩, \
modalities: [], name: 'Second', provider: 'anthropic' }} ];

-- ------------------------------
-- TABLE DATA: model
-- ------------------------------

INSERT [ {{ created: d'2025-03-04T05:06:07.890Z', credential: credential:abc123, id: model:chat, name: 'gpt-4o', \
provider: 'openai', type: 'language' }}, {{ credential: credential:⟨x9-y_8⟩, id: model:`cl-1`, name: "claude-4", \
provider: 'anthropic', type: 'language' }} ];

-- ------------------------------
-- TABLE DATA: open_notebook
-- ------------------------------

INSERT [ {{ default_chat_model: 'model:chat', id: open_notebook:default_models }} ];
"""


async def test_an_export_is_as_good_as_the_database(kc: Keycairn, tmp_path: Path) -> None:
    file = tmp_path / "export.surql"
    file.write_text(EXPORT.format(key=encrypted(KEY)))

    report = await kc.importer.run(source(SurqlExport(file)))

    assert [one.id for one in report.created] == [MAIN, SECOND]
    assert report.refused == ()
    main = (await kc.credentials.get(MAIN)).credential
    assert (main.created, main.updated, main.settings) == (THEN, LATER, {"num_ctx": 4096})
    assert main.extra == {"from_tomorrow": [1, 2.5, True]}
    assert (await kc.provisioning.provision(Slot.CHAT)).config["api_key"] == KEY
    assert (await kc.provisioning.provision(ModelId("model:cl-1"))).config["api_key"] == "sk-plain"
