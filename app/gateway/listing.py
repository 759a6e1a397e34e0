"""The list of models, in the forms OpenAI's and Anthropic's clients expect.

It may be of tens of thousands, so it is made and encoded in turns.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from litestar.types import Send

from keycairn.app.gateway.directory import Directory
from keycairn.app.security_headers import SECURITY_HEADERS
from keycairn.app.services.access import Principal
from keycairn.app.turns import TURN, json_list
from keycairn.domain.errors import MethodError, ModelNotFoundError, NoRouteError
from keycairn.domain.ids import ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, Slot
from keycairn.domain.passing import has_openai_form
from keycairn.domain.reach import Reach
from keycairn.ports.provider import ProviderRegistry

Listing = Callable[[Sequence[Model], Mapping[Slot, ModelId], str | None, Reach], Awaitable[bytes]]
SEVERAL = "keycairn"
"""Whose a model is said to be that several providers serve."""


class ModelLists:
    """Answers the calls that ask for models. `anthropic` are the providers that speak Anthropic's API."""

    def __init__(self, directory: Directory, anthropic: frozenset[str], registry: ProviderRegistry) -> None:
        self._directory = directory
        self._anthropic = anthropic
        self._native = frozenset(
            (one.spec.name, type)
            for one in registry.all()
            for type in Modality
            if not has_openai_form(one.spec.native_operations, type)
        )

    async def serve(self, path: str, method: str, caller: Principal, send: Send) -> None:
        """Send the models, or the one in the path, in the form of the API the caller speaks.

        Raises NoRouteError, MethodError or ModelNotFoundError.
        """
        listing: Listing
        if path == "/v1/models" or path.startswith("/v1/models/"):
            listing = partial(openai_models, native=self._native)
        elif path == "/anthropic/v1/models" or path.startswith("/anthropic/v1/models/"):
            listing = partial(anthropic_models, providers=self._anthropic)
        else:
            raise NoRouteError
        if method not in {"GET", "HEAD"}:
            raise MethodError
        reach = caller.reach
        wanted = path.partition("/v1/models")[2].lstrip("/")
        body = await self._directory.listing(
            caller.workspace,
            (path.startswith("/v1/"), wanted, reach),
            lambda models, slots: listing(models, slots, wanted or None, reach),
        )
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += SECURITY_HEADERS
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body, "more_body": False})


async def openai_models(
    models: Sequence[Model],
    slots: Mapping[Slot, ModelId],
    wanted: str | None,
    reach: Reach,
    *,
    native: frozenset[tuple[str, Modality]] = frozenset(),
) -> bytes:
    """All models within reach, or the one `wanted`: each pool once, by its name, the others as `provider/name`.

    Each has its type, the shortest context of those behind it, the default slots it fills, and whether it can be
    called at `/native` only: `native` are the providers and types of which that is so. Raises ModelNotFoundError.
    """
    items: dict[str, Any] = {}
    by_id: dict[str, str] = {}
    for done, model in enumerate(models, 1):
        if model.credential is not None and reach.serves(model):
            alone = f"{model.provider}/{model.name}"
            id = model.name if model.pooled else alone
            by_id[model.id] = id
            by_id.setdefault(alone, id)
            item = items.get(id)
            if item is None:
                items[id] = {
                    "id": id,
                    "object": "model",
                    "created": int(model.created.timestamp()),
                    "owned_by": model.provider,
                    "type": model.type,
                    "context_length": model.context_length,
                    "slots": [],
                    "native": (model.provider, model.type) in native,
                }
            else:
                if item["owned_by"] != model.provider:
                    item["owned_by"] = SEVERAL
                told = (item["context_length"], model.context_length)
                item["context_length"] = min((one for one in told if one is not None), default=None)
                item["native"] = item["native"] and (model.provider, model.type) in native
        if done % TURN == 0:
            await asyncio.sleep(0)
    for slot, model_id in slots.items():
        if model_id in by_id:
            items[by_id[model_id]]["slots"].append(slot.called)
    if wanted is not None:
        return msgspec.json.encode(_one(items, wanted, by_id))
    return b'{"object":"list","data":' + await json_list(list(items.values())) + b"}"


async def anthropic_models(
    models: Sequence[Model],
    slots: Mapping[Slot, ModelId],
    wanted: str | None,
    reach: Reach,
    *,
    providers: frozenset[str],
) -> bytes:
    """The models within reach of providers that speak Anthropic's API, each name once. `slots` are not shown.

    Raises ModelNotFoundError.
    """
    del slots
    items: dict[str, Any] = {}
    by_id: dict[str, str] = {}
    for done, model in enumerate(models, 1):
        if model.credential is not None and reach.serves(model):
            by_id[model.id] = model.name
            if model.provider in providers and model.name not in items:
                created = model.created.isoformat().replace("+00:00", "Z")
                items[model.name] = {
                    "type": "model",
                    "id": model.name,
                    "display_name": model.name,
                    "created_at": created,
                }
        if done % TURN == 0:
            await asyncio.sleep(0)
    if wanted is not None:
        return msgspec.json.encode(_one(items, wanted, by_id))
    names = list(items)
    ends = {"has_more": False, "first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return b'{"data":' + await json_list(list(items.values())) + b"," + msgspec.json.encode(ends)[1:]


def _one(items: dict[str, Any], wanted: str, by_id: dict[str, str]) -> Any:
    name = by_id.get(wanted, wanted)
    found = items.get(name) or next((item for id, item in items.items() if id.partition("/")[2] == name), None)
    if found is None:
        raise ModelNotFoundError
    return found
