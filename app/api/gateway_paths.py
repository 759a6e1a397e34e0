"""The gateway in the OpenAPI document: OpenAI's and Anthropic's operations, and providers' own APIs.

What the bodies hold besides the model is OpenAI's, Anthropic's or the provider's to say, and passes through.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from keycairn.app.gateway.routes import ANTHROPIC, APIS, NATIVE, NATIVE_METHODS, OPENAI

TAG = "Gateway"
ERRORS: Mapping[str, Any] = {
    "GatewayError": {
        "title": "GatewayError",
        "description": "An error as OpenAI's clients read it; `code` is stable.",
        "type": "object",
        "properties": {"error": {"type": "object", "required": ["message"], "additionalProperties": True}},
        "required": ["error"],
    },
    "GatewayAnthropicError": {
        "title": "GatewayAnthropicError",
        "description": "An error as Anthropic's clients read it.",
        "type": "object",
        "properties": {
            "type": {"const": "error"},
            "error": {"type": "object", "required": ["type", "message"], "additionalProperties": True},
        },
        "required": ["type", "error"],
    },
}
_CALLS: Mapping[str, tuple[str, str]] = {
    "chat": ("create_chat_completion", "Answer a conversation"),
    "completions": ("create_completion", "Complete a text"),
    "responses": ("create_response", "Answer by the responses API"),
    "embeddings": ("create_embedding", "Embed texts"),
    "transcriptions": ("create_transcription", "Write down what is said"),
    "translations": ("create_translation", "Write down what is said, in English"),
    "speech": ("create_speech", "Speak a text"),
    "images": ("create_image", "Draw an image"),
    "image_edits": ("edit_image", "Edit an image"),
    "image_variations": ("vary_image", "Vary an image"),
    "rerank": ("rerank_documents", "Rank documents"),
    "moderations": ("moderate_text", "Judge a text"),
    "messages": ("create_message", "Answer a conversation, by Anthropic's API"),
    "count_tokens": ("count_message_tokens", "Count the tokens of a conversation"),
}
_NATIVE = ("credential", "path")
_BYTES: Mapping[str, Any] = {"type": "string", "format": "binary"}
_FORMS = frozenset({"transcriptions", "translations", "image_edits", "image_variations"})
_STREAMS = frozenset({"chat", "completions", "responses", "messages"})
_BODIES: Mapping[str, Mapping[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "Hello"}]},
    "completions": {"prompt": "Once"},
    "responses": {"input": "Hello"},
    "embeddings": {"input": "Hello"},
    "speech": {"input": "Hello", "voice": "alloy"},
    "images": {"prompt": "A cairn"},
    "rerank": {"query": "a cairn", "documents": ["stones"]},
    "moderations": {"input": "Hello"},
    "messages": {"max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]},
    "count_tokens": {"messages": [{"role": "user", "content": "Hello"}]},
}
_KEPT: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    OPENAI: (
        ("get", "responses/{id}", "get_response", "Get a response that this token made"),
        ("delete", "responses/{id}", "delete_response", "Delete a response"),
        ("post", "responses/{id}/cancel", "cancel_response", "Cancel a response"),
        ("get", "responses/{id}/input_items", "list_response_inputs", "List what a response was asked"),
        ("post", "files", "create_file", "Upload a file"),
        ("get", "files/{id}", "get_file", "Get a file that this token made"),
        ("delete", "files/{id}", "delete_file", "Delete a file"),
        ("get", "files/{id}/content", "get_file_content", "Get what a file holds"),
        ("post", "batches", "create_batch", "Begin a batch"),
        ("get", "batches/{id}", "get_batch", "Get a batch that this token made"),
        ("post", "batches/{id}/cancel", "cancel_batch", "Cancel a batch"),
    ),
    f"{ANTHROPIC}v1/": (
        ("post", "messages/batches", "create_message_batch", "Begin a batch of messages"),
        ("get", "messages/batches/{id}", "get_message_batch", "Get a batch that this token made"),
        ("delete", "messages/batches/{id}", "delete_message_batch", "Delete a batch"),
        ("post", "messages/batches/{id}/cancel", "cancel_message_batch", "Cancel a batch"),
        ("get", "messages/batches/{id}/results", "get_message_batch_results", "Get the answers of a batch"),
        ("post", "files", "create_anthropic_file", "Upload a file"),
        ("get", "files/{id}", "get_anthropic_file", "Get a file that this token made"),
        ("delete", "files/{id}", "delete_anthropic_file", "Delete a file"),
        ("get", "files/{id}/content", "get_anthropic_file_content", "Get what a file holds"),
    ),
}
_STATUSES: Mapping[str, str] = {
    "400": "The request cannot be understood, names no model, or the provider refused it.",
    "401": "No token, or one that is unknown, expired or revoked.",
    "403": "The token does not carry the scope `invoke`, or does not reach so far.",
    "404": "There is no such model, account or operation for this token.",
    "413": "The body is too large.",
    "429": "A limit of the token or of the account is used up, or the provider's is; `Retry-After` says for how long.",
    "502": "The provider cannot be reached, or its answer cannot be used.",
    "503": "Nothing can be opened: no root key, or no database.",
    "504": "The provider took too long.",
}


def gateway_paths() -> dict[str, Any]:
    """The paths, as the document has them."""
    paths: dict[str, Any] = {}
    for path, verb, operation in _all():
        paths.setdefault(path, {})[verb] = operation
    return paths


def _all() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, api in APIS.items():
        id, summary = _CALLS[api.name]
        yield path, "post", _operation(id, summary, anthropic=api.anthropic, body=_body(api.name), api=api.name)
    for start, word in ((OPENAI, ""), (f"{ANTHROPIC}v1/", "anthropic_")):
        anthropic = bool(word)
        yield (
            f"{start}models",
            "get",
            _operation(f"list_{word}gateway_models", "List what may be called", anthropic=anthropic),
        )
        one = _operation(f"get_{word}gateway_model", "Get what may be called", anthropic=anthropic, names=("name",))
        yield f"{start}models/{{name}}", "get", one
        for verb, rest, id, summary in _KEPT[start]:
            names = ("id",) if "{id}" in rest else ()
            body = None if verb != "post" or rest.endswith("cancel") else _any_body(form=rest == "files")
            yield f"{start}{rest}", verb, _operation(id, summary, anthropic=anthropic, names=names, body=body)
    for method in sorted(NATIVE_METHODS - {"HEAD"}):
        summary = "Call a provider's own API with an account's key"
        body = None if method in {"GET", "DELETE"} else {**_any_body(form=False), "required": False}
        id = f"call_provider_by_{method.lower()}"
        yield f"{NATIVE}{{credential}}/{{path}}", method.lower(), _operation(id, summary, names=_NATIVE, body=body)


def _operation(  # one for each part
    id: str,
    summary: str,
    *,
    anthropic: bool = False,
    names: tuple[str, ...] = (),
    body: Mapping[str, Any] | None = None,
    api: str = "",
) -> dict[str, Any]:
    problem = {"$ref": f"#/components/schemas/{'GatewayAnthropicError' if anthropic else 'GatewayError'}"}
    errors = {
        status: {"description": why, "content": {"application/json": {"schema": problem}}}
        for status, why in (*_STATUSES.items(), ("default", "Another error, of Keycairn's or of the provider's."))
    }
    if names == _NATIVE:  # the provider's own errors are among them
        errors = {status: {**told, "content": {"application/json": {"schema": {}}}} for status, told in errors.items()}
    kinds = ["application/json"]
    if api in _STREAMS:
        kinds.append("text/event-stream")
    if api == "speech" or "content" in id or names == _NATIVE:
        kinds.append("application/octet-stream")
    content = {kind: {"schema": _BYTES if kind == "application/octet-stream" else {}} for kind in kinds}
    operation: dict[str, Any] = {
        "tags": [TAG],
        "summary": summary,
        "description": _description(anthropic=anthropic, names=names, api=api),
        "operationId": id,
        "security": [{"token": []}],
        "responses": {"200": {"description": "The provider's answer.", "content": content}, **errors},
    }
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in names
        ]
    if body is not None:
        operation["requestBody"] = dict(body)
    return operation


def _description(*, anthropic: bool, names: tuple[str, ...], api: str) -> str:
    """Who answers, and in whose form."""
    if names == _NATIVE:
        return "The provider's own path, body and answer. The key is added; the model, where one is named, is checked."
    form = "Anthropic's" if anthropic else "OpenAI's"
    if api:
        return f"In {form} form. The model's account answers, or the next one of its pool."
    if names == ("id",):
        return f"In {form} form. The account that holds it answers, for the token that made it alone."
    return f"In {form} form, as far as the token reaches."


def _body(api: str) -> dict[str, Any]:
    model = {
        "type": "string",
        "minLength": 1,
        "description": "A model's name, `provider/name`, id, or a slot such as `default:chat`.",
    }
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"model": model},
        "required": ["model"],
        "additionalProperties": True,
    }
    if api in _FORMS:
        return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    example = {"model": "openai/gpt-4o-mini", **_BODIES[api]}
    return {"required": True, "content": {"application/json": {"schema": {**schema, "examples": [example]}}}}


def _any_body(*, form: bool) -> dict[str, Any]:
    kind = "multipart/form-data" if form else "application/json"
    return {"required": True, "content": {kind: {"schema": {"type": "object", "additionalProperties": True}}}}
