"""What a credential may be used for, over HTTP."""

from tests.app_client import AppClient

NONE = dict.fromkeys(("concurrent", "requests_per_minute", "tokens_per_day", "micros_per_day", "micros_per_month"))


async def test_limits_are_set_kept_shown_and_cleared(api: AppClient) -> None:
    account = {"name": "Work", "provider": "openai", "api_key": "sk-canary-4f9A7c2E81b6D05x"}
    free = (await api.post("/api/credentials", json=account)).json()
    bound = (await api.post("/api/credentials", json={**account, "limits": {"concurrent": 3}})).json()
    path = f"/api/credentials/{bound['id']}"
    changed = await api.put(path, json={"limits": {"tokens_per_day": 1000}})
    renamed = await api.put(path, json={"name": "Home"})
    wrong = await api.put(path, json={"limits": {"concurrent": 0}})
    unknown = await api.put(path, json={"limits": {"per_hour": 1}})
    listed = {one["id"]: one["limits"] for one in (await api.get("/api/credentials")).json()}
    cleared = await api.put(path, json={"limits": None})

    assert free["limits"] == NONE
    assert bound["limits"] == {**NONE, "concurrent": 3}
    assert changed.json()["limits"] == {**NONE, "tokens_per_day": 1000}
    assert changed.json()["version"] == bound["version"] + 1
    assert renamed.json()["limits"] == {**NONE, "tokens_per_day": 1000}
    assert (wrong.status_code, [*wrong.json()["errors"]]) == (422, ["limits.concurrent"])
    assert unknown.status_code == 422
    assert listed == {free["id"]: NONE, bound["id"]: {**NONE, "tokens_per_day": 1000}}
    assert cleared.json()["limits"] == NONE
