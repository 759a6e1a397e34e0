"""The list of models, in the forms OpenAI's and Anthropic's clients expect."""

from collections.abc import Sequence
from typing import Any

import msgspec

from keycairn.domain.errors import ModelNotFoundError
from keycairn.domain.model import Model


def openai_models(models: Sequence[Model], wanted: str | None, providers: frozenset[str]) -> bytes:
    """All models as `provider/name`, or the one `wanted`. Raises ModelNotFoundError. `providers` limits nothing."""
    del providers
    items: dict[str, Any] = {}
    for model in models:
        id = f"{model.provider}/{model.name}"
        created = int(model.created.timestamp())
        items.setdefault(id, {"id": id, "object": "model", "created": created, "owned_by": model.provider})
    if wanted is None:
        return msgspec.json.encode({"object": "list", "data": list(items.values())})
    return msgspec.json.encode(_one(items, wanted, {model.id: f"{model.provider}/{model.name}" for model in models}))


def anthropic_models(models: Sequence[Model], wanted: str | None, providers: frozenset[str]) -> bytes:
    """The models of providers that speak Anthropic's API, by their own names. Raises ModelNotFoundError."""
    items: dict[str, Any] = {}
    for model in models:
        if model.provider in providers:
            created = model.created.isoformat().replace("+00:00", "Z")
            items.setdefault(
                model.name, {"type": "model", "id": model.name, "display_name": model.name, "created_at": created}
            )
    if wanted is not None:
        return msgspec.json.encode(_one(items, wanted, {model.id: model.name for model in models}))
    names = list(items)
    page = {
        "data": list(items.values()),
        "has_more": False,
        "first_id": names[0] if names else None,
        "last_id": names[-1] if names else None,
    }
    return msgspec.json.encode(page)


def _one(items: dict[str, Any], wanted: str, by_id: dict[Any, str]) -> Any:
    name = by_id.get(wanted, wanted)
    found = items.get(name) or next((item for id, item in items.items() if id.partition("/")[2] == name), None)
    if found is None:
        raise ModelNotFoundError
    return found
