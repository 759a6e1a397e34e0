"""A key that is sent in the wrong place comes back from nowhere. The places are read from the API's own description."""

import re
from collections.abc import Iterator
from typing import Any

from tests.app_client import AppClient
from tests.canary import scan
from tests.integration.api.test_document import document, operations

Client = AppClient
STRAY = "sk-stray-5c1D8e2F7a4B9063"
FILLERS = {"string": "x", "integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}


def resolved(document: Any, schema: Any) -> Any:
    """A schema without references, of several the first that is no null."""
    if "$ref" in schema:
        return resolved(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    choices = [resolved(document, one) for kind in ("oneOf", "anyOf", "allOf") for one in schema.get(kind, ())]
    return next((one for one in choices if one.get("type") != "null"), schema)


def bodies(document: Any, schema: Any) -> Iterator[Any]:
    """Bodies with the key at each place: among what is asked for alone, and among all that may be sent."""
    fields = {name: resolved(document, one) for name, one in resolved(document, schema).get("properties", {}).items()}
    filled = {name: one.get("enum", [FILLERS.get(str(one.get("type")), "x")])[0] for name, one in fields.items()}
    asked = {name: filled[name] for name in resolved(document, schema).get("required", ()) if name in filled}
    for value in (STRAY, [STRAY], {STRAY: STRAY}, [{STRAY: STRAY}]):
        yield value
        for name in fields:
            yield {**asked, name: value}
            yield {**filled, name: value}


def requests(document: Any, id: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and the rest of every request with the key in one place."""
    for name, operation in operations(document).items():
        method, template = name.upper().split(" ", 1)[0], name.split(" ", 1)[1]
        sent: dict[str, Any] = {} if method in {"GET", "DELETE"} else {"json": {}}
        path = re.sub(r"\{[^}]*\}", id, template)
        for part in (STRAY, f"credential:{STRAY}"):
            yield method, re.sub(r"\{[^}]*\}", part, template), sent
        yield method, path, {**sent, "params": {STRAY: STRAY}}
        for parameter in operation.get("parameters", ()):
            kind = {"query": "params", "header": "headers"}.get(parameter["in"])
            if kind:
                yield method, path, {**sent, kind: {parameter["name"]: STRAY}}
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for body in bodies(document, content["schema"]):
                yield method, path, {"json": body}


async def test_no_answer_repeats_a_key_that_was_sent_in_the_wrong_place(api: Client) -> None:
    body = {"name": "W", "provider": "openai", "api_key": "sk-own-0a1B2c3D4e5F6g7H"}
    id = (await api.post("/api/credentials", json=body)).json()["id"]
    told: dict[str, str] = {}
    number = 0
    for method, path, sent in requests(await document(api), id):
        answer = await api.request(method, path, **sent)
        number += 1
        if scan(f"{answer.text} {answer.headers!r}", STRAY) and not kept(answer.status_code, sent):
            told[f"{method} {path} {sent}"] = answer.text

    assert told == {}
    assert number > 500


def kept(status: int, sent: dict[str, Any]) -> bool:
    """Whether the key was taken for a name and is one from then on: a label is free, and shown to whoever reads it."""
    body = sent.get("json")
    return status < 300 and isinstance(body, dict) and STRAY in (body.get("name"), body.get("workspace"))
