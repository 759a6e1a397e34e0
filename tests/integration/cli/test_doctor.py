import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from tests.shell import KEY, Shell

from keycairn.adapters.surreal.embedded import EmbeddedConnection
from keycairn.app import Keycairn, Modality, Secret, Settings, Slot, open_keycairn
from keycairn.domain.audit import IN_PROCESS, Action
from keycairn.domain.change import Change, Discard, PutDefaults, ReplaceCredential
from keycairn.domain.ids import key_of
from keycairn.domain.model import Defaults
from keycairn.testing.openai_server import OpenAIServer


@asynccontextmanager
async def inside(shell: Shell) -> AsyncIterator[Keycairn]:
    """The shell's data, past every rule of the services."""
    async with open_keycairn(Settings(data_dir=shell.data, env_file=None, external_plugins=False)) as keycairn:
        yield keycairn


async def put(keycairn: Keycairn, change: Change) -> None:
    """Commit a change as Keycairn does, past its rules."""
    await keycairn.journal.commit((change, keycairn.journal.event(IN_PROCESS, Action.STORE_REPAIRED, "database")))


async def examined(shell: Shell, *, broken: bool) -> dict[str, Any]:
    """What doctor found, by subject. Each thing that is broken says what to do."""
    told = await shell.run("doctor", "--json")
    assert told.exit_code == int(broken), told.output
    assert told.stdout, told.output
    findings = json.loads(told.stdout)
    assert any(finding["broken"] for finding in findings) is broken
    assert all(finding["what_to_do"] for finding in findings if finding["broken"])
    return {finding["subject"]: finding for finding in findings}


async def test_a_fresh_start_is_well_and_says_where_its_root_key_lies(shell: Shell) -> None:
    await shell.begin()
    findings = await examined(shell, broken=False)
    assert str(shell.data / "root-key") in findings["root key"]["found"]
    assert findings["records"]["what_to_do"] == ""
    assert findings["audit log"]["found"].startswith("whole; events: ")
    assert "BAD" not in (await shell.run("doctor")).output


async def test_nothing_is_told_of_keys_where_nothing_is_stored(shell: Shell) -> None:
    findings = await examined(shell, broken=False)
    assert str(shell.data) in findings["database"]["found"]
    assert "encryption" not in findings
    assert "There is no data key yet" in (await shell.run("keys", "list")).output


async def test_keys_still_in_the_environment_are_a_note(shell: Shell) -> None:
    shell.variables["OPENAI_API_KEY"] = KEY
    findings = await examined(shell, broken=False)
    assert "openai" in findings["environment"]["found"]
    assert findings["environment"]["what_to_do"] == "keycairn migrate-env"


async def test_a_root_key_others_can_read_is_broken_until_it_is_private(shell: Shell) -> None:
    file = shell.data / "root-key"
    await shell.begin()
    file.chmod(0o644)
    assert (await examined(shell, broken=True))[str(file)]["what_to_do"] == f"chmod 600 {file}"
    file.chmod(0o600)
    await examined(shell, broken=False)


async def test_a_lost_root_key_is_the_first_thing_to_mend(stocked: Shell) -> None:
    (stocked.data / "root-key").unlink()
    findings = await examined(stocked, broken=True)
    assert "KEYCAIRN_ROOT_KEY" in findings["service"]["what_to_do"]


@pytest.mark.night
async def test_a_secret_that_does_not_open_is_found_though_nobody_used_it(stocked: Shell, openai: OpenAIServer) -> None:
    async with inside(stocked) as keycairn:
        [first] = [listed.credential for listed in await keycairn.credentials.list()]
        twin = await keycairn.credentials.create(
            "openai", name="twin", settings={"base_url": openai.url}, secrets={"api_key": Secret(KEY)}
        )
        spoilt = replace(first, sealed=twin.credential.sealed, version=first.version + 1)
        await put(keycairn, ReplaceCredential(spoilt, expected=first.version))
    findings = await examined(stocked, broken=True)
    [bad] = [finding for finding in findings.values() if finding["broken"]]
    assert first.id in bad["subject"]
    assert "set-key" in bad["what_to_do"]
    assert f"{first.id} does not open" in (await stocked.run("status")).output


@pytest.mark.night
async def test_links_that_lead_nowhere_are_found(stocked: Shell) -> None:
    async with inside(stocked) as keycairn:
        account = (
            await keycairn.credentials.create("openai", name="gone", secrets={"api_key": Secret(KEY)})
        ).credential.id
        lost = await keycairn.models.create("orphan", provider="openai", type=Modality.LANGUAGE, credential=account)
        chosen = await keycairn.models.create("chosen", provider="openai", type=Modality.EMBEDDING)
        slots = {Slot.EMBEDDING: chosen.id}
        await put(keycairn, PutDefaults(Defaults(slots=slots, version=1), expected=0))
        await put(keycairn, Discard("credential", key_of(account)))
        await put(keycairn, Discard("model", key_of(chosen.id)))
    findings = await examined(stocked, broken=True)
    assert findings[f"model orphan ({lost.id})"]["broken"]
    assert findings["default_embedding_model"]["broken"]


async def test_a_forged_record_is_named_refused_and_discarded_by_name(stocked: Shell) -> None:
    await stocked.run("status")
    connection = await EmbeddedConnection.open(
        f"surrealkv://{stocked.data}/db", namespace="keycairn", database="keycairn"
    )
    try:
        [[row]] = await connection.query("SELECT id FROM credential", {})
        await connection.query(
            "UPDATE credential SET settings = $it", {"it": '{"base_url":"https://attacker.example"}'}
        )
    finally:
        await connection.close()
    name = f"credential:{row['id'].id}"

    findings = await examined(stocked, broken=True)
    assert findings[f"record {name}"]["code"] == "record_forged"
    assert f"--discard {name}" in findings[f"record {name}"]["what_to_do"]
    assert not any(finding["fixable"] for finding in findings.values()), "its models are not unlinked by a fix"

    refused = await stocked.run("doctor", "--discard", "credential:other")
    assert refused.exit_code != 0
    assert "No record of that name" in refused.output
    assert await stocked.read("doctor", "--discard", name) == {"discarded": [name]}
    again = await stocked.run("doctor", "--json")
    assert f"record {name}" not in {finding["subject"] for finding in json.loads(again.stdout)}
