"""Taking a backup, and mending, over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from io import BytesIO
from pathlib import Path

import pytest
from tests.app_client import AppClient
from tests.canary import scan
from tests.house import House
from tests.samples import a_model

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.memory import MemoryStore
from keycairn.app.services.backups.file import examine_stream
from keycairn.domain.ids import CredentialId
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret

Client = AppClient
ADMIN = "admin-0123456789-0123456789-0123456789"
KEY = "sk-canary-4f9A7c2E81b6D05x"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(admin_token=ADMIN, keysets=AesGcmKeysets(), backup_dir=tmp_path / "backups")


@pytest.fixture
async def api(house: House, serve: Callable[..., AbstractAsyncContextManager[Client]]) -> AsyncIterator[Client]:
    await house.open(parse_root_key(Secret("base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho=")))
    async with serve(house, token=ADMIN) as client:
        await client.post("/api/credentials", json={"provider": "openai", "name": "Work", "api_key": KEY})
        yield client


async def test_a_backup_comes_whole_and_is_not_to_be_kept_on_the_way(api: Client, house: House, tmp_path: Path) -> None:
    answer = await api.get("/api/backup")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "application/gzip"
    assert "keycairn-" in answer.headers["Content-Disposition"]
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    assert "Content-Encoding" not in answer.headers
    assert examine_stream(BytesIO(answer.content)).trailer.counts["credential"] == 1
    assert scan(answer.content, KEY) == []
    assert list((tmp_path / "backups").iterdir()) == []


async def test_taking_one_is_on_record(api: Client) -> None:
    await api.get("/api/backup")
    events = (await api.get("/api/audit")).json()
    assert [(event["action"], event["actor"]) for event in events][-1] == ("store.backed_up", "admin-token")


@pytest.mark.parametrize("path", ["/api/backup", "/api/checkup"])
async def test_only_keepers_of_the_installation_get_any_of_it(api: Client, path: str) -> None:
    assert (await api.get(path, headers={"Authorization": "Bearer nonsense"})).status_code == 401
    made = (await api.post("/api/tokens", json={"name": "r", "scopes": ["credentials:write", "audit:read"]})).json()
    assert (await api.get(path, headers={"Authorization": f"Bearer {made['token']}"})).status_code == 403
    tenant = (await api.post("/api/tokens", json={"name": "t", "scopes": ["admin"], "workspace": "other"})).json()
    assert (await api.get(path, headers={"Authorization": f"Bearer {tenant['token']}"})).status_code == 403


async def test_what_is_broken_is_listed_and_mended_after_a_backup(api: Client, house: House, tmp_path: Path) -> None:
    model = a_model(credential=CredentialId("credential:gone"))
    assert isinstance(house.store, MemoryStore)
    house.store.state.put(model)  # as no commit would leave it
    [worst, *_] = (await api.get("/api/checkup")).json()
    assert (worst["code"], worst["records"], worst["fixable"]) == ("link_dangling", [model.id], True)

    fixed = (await api.post("/api/checkup/fix")).json()

    assert fixed["done"] == [f"unlinked model {model.id} ({model.name})"]
    assert not [finding for finding in fixed["findings"] if finding["broken"]]
    assert [str(file) for file in (tmp_path / "backups").iterdir()] == [fixed["backup"]]
