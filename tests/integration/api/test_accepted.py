"""What the document calls a good body is taken, or refused for what no schema can say; every status is told of."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from litestar.testing import AsyncTestClient
from schemathesis import GenerationMode

from keycairn.app.api.constraints import FIELDS, PRINTABLE
from keycairn.app.api.gateway_paths import TAG
from keycairn.app.gateway.routes import APIS

Client = AsyncTestClient[Any]
EXAMPLES = 10 * int(os.environ.get("KEYCAIRN_TEST_EXAMPLES", "0")) or 6
OF_RECORDS = {
    *("model_exists", "invalid_default", "credential_not_found", "record_not_refused", "key_rotation_not_found"),
    *("missing_field", "undeclared_field", "unusable_key", "url_refused", "secret_reentry_required", "twin_slots"),
    *("unknown_provider", "secret_in_plain_field", "secret_like_field", "model_not_found", "invalid_modality"),
}
"""What is refused for the records there are, or for what a provider's fields are: `GET /api/providers` tells them."""
OF_MEANING = ("in the future", "is not asked for", "must be of: ", "cannot be used", "must not begin with default:")
"""Ends of reasons that are about the time, the provider or the root key."""

schemathesis.openapi.format(
    PRINTABLE,
    st.text(
        st.characters(categories=("L", "M", "N", "P", "S"), include_characters=" "), min_size=1, max_size=40
    ).filter(lambda text: text.strip() == text and text.isprintable()),
)


def bodies(document: Any, path: str, verb: str) -> list[Any]:
    """Bodies that are good by the document."""
    found: list[Any] = []
    strategy = schemathesis.openapi.from_dict(document)[path][verb].as_strategy(generation_mode=GenerationMode.POSITIVE)

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @seed(7)
    @given(strategy)
    def collect(case: Any) -> None:
        if isinstance(case.body, dict | list):  # an optional one may be left out
            found.append(case.body)

    collect()
    return found


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            if "requestBody" in operation and operation["tags"] != [TAG]:
                yield path, verb.upper(), operation


async def test_what_is_good_by_the_document_is_taken(api: Client) -> None:
    document = (await api.get("/openapi/openapi.json")).json()
    account = (
        await api.post("/api/credentials", json={"name": "x", "provider": "openai", "api_key": "sk-x0123"})
    ).json()
    model = {"name": "m", "provider": "openai", "type": "language", "credential": account["id"]}
    made = (await api.post("/api/models", json=model)).json()
    token = (await api.post("/api/tokens", json={"name": "t", "scopes": ["invoke"]})).json()
    ids = {"/models/": made["id"], "/tokens/": token["id"], "": account["id"]}
    there = {"provider": "openai", "type": "language", "credential": account["id"], "like": account["id"]}
    refused: list[tuple[str, str, str]] = []
    asked = 0
    for path, verb, operation in operations(document):
        url = path.replace("{id}", next(id for part, id in ids.items() if part in path))
        for body in bodies(document, path, verb):
            if isinstance(body, dict):  # of what there is, so that what comes behind is looked at as well
                body |= {name: value for name, value in there.items() if body.get(name, None) is not None}
                body.pop("config", None)
                for inner in body.get("models", []):
                    inner.pop("provider", None)
            answer = await api.request(
                verb, url, content=json.dumps(body), headers={"Content-Type": "application/json"}
            )
            asked += 1
            assert str(answer.status_code) in operation["responses"], (path, answer.status_code, answer.text)
            if answer.is_error and not excused(answer.json()):
                refused.append((operation["operationId"], json.dumps(body)[:300], answer.text))
    assert refused == []
    assert asked > 50


def excused(problem: Any) -> bool:
    faults = problem.get("errors", {}).values()
    return problem["code"] in OF_RECORDS or (
        bool(faults) and all(any(end in why for end in OF_MEANING) for why in faults)
    )


async def test_every_fact_of_a_field_is_in_the_document(api: Client) -> None:
    schemas = (await api.get("/openapi/openapi.json")).json()["components"]["schemas"]
    for name, fields in FIELDS.items():
        for field, facts in fields.items():
            assert set(facts) <= set(str(json.dumps(schemas[name]["properties"][field])).split('"')), (name, field)


async def test_whole_numbers_may_be_written_with_a_point(api: Client) -> None:
    made = await api.post("/api/models", content='{"name":"a","provider":"openai","type":"language","weight":3.0}')
    assert made.status_code == 415
    typed = {"Content-Type": "application/json"}
    body = '{"name":"a","provider":"openai","type":"language","weight":%s}'
    assert (await api.post("/api/models", content=body % "3.0", headers=typed)).json()["weight"] == 3
    for wrong in ("3.5", "1e400", "9" * 5000, "3.0e1000", "3.0,", "3.0}}", "3.5, nonsense"):
        refused = await api.post("/api/models", content=body % wrong, headers=typed)
        assert refused.status_code in {400, 422}, wrong[:10]


async def test_the_gateway_is_in_the_document(api: Client) -> None:
    paths = (await api.get("/openapi/openapi.json")).json()["paths"]
    for path, called in APIS.items():
        operation = paths[path]["post"]
        assert operation["tags"] == [TAG], called
        [kind] = operation["requestBody"]["content"].values()
        assert kind["schema"]["required"] == ["model"]
    assert set(paths["/native/{credential}/{path}"]) == {"get", "post", "put", "patch", "delete"}
    assert "get" in paths["/v1/models"]


@pytest.mark.parametrize("status", ["200", "201", "202"])
async def test_good_ends_are_told_in_words(api: Client, status: str) -> None:
    paths = (await api.get("/openapi/openapi.json")).json()["paths"]
    told = {
        operation["responses"][status]["description"]
        for item in paths.values()
        for operation in item.values()
        if status in operation["responses"]
    }
    assert told
    assert not any("Request" in words or "URL follows" in words for words in told)
