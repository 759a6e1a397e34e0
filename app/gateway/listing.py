"""The list of models, in the forms OpenAI's and Anthropic's clients expect.

It may be of tens of thousands, so it is made and encoded in turns.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial

import msgspec
from litestar.types import Send
from msgspec import Struct

from keycairn.app.gateway.directory import Directory
from keycairn.app.security_headers import SECURITY_HEADERS
from keycairn.app.services.access import Principal
from keycairn.app.turns import TURN, batches, json_pieces
from keycairn.domain.errors import MethodError, ModelNotFoundError, NoRouteError
from keycairn.domain.ids import ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, Slot
from keycairn.domain.pass_through import has_openai_form
from keycairn.domain.reach import Reach
from keycairn.ports.provider import ProviderRegistry

Listing = Callable[[Sequence[Model], Mapping[Slot, ModelId], str | None, Reach], Awaitable[list[bytes]]]
SEVERAL = "keycairn"
"""Whose a model is said to be that several providers serve."""

_READING = frozenset({"GET", "HEAD"})


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
        if method not in _READING:
            raise MethodError(_READING)
        reach = caller.reach
        wanted = path.partition("/v1/models")[2].lstrip("/")
        pieces = await self._directory.listing(
            caller.workspace,
            (path.startswith("/v1/"), wanted, reach),
            lambda models, slots: listing(models, slots, wanted or None, reach),
        )
        length = str(sum(map(len, pieces))).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length), *SECURITY_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in pieces if method != "HEAD" else ():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Offered(Struct, gc=False):  # no circles, and the collector would go through tens of thousands of them
    """A model as OpenAI's API lists it, and what we add to that."""

    id: str
    object: str
    created: int
    owned_by: str
    type: Modality
    context_length: int | None
    slots: tuple[str, ...]
    native: bool


class _Listed(Struct, gc=False):  # likewise
    """A model as Anthropic's API lists it."""

    type: str
    id: str
    display_name: str
    created_at: str


async def openai_models(
    models: Sequence[Model],
    slots: Mapping[Slot, ModelId],
    wanted: str | None,
    reach: Reach,
    *,
    native: frozenset[tuple[str, Modality]] = frozenset(),
) -> list[bytes]:
    """All models within reach, or the one `wanted`: each pool once, by its name, the others as `provider/name`.

    Each has its type, the shortest context of those behind it, the default slots it fills, and whether it can be
    called at `/native` only: `native` are the providers and types of which that is so. Raises ModelNotFoundError.
    """
    items: dict[str, _Offered] = {}
    by_id: dict[str, str] = {}
    looked_up = frozenset(slots.values())
    async for model in _within(models, reach):
        alone = f"{model.provider}/{model.name}"
        id = alone if model.provider_model is None else model.name
        if wanted is not None:
            by_id.setdefault(alone, id)
        if wanted is not None or model.id in looked_up:
            by_id[model.id] = id
        item = items.get(id)
        if item is None:
            created, only_native = int(model.created.timestamp()), (model.provider, model.type) in native
            items[id] = _Offered(
                id, "model", created, model.provider, model.type, model.context_length, (), only_native
            )
        else:
            if item.owned_by != model.provider:
                item.owned_by = SEVERAL
            told = (item.context_length, model.context_length)
            item.context_length = min((one for one in told if one is not None), default=None)
            item.native = item.native and (model.provider, model.type) in native
    for slot, model_id in slots.items():
        if model_id in by_id:
            items[by_id[model_id]].slots += (slot.called,)
    if wanted is not None:
        return [msgspec.json.encode(_one(items, wanted, by_id))]
    return [b'{"object":"list","data":', *await json_pieces(list(items.values())), b"}"]


async def anthropic_models(
    models: Sequence[Model],
    slots: Mapping[Slot, ModelId],
    wanted: str | None,
    reach: Reach,
    *,
    providers: frozenset[str],
) -> list[bytes]:
    """The models within reach of providers that speak Anthropic's API, each name once. `slots` are not shown.

    Raises ModelNotFoundError.
    """
    del slots
    items: dict[str, _Listed] = {}
    by_id: dict[str, str] = {}
    async for model in _within(models, reach):
        by_id[model.id] = model.name
        if model.provider in providers and model.name not in items:
            created = model.created.isoformat().replace("+00:00", "Z")
            items[model.name] = _Listed("model", model.name, model.name, created)
    if wanted is not None:
        return [msgspec.json.encode(_one(items, wanted, by_id))]
    names = list(items)
    ends = {"has_more": False, "first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return [b'{"data":', *await json_pieces(list(items.values())), b",", msgspec.json.encode(ends)[1:]]


async def _within(models: Sequence[Model], reach: Reach) -> AsyncIterator[Model]:
    """Those of `models` that are linked and may be called; others run in between."""
    whole = reach.whole
    for some in batches(models, TURN):
        for model in some:
            if model.credential is not None and (whole or reach.serves(model)):
                yield model
        await asyncio.sleep(0)


def _one(items: Mapping[str, object], wanted: str, by_id: Mapping[str, str]) -> object:
    name = by_id.get(wanted, wanted)
    found = items.get(name) or next((item for id, item in items.items() if id.partition("/")[2] == name), None)
    if found is None:
        raise ModelNotFoundError
    return found
