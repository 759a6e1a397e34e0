"""The OpenAPI document, and a page to read it and try it that loads nothing from elsewhere."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import msgspec
from litestar import Request, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, OpenAPIType, Schema, SecurityScheme, Server
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from keycairn.app.api.constraints import constrained_parameters, constrained_schemas
from keycairn.app.api.examples import EXAMPLES
from keycairn.app.api.gateway_paths import ERRORS, gateway_paths
from keycairn.app.api.openapi_page import PAGE, SCRIPT, STYLE
from keycairn.app.web.auth import Access
from keycairn.app.web.problems import MEDIA_TYPE, Problem
from keycairn.domain.secret import Secret

_ABOUT = (
    "Keeps accounts at AI providers as encrypted records, links models to them, and lets applications use those "
    "models without holding a key. Every request needs a token: `Authorization: Bearer kc_...`; only the health "
    "probes and this document are open. Errors are `application/problem+json` with a stable `code`."
)
_PROBLEM = "#/components/schemas/Problem"
_PROBLEMS: Mapping[str, str] = {
    "400": "The request is malformed, or what it asks for cannot be.",
    "401": "No token, or one that is unknown, expired or revoked.",
    "403": "The token does not carry the scope, or does not reach so far.",
    "404": "There is no such record in the token's workspace.",
    "409": "Somebody else changed the data in between, or the record is there already.",
    "412": "`If-Match` names a version that is not the current one.",
    "413": "The body is too large.",
    "415": "The body is not declared as JSON, or is compressed.",
    "422": "A field cannot be used; `errors` names each.",
    "429": "Too many failed attempts; `Retry-After` says how long to wait.",
    "502": "The provider cannot be reached, or its answer cannot be used.",
    "503": "Nothing can be stored or opened: no root key, or no database.",
}
_DONE: Mapping[str, str] = {"200": "Done.", "201": "Made.", "202": "Begun; it goes on by itself."}
_ASKING = ("/discover", "/sync", "/test", "/key-rotation")
"""What stands in the paths of operations that ask a provider."""


class SecretSchema(OpenAPISchemaPlugin):
    """Documents a secret as text that is only ever sent."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Whether it is `Secret`."""
        return value is Secret

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:  # noqa: ARG002  # the interface
        """The schema of a secret."""
        return Schema(type=OpenAPIType.STRING, description="A secret; never answered back.", write_only=True)


class TryPage(OpenAPIRenderPlugin):
    """The page."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002  # the interface
        """The page with the document inside."""
        document = msgspec.json.encode(completed(openapi_schema)).decode().replace("<", "\\u003c")
        return PAGE.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT).replace("{{document}}", document).encode()


class PlainJson(OpenAPIRenderPlugin):
    """The document as plain JSON, which every tool reads."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type="application/json")  # type: ignore[arg-type]  # not Litestar's vendor type

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:  # noqa: ARG002  # the interface
        """The document."""
        return msgspec.json.encode(completed(openapi_schema))


def completed(document: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with our errors for Litestar's own, with examples, and with bodies as strict as ours."""
    schemas = {**document["components"]["schemas"], "Problem": _problem_schema()}
    bodies = [part["requestBody"] for item in document["paths"].values() for part in _operations(item)]
    for name in _named(bodies, schemas):
        if "properties" in schemas[name]:
            own = {field: _untagged(part, schemas) for field, part in schemas[name]["properties"].items()}
            schemas[name] = {**schemas[name], "properties": own, "additionalProperties": False}
    for name, example in EXAMPLES.items():
        if name in schemas:
            schemas[name] = {**schemas[name], "examples": [example]}
    paths = {
        path: {verb: _with_problems(part, verb=verb, path=path) for verb, part in item.items()}
        for path, item in document["paths"].items()
    }
    schemas = {**constrained_schemas(schemas), **ERRORS}
    paths |= gateway_paths()
    return {**document, "paths": paths, "components": {**document["components"], "schemas": schemas}}


def _untagged(field: Any, schemas: Mapping[str, Any]) -> Any:
    """`field`, a list of one kind of object, without the demand for a tag, which is only asked for among several."""
    name = str(field.get("items", {}).get("$ref", "")).rpartition("/")[2]
    one = schemas.get(name, {})
    tags = {tag for tag, part in one.get("properties", {}).items() if "const" in part}
    if not tags:
        return field
    needed = [tag for tag in one.get("required", ()) if tag not in tags]
    return {**field, "items": {**one, "required": needed, "additionalProperties": False}}


def _operations(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [part for part in item.values() if isinstance(part, dict) and "requestBody" in part]


def _named(part: Any, schemas: Mapping[str, Any]) -> set[str]:
    """The schemas that `part` refers to, and those that they refer to."""
    found: set[str] = set()
    waiting = [part]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            name = str(one.get("$ref", "")).rpartition("/")[2]
            if name in schemas and name not in found:
                found.add(name)
                waiting.append(schemas[name])
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return found


def _with_problems(operation: Any, *, verb: str, path: str) -> Any:
    """`operation` with the statuses of its problems in place of Litestar's own, and `default` for all others."""
    if not isinstance(operation, dict) or "responses" not in operation:
        return operation
    own = {
        status: {**answer, "description": _DONE.get(status, answer["description"])}
        for status, answer in operation["responses"].items()
        if status != "400"
    }
    operation = {**operation, "parameters": constrained_parameters(path, operation.get("parameters", []))}
    problems = {status: _problem(_PROBLEMS[status]) for status in _statuses(operation, verb=verb, path=path)}
    default = _problem("Another problem; `code` says which.")
    return _with_body(operation) | {"responses": {**own, **problems, "default": default}}


def _statuses(operation: Mapping[str, Any], *, verb: str, path: str) -> Iterator[str]:
    """The statuses of the problems that an operation may end with, by what it takes."""
    yield "400"
    if operation.get("security") != [{}]:
        yield from ("401", "403")
    if "{" in path or "requestBody" in operation:  # either may name a record
        yield "404"
    if verb != "get":
        yield "409"
    if any(parameter.get("name") == "If-Match" for parameter in operation.get("parameters", ())):
        yield "412"
    if "requestBody" in operation:
        yield from ("413", "415")
    yield "422"
    yield "429"
    if any(word in path for word in _ASKING):
        yield "502"
    yield "503"


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": _PROBLEM}}}}


def _with_body(operation: dict[str, Any]) -> dict[str, Any]:
    """`operation`, its body told as one that may be left out where the handler takes None for it."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    kinds = [kind for kind in content.get("schema", {}).get("oneOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return operation
    return {**operation, "requestBody": {"required": False, "content": {"application/json": {"schema": kinds[0]}}}}


def _problem_schema() -> dict[str, Any]:
    _, components = msgspec.json.schema_components([Problem], ref_template="#/components/schemas/{name}")
    schema: dict[str, Any] = components["Problem"]
    return schema


def openapi_config(path: str) -> OpenAPIConfig:
    """The document, at `/openapi` and `/openapi/openapi.json`, of routes below `path`, which may be a whole address."""
    token = SecurityScheme(type="http", scheme="bearer", description="A Keycairn token, kc_...")
    policy = (
        f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    router = Router(
        "/openapi",
        route_handlers=[],
        opt={"scope": Access.PUBLIC},
        include_in_schema=False,
        response_headers={"Content-Security-Policy": policy},
    )
    return OpenAPIConfig(
        title="Keycairn",
        version="1",
        description=_ABOUT,
        servers=[Server(url=path)],
        components=Components(security_schemes={"token": token}),
        security=[{"token": []}],
        use_handler_docstrings=True,
        openapi_router=router,
        render_plugins=[TryPage(path="/"), PlainJson()],
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
