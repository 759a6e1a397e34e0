"""Bad input: always a 4xx with a stable code, nothing written, nothing echoed."""

import json
from typing import Any

import pytest
from tests.app_client import AppClient
from tests.house import House
from tests.nights import by_day

KEY = "sk-canary-4f9A7c2E81b6D05x"
JSON = {"Content-Type": "application/json"}
GOOD = {"name": "W", "provider": "openai", "api_key": KEY}
DEEP = b'{"name": "W", "provider": "openai", "config": {"x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}}"
Client = AppClient

CREATIONS: list[tuple[str, bytes, int, str]] = [
    ("no body", b"", 400, "malformed_json"),
    ("not JSON", b"{", 400, "malformed_json"),
    ("trailing text", b"{} x", 400, "malformed_json"),
    ("a field twice", b'{"name": "one", "provider": "openai", "name": "two"}', 400, "repeated_field"),
    (
        "a field twice, one spelled in escapes",
        b'{"name": "one", "provider": "openai", "n\\u0061me": "two"}',
        400,
        "repeated_field",
    ),
    ("not UTF-8", b'{"name": "\xff"}', 400, "malformed_json"),
    ("a lone surrogate", b'{"name": "\\ud800"}', 400, "malformed_json"),
    ("endless nesting", DEEP, 400, "bad_request"),
    ("endless brackets", b"[" * 60_000, 400, "bad_request"),
    ("an array", b"[]", 422, "invalid_input"),
    ("nothing", b"{}", 422, "invalid_input"),
    ("null", b"null", 422, "invalid_input"),
    ("too large", b'{"name": "' + b"x" * 70_000 + b'"}', 413, "body_too_large"),
    ("an unknown field", json.dumps({**GOOD, KEY: 1}).encode(), 422, "invalid_input"),
    ("an unknown provider", json.dumps({**GOOD, "provider": KEY}).encode(), 422, "unknown_provider"),
    ("a number as name", json.dumps({**GOOD, "name": 1}).encode(), 422, "invalid_input"),
    ("a blank name", json.dumps({**GOOD, "name": " "}).encode(), 422, "invalid_input"),
    ("NUL in the name", json.dumps({**GOOD, "name": "a\0b"}).encode(), 422, "invalid_input"),
    ("NUL in the key", json.dumps({**GOOD, "api_key": "a\0b"}).encode(), 422, "invalid_input"),
    ("NUL in the provider", json.dumps({**GOOD, "provider": "open\0ai"}).encode(), 422, "unknown_provider"),
    ("a number as key", json.dumps({**GOOD, "api_key": 5}).encode(), 422, "invalid_input"),
    ("the mask as key", json.dumps({**GOOD, "api_key": "••••••••"}).encode(), 422, "invalid_input"),
    ("no key", json.dumps({"name": "W", "provider": "openai"}).encode(), 422, "missing_field"),
    ("the key twice", json.dumps({**GOOD, "secrets": {"api_key": KEY}}).encode(), 422, "invalid_input"),
    ("the key as name", json.dumps({**GOOD, "name": f"my {KEY}"}).encode(), 422, "secret_like_field"),
    ("an unknown modality", json.dumps({**GOOD, "modalities": [KEY]}).encode(), 422, "invalid_input"),
    ("another's modality", json.dumps({**GOOD, "modalities": ["text_to_speech"]}).encode(), 422, "invalid_input"),
    (
        "an undeclared setting",
        json.dumps({**GOOD, "endpoint": f"https://{KEY}.example"}).encode(),
        422,
        "undeclared_field",
    ),
    ("an undeclared own setting", json.dumps({**GOOD, "config": {KEY: "x"}}).encode(), 422, "undeclared_field"),
    ("a secret in config", json.dumps({**GOOD, "config": {"api_key": KEY}}).encode(), 422, "undeclared_field"),
    ("a list in config", json.dumps({**GOOD, "config": {"num_ctx": [KEY]}}).encode(), 422, "undeclared_field"),
    ("an undeclared secret", json.dumps({**GOOD, "secrets": {KEY: KEY}}).encode(), 422, "undeclared_field"),
    ("a refused URL", json.dumps({**GOOD, "base_url": f"ftp://{KEY}"}).encode(), 400, "url_refused"),
    ("a negative number", json.dumps({**GOOD, "num_ctx": -1}).encode(), 422, "invalid_input"),
    ("a huge number", json.dumps({**GOOD, "num_ctx": 10**30}).encode(), 422, "invalid_input"),
    ("text as number", json.dumps({**GOOD, "num_ctx": KEY}).encode(), 422, "invalid_input"),
]


async def nothing_written(api: Client, house: House) -> None:
    assert (await api.get("/api/credentials")).json() == []
    assert (await api.get("/api/models")).json() == []
    assert house.openai.keys == []


@pytest.mark.parametrize(
    ("what", "body", "status", "code"),
    by_day(CREATIONS, one_in=2, unpacked=True),
    ids=[row[0] for row in CREATIONS],
)
async def test_a_bad_credential_is_refused(
    api: Client, house: House, what: str, body: bytes, status: int, code: str
) -> None:
    answer = await api.post("/api/credentials", content=body, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert KEY not in answer.text
    assert set(answer.json()) <= {"type", "title", "status", "detail", "code", "errors"}
    await nothing_written(api, house)


@pytest.mark.parametrize("type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_body_that_is_not_json_is_refused(api: Client, house: House, type: str) -> None:
    answer = await api.post("/api/credentials", content=json.dumps(GOOD).encode(), headers={"Content-Type": type})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    await nothing_written(api, house)


REQUESTS: list[tuple[str, str, Any, int]] = [
    ("GET", "/api/nowhere", None, 404),
    ("GET", f"/api/{KEY}", None, 404),
    ("PATCH", "/api/credentials", {}, 405),
    ("GET", f"/api/credentials/{KEY}", None, 404),
    ("GET", "/api/credentials/credential:NOBODY", None, 404),
    ("GET", "/api/credentials/%00", None, 400),
    ("GET", "/api/credentials/%ff", None, 400),
    ("GET", "/api/credentials?provider=%00", None, 400),
    ("GET", "/api/credentials?provider=%ff", None, 400),
    ("GET", f"/api/credentials?limit={KEY}", None, 422),
    ("GET", "/api/credentials?limit=0", None, 422),
    ("GET", "/api/credentials?limit=1001", None, 422),
    ("GET", f"/api/credentials?cursor={KEY}", None, 400),
    ("GET", f"/api/models?type={KEY}", None, 400),
    ("GET", f"/api/models/count/{KEY}", None, 422),
    ("GET", f"/api/models/discover/{KEY}", None, 422),
    ("GET", "/api/models/discover/openai", None, 404),
    ("POST", f"/api/models/sync/{KEY}", None, 422),
    ("DELETE", f"/api/models/{KEY}", None, 404),
    ("DELETE", f"/api/credentials/credential:X?dry_run={KEY}", None, 422),
    ("DELETE", f"/api/credentials/credential:X?migrate_to={KEY}", None, 422),
    ("PUT", "/api/credentials/credential:X", {"versions": 5}, 422),
    ("PUT", "/api/credentials/credential:X", {"name": "n"}, 404),
    ("POST", "/api/credentials/credential:X/register-models", {"models": [{"name": "a", "model_type": KEY}]}, 404),
    ("POST", "/api/models", {"name": "a", "provider": "openai", "type": KEY}, 400),
    ("POST", "/api/models", {"name": "a", "provider": KEY, "type": "language"}, 422),
    ("POST", "/api/models", {"name": "a\0", "provider": "openai", "type": "language"}, 422),
    ("POST", "/api/models", {"name": "a", "provider": "openai", "type": "language", "credential": KEY}, 404),
    ("PUT", "/api/models/defaults", {KEY: "x"}, 422),
    ("PUT", "/api/models/defaults", {"default_tools_model": KEY}, 400),
    ("POST", "/api/tokens", {"name": "a", "scopes": [KEY]}, 422),
    ("POST", "/api/tokens", {"name": "a", "scopes": []}, 422),
    ("POST", "/api/tokens", {"name": "a", "scopes": ["admin"], "expires": "2020-01-01T00:00:00Z"}, 422),
    ("POST", "/api/tokens", {"name": "a", "scopes": ["admin"], "expires": KEY}, 422),
    ("DELETE", f"/api/tokens/{KEY}", None, 404),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), by_day(REQUESTS, one_in=2, unpacked=True))
async def test_a_bad_request_is_refused(
    api: Client, house: House, method: str, path: str, body: Any, status: int
) -> None:
    answer = await api.request(method, path, json=body) if body is not None else await api.request(method, path)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert KEY not in answer.text
    await nothing_written(api, house)
