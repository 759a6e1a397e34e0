"""Pages, their links, and the list that is kept in memory."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from tests.app_client import AppClient
from tests.house import House
from tests.samples import a_credential, a_model

from keycairn.domain.change import AddCredential, AddModel
from keycairn.ports.store import MOST

Client = AppClient
MISPLACED = "sk-canary-4f9A7c2E81b6D05x"


async def create(api: Client, name: str, provider: str = "openai") -> None:
    body = {"name": name, "provider": provider, "api_key": f"key-of-{name}-0123456789"}
    assert (await api.post("/api/credentials", json=body)).status_code == 201


def cursor(position: object) -> str:
    return urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


async def walk(api: Client, path: str | None, field: str) -> list[Any]:
    seen: list[Any] = []
    while path:
        answer = await api.get(path)
        assert answer.status_code == 200
        seen += [item[field] for item in answer.json()]
        link = answer.headers.get("link")
        path = link[1 : link.index(">")] if link else None
    return seen


async def test_every_list_can_be_walked_by_its_links(api: Client) -> None:
    for number in range(5):
        await create(api, f"C{number}")
        body = {"name": f"m{number}", "provider": "openai", "type": "language"}
        assert (await api.post("/api/models", json=body)).status_code == 200
    await create(api, "other", "anthropic")

    assert await walk(api, "/api/credentials?limit=2", "name") == ["other", "C0", "C1", "C2", "C3", "C4"]
    assert await walk(api, "/api/credentials/by-provider/OpenAI?limit=2", "name") == ["C0", "C1", "C2", "C3", "C4"]
    assert await walk(api, "/api/models?limit=2&type=language", "name") == ["m0", "m1", "m2", "m3", "m4"]
    assert await walk(api, "/api/models/by-provider/openai?limit=4", "name") == ["m0", "m1", "m2", "m3", "m4"]
    ids = await walk(api, "/api/audit?limit=3", "id")
    assert len(ids) == len(set(ids)) >= 11


@pytest.mark.parametrize("count", [0, MOST - 1, MOST, 2 * MOST + 5])
async def test_a_list_without_a_limit_is_whole(api: Client, house: House, count: int) -> None:
    workspace = "default"
    credentials = [a_credential(workspace=workspace, provider="openai") for _ in range(count)]
    models = [a_model(workspace=workspace, name=f"m{number}", credential=None) for number in range(count)]
    await house.store.commit((*map(AddCredential, credentials), *map(AddModel, models)))

    for path in ("/api/credentials", "/api/credentials/by-provider/openai", "/api/models", "/api/models?type=language"):
        answer = await api.get(path)
        assert answer.status_code == 200
        assert "link" not in answer.headers
        assert answer.headers["content-type"] == "application/json"
        ids = [item["id"] for item in answer.json()]
        assert ids == sorted(ids, key=ids.index)
        assert set(ids) == {record.id for record in (models if "models" in path else credentials)}
        assert len(ids) == count

    first = (await api.get("/api/models?limit=1000")).headers
    assert ("link" in first) == (count >= MOST)


async def test_a_long_list_the_client_has_already_is_not_sent_again(api: Client, house: House) -> None:
    await house.store.commit(
        tuple(AddCredential(a_credential(workspace="default", provider="openai")) for _ in range(1500))
    )
    first = await api.get("/api/credentials")
    again = await api.get("/api/credentials", headers={"If-None-Match": first.headers["etag"]})
    await create(api, "A")
    after = await api.get("/api/credentials", headers={"If-None-Match": first.headers["etag"]})

    assert [len(answer.content) > 10 for answer in (first, again, after)] == [True, False, True]
    assert (again.status_code, after.status_code) == (304, 200)


async def test_what_one_client_adds_to_the_query_is_in_no_link(api: Client) -> None:
    await create(api, "A")
    await create(api, "B")

    refused = await api.get(f"/api/credentials?limit=1&note={MISPLACED}")
    listed = await api.get("/api/credentials?limit=1")

    assert (refused.status_code, MISPLACED in refused.text) == (422, False)
    assert "limit=1" in listed.headers["link"]
    assert MISPLACED not in listed.headers["link"]


@pytest.mark.parametrize("path", ["/api/credentials", "/api/models", "/api/models/by-provider/openai", "/api/audit"])
@pytest.mark.parametrize(
    "position",
    [
        {"provider": "openai", "created": "2026-01-01T12:00:00Z", "id": "credential:x"},
        {"provider": "openai"},
        "model:x",
        "event:x",
        [],
        5,
    ],
)
async def test_a_cursor_that_was_made_up_is_refused(api: Client, path: str, position: object) -> None:
    answer = await api.get(f"{path}?cursor={cursor(position)}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_a_list_the_client_has_already_is_not_sent_again(api: Client) -> None:
    await create(api, "A")
    tag = (await api.get("/api/credentials")).headers["etag"]

    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        answer = await api.get("/api/credentials", headers={"If-None-Match": condition})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)

    await create(api, "B")
    answer = await api.get("/api/credentials", headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert len(answer.json()) == 2
    assert answer.headers["etag"] != tag


async def test_a_known_list_still_needs_a_token(api: Client) -> None:
    await create(api, "A")
    tag = (await api.get("/api/credentials")).headers["etag"]

    answer = await api.get("/api/credentials", headers={"If-None-Match": tag, "Authorization": "Bearer nobody"})

    assert answer.status_code == 401


async def test_the_target_of_a_move_that_is_no_id_is_an_invalid_target(api: Client) -> None:
    await create(api, "A")
    id = (await api.get("/api/credentials")).json()[0]["id"]

    answer = await api.delete(f"/api/credentials/{id}?migrate_to={MISPLACED}")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_migration_target")
    assert MISPLACED not in answer.text
    assert (await api.get(f"/api/credentials/{id}")).status_code == 200
