"""What an import cannot be used for: a secret in the clear, another's passphrase, others' records."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from litestar import Litestar
from tests.app_client import AppClient
from tests.house import House
from tests.nights import by_day
from tests.notebook import PASSPHRASE, encrypted

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.services.imports.ids import scoped_id
from keycairn.domain.audit import Caller
from keycairn.domain.ids import CredentialId
from keycairn.domain.incoming import IncomingCredential, IncomingModel
from keycairn.domain.modality import Modality
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

KEY = "sk-canary-4f9A7c2E81b6D05x"
IMPORT, LEGACY = "/api/credentials/import", "/api/credentials/migrate-from-provider-config"
WORKSPACES = ("default", "theirs")
ROOT_KEY = parse_root_key(Secret("base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho="))


class Scene:
    def __init__(self, client: AppClient, house: House, tokens: dict[str, str]) -> None:
        self.client, self.house, self.tokens = client, house, tokens

    async def ask(self, method: str, path: str, body: object = None, by: str = "default") -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[by]}"}
        return await self.client.request(method, path, json=body, headers=headers)

    async def take(self, *rows: object, by: str = "default", **more: object) -> dict[str, Any]:
        answer = await self.ask("POST", IMPORT, {"rows": rows, **more}, by)
        assert answer.status_code == 200, answer.text
        taken: dict[str, Any] = answer.json()
        return taken

    async def stored(self) -> str:
        """Everything that is stored in the clear, of all workspaces."""
        async with self.house.store.snapshot() as records:
            return "\n".join([repr(record) async for record in records])


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    house = House(keysets=AesGcmKeysets(), legacy=True)
    kc = await house.open(ROOT_KEY)
    tokens = {}
    for workspace in WORKSPACES:
        _, text = await kc.tokens.create("t", (Scope.ADMIN,), workspace=workspace)
        tokens[workspace] = text.reveal()
    async with AppClient(Litestar(plugins=[KeycairnPlugin(keycairn=kc)])) as client:
        yield Scene(client, house, tokens)


def row(**fields: object) -> dict[str, object]:
    return {"row": "credential", "where": "w", "provider": "openai", "name": "N", "secrets": {"api_key": KEY}, **fields}


NAMES = (
    "apikey",
    "apiKey",
    "API-KEY",
    "x_api_key",
    "token",
    "Authorization",
    "password",
    "client_secret",
    "credential",
)
HIDING: dict[str, dict[str, object]] = {
    **{f"setting {name}": {"settings": {name: KEY}} for name in NAMES},
    **{f"setting {name} alone": {"settings": {name: KEY}, "secrets": {}} for name in NAMES},
    **{f"extra {name}": {"extra": {name: "hunter2-of-somebody"}} for name in NAMES},
    **{f"nested {name}": {"extra": {"a": [{"b": {name: "hunter2-of-somebody"}}]}} for name in NAMES},
    "undeclared setting": {"settings": {"colour": KEY[::-1]}},
    "undeclared setting of no secret": {"settings": {"colour": "blue"}},
    "known setting of another provider": {"settings": {"location": KEY}},
    "known setting, backwards": {"settings": {"location": KEY[::-1]}},
    "known setting, alone": {"settings": {"endpoint_stt": f"https://user:{KEY}@proxy.example"}, "secrets": {}},
    "declared setting": {"settings": {"base_url": f"https://proxy.example/{KEY}"}},
    "extra text": {"extra": {"note": f"call with {KEY}"}},
    "extra name": {"extra": {KEY: 1}},
    "extra, hex": {"extra": {"note": KEY.encode().hex()}},
    "extra, of another": {"extra": {"note": "gsk_0123456789abcdefghij"}},
    "extra pair": {"extra": {"headers": [{"name": "Authorization", "value": "hunter2-of-somebody"}]}},
    "name": {"name": f"Work {KEY}"},
    "name alone": {"name": f"Work {KEY}", "secrets": {}},
    "model": {"models": [{"row": "model", "name": f"gpt-{KEY}"}]},
    "id": {"id": f"credential:{KEY}"},
    "id of a model": {"models": [{"row": "model", "name": "gpt-4o", "id": f"model:{KEY}"}]},
    "a secret nobody has": {
        "secrets": {"api_key": KEY, "other": "hunter2-of-somebody"},
        "extra": {"n": "hunter2-of-somebody"},
    },
}


@pytest.mark.parametrize("hiding", by_day(HIDING.values(), one_in=3), ids=list(HIDING))
async def test_no_secret_is_kept_in_the_clear_and_the_row_is_refused(scene: Scene, hiding: dict[str, object]) -> None:
    good = row(name="Good", where="good", secrets={"api_key": "key-of-the-good-row-0123456789"})
    report = await scene.take(row(**hiding), good)
    assert [one["where"] for one in report["refused"]] == ["w"]
    assert [one["where"] for one in report["created"]] == ["good"], "it stops no other"
    stored = await scene.stored()
    for text in (KEY, KEY[::-1], KEY.encode().hex(), "hunter2-of-somebody", "gsk_0123456789abcdefghij"):
        assert text not in stored
        assert text not in json.dumps(report)


async def test_configuration_of_others_that_is_no_secret_is_kept(scene: Scene) -> None:
    extra = {"from_tomorrow": {"a": [1, True]}, "max_tokens": 4096, "note": "of the second quarter"}
    settings = dict.fromkeys(("endpoint_llm", "base_url"), "https://a.example/v1") | {"num_ctx": 8192}
    report = await scene.take(row(extra=extra, settings=settings))
    (made,) = report["created"]
    config = (await scene.ask("GET", f"/api/credentials/{made['id']}")).json()["config"]
    assert config == {**extra, "endpoint_llm": "https://a.example/v1"}


async def test_creating_and_importing_refuse_the_same_settings(scene: Scene) -> None:
    for name in ("apikey", "colour", "x"):
        body = {"provider": "openai", "name": "N", "api_key": KEY, "config": {name: "v"}}
        assert (await scene.ask("POST", "/api/credentials", body)).json()["code"] == "undeclared_field"
        assert (await scene.take(row(settings={name: "v"})))["refused"]


CONFIGS = {
    "credentials": {
        "openai": [{"id": "a-1", "name": "N", "api_key": encrypted(KEY), "base_url": "https://evil.example"}]
    }
}


@pytest.mark.parametrize("by", WORKSPACES)
async def test_the_environments_passphrase_opens_nothing_a_caller_sends(scene: Scene, by: str) -> None:
    scene.house.environment.values = {"OPEN_NOTEBOOK_ENCRYPTION_KEY": PASSPHRASE}
    scene.house.legacy_record = None
    answer = (await scene.ask("POST", LEGACY, {"provider_configs": CONFIGS}, by)).json()
    assert answer["repair"] == ["openai/N"], "it came in, and its key did not open"
    (listed,) = (await scene.ask("GET", "/api/credentials", by=by)).json()
    assert listed["decryption_error"]
    await scene.ask("DELETE", f"/api/credentials/{listed['id']}", by=by)


async def test_the_environments_passphrase_opens_the_environments_own_record(scene: Scene) -> None:
    scene.house.environment.values = {"OPEN_NOTEBOOK_ENCRYPTION_KEY": PASSPHRASE}
    scene.house.legacy_record = CONFIGS
    nothing = (await scene.ask("POST", LEGACY, by="theirs")).json()
    assert nothing["migrated"] == []
    answer = (await scene.ask("POST", LEGACY)).json()
    assert (answer["migrated"], answer["repair"]) == (["openai/N"], [])


async def test_a_callers_own_passphrase_opens_his_own_record(scene: Scene) -> None:
    answer = (await scene.ask("POST", LEGACY, {"provider_configs": CONFIGS, "passphrase": PASSPHRASE}, "theirs")).json()
    assert (answer["migrated"], answer["repair"]) == (["openai/N"], [])


def told(report: dict[str, Any], ids: dict[str, str]) -> str:
    """The report with each id named by what it stands for: two that differ by ids alone are the same."""
    text = json.dumps(report, sort_keys=True)
    for id, name in ids.items():
        text = text.replace(id, name).replace(id.partition(":")[2], name)
    return text


async def existing(scene: Scene, workspace: str) -> list[tuple[str, str]]:
    """Credentials and models of a workspace of every origin: made there, imported there with ids and without."""
    kc, by = scene.house.keycairn, Caller(actor="tests", workspace=workspace)
    made = await kc.credentials.create("openai", name="made", secrets={"api_key": Secret("sk-made-0123456789")}, by=by)
    model = await kc.models.create("m", provider="openai", type=Modality.LANGUAGE, credential=made.credential.id, by=by)
    pairs = [(str(made.credential.id), str(model.id))]
    for number, id in enumerate(("credential:theirs-1", None)):
        own = IncomingModel(name=f"n{number}", id="model:theirs-9" if id else None)
        secret = {"api_key": Secret(f"sk-theirs-{number}-0123456789")}
        name = f"I{number}"
        incoming = IncomingCredential(where="w", provider="openai", name=name, id=id, secrets=secret, models=(own,))
        report = await kc.importer.take([incoming], by=by)
        pairs.append((str(report.created[0].id), str(report.models[0])))
    return pairs


async def test_an_id_of_another_workspace_is_as_one_that_never_was(scene: Scene) -> None:
    """Every id a tenant has is tried: what is answered, what is stored, and what the audit says does not differ."""
    pairs = [*await existing(scene, "theirs"), ("credential:theirs-1", "model:theirs-9")]
    for number, (credential, model) in enumerate(pairs):
        shape = "01KDWE9G" + "Z" * 18 if len(credential.partition(":")[2]) == 26 else "n" + f"{number:x}" * 32
        key = shape if credential != "credential:theirs-1" else "never-1"
        answers: list[Any] = []
        for ids in ((credential, model), (f"credential:{key}", f"model:{key[:-1]}0")):
            before = await scene.house.keycairn.audit.events()
            rows = [
                row(
                    id=ids[0],
                    models=[{"row": "model", "name": "x", "id": ids[1]}],
                    secrets={"api_key": f"sk-{number}-{len(answers)}-0123456789"},
                ),
                {"row": "model", "name": "loose", "provider": "openai", "type": "language", "id": ids[1] + "x"},
                {"row": "defaults", "slots": {"default_chat_model": ids[1]}},
            ]
            dry = await scene.take(*rows, dry_run=True, planned=["model:planned"])
            report = await scene.take(*rows)
            again = await scene.take(*rows)
            events = (await scene.house.keycairn.audit.events())[len(before) :]
            assert report["created"], report
            assert not again["created"], "importing twice changes nothing"
            mine = report["created"][0]["id"]
            names = {
                mine: "C",
                report["models"][0]: "M",
                report["models"][1]: "L",
                ids[0]: "C'",
                ids[1] + "x": "L'",
                ids[1]: "M'",
            }
            audit = [(event.action, event.outcome, sorted(event.details)) for event in events]
            answers.append([told(one, names) for one in (dry, report, again)] + [str(audit)])
            await scene.ask("PUT", "/api/models/defaults", {"default_tools_model": None})
            for id in report["models"]:
                await scene.ask("DELETE", f"/api/models/{id}")
            await scene.ask("DELETE", f"/api/credentials/{mine}")
        assert answers[0] == answers[1], credential


async def test_what_one_workspace_takes_blocks_no_other(scene: Scene) -> None:
    """Ids of a tenant's import can be worked out by whoever knows how. Taking them beforehand is of no use."""
    foreseen = [scoped_id(id, "theirs") for id in ("credential:abc", "credential:01KDWE9G000000000000000077")]
    for number, id in enumerate(foreseen):
        await scene.take(row(id=id, name=f"squat {number}", secrets={"api_key": f"sk-squat-{number}-0123456789"}))
    for id in ("credential:abc", "credential:01KDWE9G000000000000000077"):
        report = await scene.take(row(id=id, secrets={"api_key": f"sk-{id}-0123456789"}), by="theirs")
        assert [one["where"] for one in report["created"]] == ["w"], report
        assert report["renamed"] == {id: report["created"][0]["id"]}
    stored = {one.id for one in await scene.house.store.all_credentials()}
    assert len(stored) == 4


async def test_an_id_nobody_here_would_make_is_kept_in_the_default_workspace(scene: Scene) -> None:
    id, model = "credential:k3q8xw2n5v7b9m1c4z6p", "model:m1"
    report = await scene.take(row(id=id, models=[{"row": "model", "name": "x", "id": model}]))
    assert (report["created"][0]["id"], report["models"], report["renamed"]) == (id, [model], {})


async def test_a_workspaces_own_records_are_known_by_their_ids(scene: Scene) -> None:
    for workspace in WORKSPACES:
        made = (await existing(scene, workspace))[0]
        again = row(id=made[0], provider="openai", secrets={"api_key": "sk-made-0123456789"}, models=[])
        report = await scene.take(again, by=workspace)
        assert [one["id"] for one in report["skipped"]] == [made[0]]
        await scene.ask("DELETE", f"/api/credentials/{made[0]}", by=workspace)
        report = await scene.take({**again, "secrets": {"api_key": "sk-other-0123456789"}}, by=workspace)
        assert "deleted" in report["skipped"][0]["reason"]
        assert (await scene.take(again, by=workspace, again=True))["created"]


async def test_planned_models_fill_slots_in_a_dry_run_only(scene: Scene) -> None:
    slots = {"row": "defaults", "slots": {"default_chat_model": "model:planned"}}
    assert (await scene.take(slots, planned=["model:planned"], dry_run=True))["defaults"]
    report = await scene.take(slots, planned=["model:planned"])
    assert (report["defaults"], len(report["refused"])) == ({}, 1)
    assert not any((await scene.ask("GET", "/api/models/defaults")).json().values())


def places(credential: str, model: str) -> dict[str, tuple[str, str, object]]:
    """Every way to name a record that is not the path of its own route."""
    new_model = {"name": "q", "provider": "openai", "type": "language", "credential": credential}
    new_token = {"name": "t", "scopes": ["invoke"], "reach": {"credentials": [credential]}}
    return {
        "link of a model": ("POST", "/api/models", new_model),
        "target of a move": ("DELETE", f"/api/credentials/{{own}}?dry_run=true&migrate_to={credential}", None),
        "default": ("PUT", "/api/models/defaults", {"default_tools_model": model}),
        "reach of a token": ("POST", "/api/tokens", new_token),
        "audit of a target": ("GET", f"/api/audit?target={credential}", None),
        "credential": ("GET", f"/api/credentials/{credential}", None),
        "model": ("PATCH", f"/api/models/{model}", {"priority": 1}),
        "token": ("DELETE", f"/api/tokens/{credential.replace('credential', 'token')}", None),
    }


@pytest.mark.parametrize("place", by_day(places("", ""), one_in=3))
async def test_naming_a_record_of_another_workspace_says_no_more_than_naming_none(scene: Scene, place: str) -> None:
    for mine, other in (WORKSPACES, WORKSPACES[::-1]):
        by = Caller(actor="tests", workspace=mine)
        own = await scene.house.keycairn.credentials.create(
            "openai", name="own", secrets={"api_key": Secret(f"sk-own-{mine}-0123456789")}, by=by
        )
        for credential, model in await existing(scene, other):
            told = []
            for ids in ((credential, model), ("credential:NOBODY", "model:NOBODY")):
                method, path, body = places(*ids)[place]
                events = len(await scene.house.keycairn.audit.events(workspace=mine))
                answer = await scene.ask(method, path.replace("{own}", own.credential.id), body, mine)
                later = len(await scene.house.keycairn.audit.events(workspace=mine))
                told.append((answer.status_code, answer.json(), later - events))
            assert told[0] == told[1]
        await scene.ask("DELETE", f"/api/credentials/{CredentialId(own.credential.id)}", by=mine)
        for one in (await scene.ask("GET", "/api/credentials", by=other)).json():
            await scene.ask("DELETE", f"/api/credentials/{one['id']}", by=other)


@pytest.mark.parametrize(
    "row",
    [
        {"row": "model", "name": "gpt-4o", "provider": "openai"},
        {"row": "defaults", "slots": {"default_chat_model": "model:a"}},
        {"models": [{"row": "model", "name": "gpt-4o"}]},
        {"adopts": True},
    ],
    ids=str,
)
async def test_models_links_and_defaults_come_in_only_for_whoever_may_write_models(
    scene: Scene, row: dict[str, object]
) -> None:
    account = {"row": "credential", "where": "1", "provider": "openai", "name": "A", "secrets": {"api_key": KEY}}
    rows = [account, {**account, **row} if "row" not in row else row]
    legacy = {"provider_configs": {"credentials": {"openai": [{"name": "Main", "api_key": KEY}]}}}
    for scopes, wanted in (((Scope.CREDENTIALS_WRITE,), 403), ((Scope.CREDENTIALS_WRITE, Scope.MODELS_WRITE), 200)):
        _, text = await scene.house.keycairn.tokens.create("importer", scopes)
        scene.tokens["importer"] = text.reveal()
        for path, body in ((IMPORT, {"rows": rows}), (LEGACY, legacy)):
            answer = await scene.ask("POST", path, body, "importer")
            assert answer.status_code == wanted, answer.text
        if wanted == 403:
            assert await scene.house.keycairn.credentials.list() == []
    await scene.take(account, by="importer")
