"""Calls about what lives at one account: a response that was stored, a file, a batch."""

from collections.abc import Mapping
from typing import Final

from keycairn.app.gateway.body_members import in_background
from keycairn.app.gateway.call import Api, Call
from keycairn.app.gateway.headers import RawHeaders, received
from keycairn.app.gateway.kept import KeptBody
from keycairn.app.gateway.naming import NamedJson, NativeBody, boundary_of
from keycairn.app.gateway.outgoing import StreamedBody, WholeBody
from keycairn.app.gateway.query_naming import model_in_query, without_model
from keycairn.app.gateway.request_body import Incoming
from keycairn.app.gateway.resource_ids import Resource, ResourceIds, sealed_in
from keycairn.app.gateway.routes import check_query
from keycairn.app.services.access import Principal
from keycairn.domain.errors import (
    MethodError,
    NoRouteError,
    RequestRefusedError,
    ResourceNotFoundError,
)
from keycairn.domain.modality import Modality

_ROOT: Final = "/v1/"
FILES, BATCHES, RESPONSES = "files", "batches", "responses"
_ACTIONS: Mapping[str, Mapping[str, frozenset[str]]] = {
    RESPONSES: {
        "": frozenset({"GET", "DELETE"}),
        "cancel": frozenset({"POST"}),
        "input_items": frozenset({"GET"}),
    },
    FILES: {"": frozenset({"GET", "DELETE"}), "content": frozenset({"GET"})},
    BATCHES: {"": frozenset({"GET"}), "cancel": frozenset({"POST"})},
}
"""What can be done with a resource, by the last segment of the path. Source: OpenAI's API reference."""
NEW_BATCH = f"/{BATCHES}"
ANY_MODEL = "default:chat"
"""Whose account takes a file where no model is named."""


def kind_of(path: str) -> str | None:
    """The kind of resource a path is about, None for none. `/v1/responses` itself is a call of a model."""
    kind, slash, _ = path.removeprefix(_ROOT).partition("/") if path.startswith(_ROOT) else ("", "", "")
    return kind if kind in _ACTIONS and (slash or kind != RESPONSES) else None


async def resource_call(
    path: str, method: str, query: str, headers: RawHeaders, caller: Principal, incoming: Incoming, ids: ResourceIds
) -> Call:
    """The call of a path that `kind_of` knows.

    Raises NoRouteError, MethodError, RequestRefusedError, ResourceNotFoundError, or as `Incoming.read`.
    """
    check_query(query)
    kind, _, rest = path.removeprefix(_ROOT).partition("/")
    call = Call(
        api=Api(kind, f"/{kind}", Modality.LANGUAGE, counts=False),
        method=method,
        query=query,
        headers=received(headers),
        caller=caller,
        resources=ids,
    )
    if rest:
        await _about_one(call, kind, rest, incoming)
    elif method != "POST":
        raise NoRouteError(f"A list of {kind} would show what other tokens made. Keep the ids that you are given.")
    elif kind == FILES:
        _upload(call, headers, incoming)
    else:
        await _batch(call, incoming)
    return call


async def open_references(call: Call, ids: ResourceIds) -> None:
    """Have a call of a model go to the account where what it refers to lives.

    Raises RequestRefusedError where that is not one account, and ResourceNotFoundError.
    """
    if call.api.keeps:
        call.resources = ids
    if isinstance(call.body, NamedJson):
        given = await call.body.references()
        if not given:
            return
        found = [ids.opened(text, call.caller) for text in given]
        call.credential = _home(found)
        call.referred = {one.id.encode(): text for one, text in zip(found, given, strict=True)}
        await call.body.refer_to([one.id for one in found])


async def check_counted(call: Call) -> None:
    """Raise RequestRefusedError for work whose answer does not tell what it uses: who is held to limits does none."""
    if call.api.path == NEW_BATCH or await _in_background(call):
        raise RequestRefusedError(
            "What a batch or a response in the background uses is not told here, so a token or a credential that has a "
            "limit of tokens or money makes none."
        )


async def _in_background(call: Call) -> bool:
    if isinstance(call.body, NamedJson):
        return call.api.keeps and in_background(await call.body.whole())
    if isinstance(call.body, NativeBody) and call.api.native and call.api.path.endswith("/responses"):
        return not call.body.outgoing.whole or in_background(call.body.outgoing.beginning)
    return False


async def _about_one(call: Call, kind: str, rest: str, incoming: Incoming) -> None:
    given, _, action = rest.partition("/")
    methods = _ACTIONS[kind].get(action)
    if methods is None:
        raise NoRouteError
    if call.method not in methods:
        raise MethodError
    found = _opened(call, given)
    call.credential = found.credential
    call.referred = {found.id.encode(): given.encode()}
    call.api = Api(kind, f"/{kind}/{found.id}" + (f"/{action}" if action else ""), Modality.LANGUAGE, counts=False)
    body = await incoming.read()
    call.body = NativeBody(WholeBody(body)) if body else None


def _upload(call: Call, headers: RawHeaders, incoming: Incoming) -> None:
    if boundary_of(dict(headers).get(b"content-type", b"").decode("latin-1")) is None:
        raise RequestRefusedError("A file comes as a form, multipart/form-data.")
    call.model = model_in_query(call.query) or ANY_MODEL
    call.query = without_model(call.query)
    call.body = NativeBody(StreamedBody(KeptBody(incoming)))


async def _batch(call: Call, incoming: Incoming) -> None:
    body = await incoming.read()
    places = list(sealed_in(body))
    if not places:
        raise RequestRefusedError('A batch needs an "input_file_id" that POST /v1/files gave.')
    found = [_opened(call, body[begin:end].decode()) for begin, end in places]
    call.credential = _home(found)
    call.referred = {one.id.encode(): body[begin:end] for (begin, end), one in zip(places, found, strict=True)}
    for (begin, end), one in reversed(list(zip(places, found, strict=True))):
        body = body[:begin] + one.id.encode() + body[end:]
    call.body = NativeBody(WholeBody(body))


def _opened(call: Call, text: str) -> Resource:
    if call.resources is None or not text.isascii():
        raise ResourceNotFoundError
    return call.resources.opened(text.encode(), call.caller)


def _home(found: list[Resource]) -> str | None:
    homes = {one.credential for one in found}
    if len(homes) > 1:
        raise RequestRefusedError("The call refers to what lives at several accounts. Each account knows its own only.")
    return homes.pop() if homes else None
