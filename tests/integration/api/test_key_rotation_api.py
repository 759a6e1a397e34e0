"""Keys that rotate themselves, over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from msgspec.structs import replace
from tests.app_client import AppClient
from tests.fakes import FakeClock, FakeIds
from tests.key_cloud import ADMIN, FIRST, CloudHouse, KeyCloud, MortalStore

from keycairn.domain.audit import IN_PROCESS
from keycairn.domain.key_management import KeyCreation
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

Client = AppClient
TOKEN = "admin-0123456789-0123456789-0123456789"


@pytest.fixture
async def cloud(serve: Callable[..., AbstractAsyncContextManager[Client]]) -> AsyncIterator[tuple[CloudHouse, Client]]:
    clock = FakeClock(step=0.001)
    house = CloudHouse(KeyCloud(KeyCreation.LISTED, clock), MortalStore(), clock, FakeIds(), admin_token=TOKEN)
    await house.open()
    async with serve(house, token=TOKEN) as client:
        yield house, client


async def test_a_key_is_rotated_and_never_shown(cloud: tuple[CloudHouse, Client]) -> None:
    house, api = cloud
    made = (await api.post("/api/credentials", json={"name": "x", "provider": "openai", "api_key": FIRST})).json()
    path = f"/api/credentials/{made['id']}/key-rotation"
    (provider,) = (await api.get("/api/providers")).json()
    assert [field["name"] for field in provider["key_management"]["fields"]] == ["admin_key", "admin_url"]
    assert (await api.get(path)).json()["code"] == "key_rotation_not_found"
    refused = await api.put(path, json={"settings": {"admin_url": "https://admin.example"}})
    assert (refused.status_code, refused.json()["errors"]) == (422, {"admin_key": "required by the provider"})
    setup = await api.put(path, json={"every_days": 90, "overlap_hours": 1, "secrets": {"admin_key": ADMIN}})
    assert setup.status_code == 200
    assert setup.json()["automatic"]
    assert setup.json()["has_secrets"] == {"admin_key": True}
    kept = (await api.put(path, json={"warn_days": 14})).json()
    assert (kept["every_days"], kept["overlap_hours"], kept["warn_days"]) == (90, 1.0, 14)
    begun = await api.post(f"{path}/rotate")
    assert (begun.status_code, begun.json()["run"]["step"]) == (202, "planned")
    assert (await api.post(f"{path}/rotate")).status_code == 409
    assert (await api.delete(path)).status_code == 409
    await house.drive(made["id"])
    ended = (await api.get(path)).json()
    assert (ended["run"], ended["last"]["outcome"], ended["key_id"]) == (None, "done", "key-1")
    answers = [(await api.get(p)).text for p in (path, "/api/key-rotations", "/api/credentials", "/api/audit")]
    for text in answers:
        assert not [secret for secret in (ADMIN, FIRST, *house.cloud.living) if secret in text]
    assert (await api.get("/metrics")).text.count("keycairn_key_rotations{") == 4
    assert (await api.delete(path)).status_code == 200


async def test_a_leak_closes_an_account_whose_key_nobody_can_replace(cloud: tuple[CloudHouse, Client]) -> None:
    house, api = cloud
    made = (await api.post("/api/credentials", json={"name": "x", "provider": "openai", "api_key": FIRST})).json()
    leaked = await api.post(f"/api/credentials/{made['id']}/key-rotation/leaked", json={"may_close": True})
    assert leaked.status_code == 202
    shown = (await api.get(f"/api/credentials/{made['id']}")).json()
    assert shown["options"]["closed"] == "its key leaked"
    assert not (await api.post(f"/api/credentials/{made['id']}/test")).json()["success"]
    opened = {"options": {"closed": "", "any_model": True}}
    changed = (await api.put(f"/api/credentials/{made['id']}", json=opened)).json()
    assert changed["options"]["closed"] == "its key leaked"
    changed = (await api.put(f"/api/credentials/{made['id']}", json={"api_key": "sk-another-0123456789"})).json()
    assert changed["options"]["closed"] == ""
    found = (await api.get("/api/checkup")).json()
    assert house.cloud is not None
    assert [one["code"] for one in found if one["code"] == "key_rotation"] == []


async def test_a_rotation_is_called_off(cloud: tuple[CloudHouse, Client]) -> None:
    house, api = cloud
    made = (await api.post("/api/credentials", json={"name": "x", "provider": "openai", "api_key": FIRST})).json()
    path = f"/api/credentials/{made['id']}/key-rotation"
    await api.put(path, json={"secrets": {"admin_key": ADMIN}})
    await api.post(f"{path}/rotate")
    cancelled = await api.post(f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json()["run"]["step"]) == (202, "cleaning")
    await house.drive(made["id"])
    assert (await api.get(path)).json()["last"]["outcome"] == "cancelled"
    assert (await api.post(f"{path}/cancel")).json()["code"] == "key_rotation_state"
    assert house.cloud.living == [FIRST]


async def test_a_key_that_is_held_back_is_told_to_the_installation_alone(cloud: tuple[CloudHouse, Client]) -> None:
    house, api = cloud
    theirs = replace(IN_PROCESS, workspace="tenant")
    ours = await house.account()
    used = await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret(FIRST)}, by=theirs)
    await house.keycairn.key_rotations.rotate(ours)
    await house.drive(ours)
    tenant = await house.keycairn.tokens.create("tenant", scopes=(Scope.ADMIN,), by=theirs)
    audits = await house.keycairn.tokens.create("reads", scopes=(Scope.CREDENTIALS_READ,))
    (held,) = (await api.get("/api/credentials/status")).json()["keys_held_back"]
    assert held["used_by"] == [f"tenant/{used.credential.id}"]
    assert "key_held_back" in [one["code"] for one in (await api.get("/api/checkup")).json()]
    for text in (tenant[1], audits[1]):
        headers = {"authorization": f"Bearer {text.reveal()}"}
        answers = [await api.get(p, headers=headers) for p in ("/api/credentials/status", "/api/key-rotations")]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert not [answer.text for answer in answers if "keys_held_back" in answer.text or "tenant/" in answer.text]
