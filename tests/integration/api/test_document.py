"""The OpenAPI document says what really happens."""

import re
from typing import Any

import msgspec
import pytest
from tests.app_client import AppClient

from keycairn.app.api import bodies
from keycairn.app.api.decoding import decode
from keycairn.app.api.examples import EXAMPLES
from keycairn.app.api.gateway_paths import TAG as GATEWAY
from keycairn.app.web.problems import Problem

Client = AppClient


async def document(api: Client) -> Any:
    return (await api.get("/openapi/openapi.json", headers={"Authorization": ""})).json()


def operations(document: Any) -> dict[str, Any]:
    return {f"{verb} {path}": op for path, item in document["paths"].items() for verb, op in item.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_body_that_is_understood(name: str) -> None:
    if name == "Problem":
        assert msgspec.convert(EXAMPLES[name], Problem).status == 404
    else:
        assert decode(msgspec.json.encode(EXAMPLES[name]), getattr(bodies, name))


async def test_every_body_has_an_example_and_no_reference_dangles(api: Client) -> None:
    found = await document(api)
    schemas = found["components"]["schemas"]

    assert set(re.findall(r'#/components/schemas/([^"\']+)', str(found))) <= set(schemas)
    for name in EXAMPLES:
        assert schemas[name]["examples"] == [EXAMPLES[name]]


async def test_every_operation_tells_its_problems_and_none_of_the_frameworks(api: Client) -> None:
    found = await document(api)

    for name, operation in operations(found).items():
        if operation["tags"] == [GATEWAY]:  # whose errors are in the words of its clients
            continue
        problem = operation["responses"]["default"]["content"]["application/problem+json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}, name
        errors = {status: answer for status, answer in operation["responses"].items() if status[0] in "45"}
        assert {"400", "429", "503"} <= set(errors), name
        for answer in errors.values():
            assert answer["content"]["application/problem+json"]["schema"] == problem, name
            assert answer["description"]
        assert any(status.startswith("2") for status in operation["responses"]), name
    assert "status_code" not in str(found)


async def test_only_the_probes_are_documented_as_open(api: Client) -> None:
    found = await document(api)

    assert found["security"] == [{"token": []}]
    open_ones = {name for name, operation in operations(found).items() if operation.get("security") == [{}]}
    assert open_ones == {"get /health/live", "get /health/ready"}


async def test_a_secret_is_documented_as_only_ever_sent(api: Client) -> None:
    schemas = (await document(api))["components"]["schemas"]

    assert schemas["CreateCredential"]["properties"]["api_key"]["oneOf"][0]["writeOnly"] is True
    assert "api_key" not in schemas["CredentialView"]["properties"]
    assert "secrets" not in schemas["CredentialView"]["properties"]


async def test_a_body_is_said_to_take_no_field_but_its_own(api: Client) -> None:
    schemas = (await document(api))["components"]["schemas"]
    named = [name for name in ("CreateCredential", "UpdateCredential", "SetDefaults", "NewRootKey") if name in schemas]
    assert len(named) == 4
    assert [schemas[name]["additionalProperties"] for name in named] == [False] * 4
    assert schemas["RegisterModel"]["additionalProperties"] is False, "also inside of another"


async def test_options_names_every_method_of_the_path(api: Client) -> None:
    for path, allowed in (
        ("/api/credentials", "GET, OPTIONS, POST"),
        ("/api/credentials/credential:X", "DELETE, GET, OPTIONS, PUT"),
    ):
        answer = await api.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (204, allowed)


async def test_a_tag_is_demanded_only_where_several_kinds_may_stand(api: Client) -> None:
    schemas = (await document(api))["components"]["schemas"]
    assert "row" in schemas["IncomingModel"]["required"]
    assert "row" not in schemas["IncomingCredential"]["properties"]["models"]["items"]["required"]


async def test_a_number_is_no_time(api: Client) -> None:
    for wrong in ("0.5", "1700000000", "2026-01-31"):
        answer = await api.get(f"/api/audit?until={wrong}")
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["until"]), wrong
    assert (await api.get("/api/audit?until=2026-01-31T12:00:00Z")).status_code == 200


async def test_operations_are_called_as_one_would_call_their_functions(api: Client) -> None:
    found = operations(await document(api))
    names = [operation["operationId"] for operation in found.values()]

    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []
    assert found["post /api/credentials"]["operationId"] == "create_credential"
    verbs = {name.partition("_")[0] for name in names}
    assert verbs <= {
        *("assign", "cancel", "change", "check", "count", "create", "delete", "discard", "discover", "forget", "get"),
        *(
            "import",
            "list",
            "migrate",
            "prove",
            "register",
            "repair",
            "replay",
            "resume",
            "revoke",
            "rotate",
            "sync",
            "test",
            "update",
        ),
        "verify",
        *("call", "edit", "moderate", "rerank", "vary"),
    }
