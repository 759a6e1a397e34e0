"""Calls about what lives at one account: a response that was stored, a file, a batch."""

from collections.abc import Mapping

from msgspec import Struct

from keycairn.app.gateway.body_members import in_background, looked_into
from keycairn.app.gateway.call import Api, Call
from keycairn.app.gateway.form_naming import boundary_of
from keycairn.app.gateway.headers import RawHeaders, received
from keycairn.app.gateway.kept import KeptBody
from keycairn.app.gateway.message_batch import message_batch
from keycairn.app.gateway.naming import NamedJson, NativeBody
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

FILES, BATCHES, RESPONSES = "files", "batches", "responses"


class ResourceKind(Struct, frozen=True):
    """A kind of resource: what its paths begin with, and what can be done with one, by the path's last segment."""

    name: str
    root: str
    path: str
    actions: Mapping[str, frozenset[str]]
    anthropic: bool = False
    results: bool = False
    """Whether it says at which URL its results are."""

    @property
    def whole(self) -> str:
        """The path, whatever follows it."""
        return self.root + self.path


_GET, _POST, _BOTH = frozenset({"GET"}), frozenset({"POST"}), frozenset({"GET", "DELETE"})
_OPENAI, _ANTHROPIC = "/v1", "/anthropic/v1"
_KINDS = (
    ResourceKind(RESPONSES, _OPENAI, "/responses", {"": _BOTH, "cancel": _POST, "input_items": _GET}),
    ResourceKind(FILES, _OPENAI, "/files", {"": _BOTH, "content": _GET}),
    ResourceKind(BATCHES, _OPENAI, "/batches", {"": _GET, "cancel": _POST}),
    ResourceKind(FILES, _ANTHROPIC, "/files", {"": _BOTH, "content": _GET}, anthropic=True),
    ResourceKind(
        BATCHES,
        _ANTHROPIC,
        "/messages/batches",
        {"": _BOTH, "cancel": _POST, "results": _GET},
        anthropic=True,
        results=True,
    ),
)
"""Sources: OpenAI's and Anthropic's API references."""
NEW_BATCHES = frozenset(one.path for one in _KINDS if one.name == BATCHES)
_MAY_START_WORK = ("/responses", "/interactions")
"""Ends of native paths that start work behind their answer where their body says so."""
ANY_MODEL = "default:chat"
"""Whose account takes a file where no model is named."""


def kind_of(path: str) -> str | None:
    """The kind of resource a path is about, None for none. `/v1/responses` itself is a call of a model."""
    kind = _kind(path)
    return None if kind is None else kind.name


def _kind(path: str) -> ResourceKind | None:
    for one in _KINDS:
        if path.startswith(one.whole) and path[len(one.whole) :][:1] in {"", "/"}:
            return None if path == one.whole and one.name == RESPONSES else one
    return None


async def resource_call(  # what a request is made of
    path: str,
    method: str,
    query: str,
    headers: RawHeaders,
    caller: Principal,
    incoming: Incoming,
    ids: ResourceIds,
    here: str,
) -> Call:
    """The call of a path that `kind_of` knows. `here` is the URL under which the client finds this service.

    Raises NoRouteError, MethodError, RequestRefusedError, ResourceNotFoundError, or as `Incoming.read`.
    """
    check_query(query)
    kind = _kind(path)
    if kind is None:
        raise NoRouteError
    rest = path[len(kind.whole) + 1 :]
    call = Call(
        api=_api(kind, kind.path),
        method=method,
        query=query,
        headers=received(headers),
        caller=caller,
        resources=ids,
        results_below=here + kind.whole if kind.results else "",
    )
    if rest:
        await _about_one(call, kind, rest, incoming)
    elif method != "POST":
        raise NoRouteError(f"A list of {kind.name} would show what other tokens made. Keep the ids that you are given.")
    elif kind.name == FILES:
        _upload(call, headers, incoming)
    elif kind.anthropic:
        await _message_batch(call, incoming)
    else:
        await _batch(call, incoming)
    return call


def _api(kind: ResourceKind, path: str) -> Api:
    return Api(kind.name, path, Modality.LANGUAGE, counts=False, anthropic=kind.anthropic)


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
    if call.api.path in NEW_BATCHES or await _in_background(call):
        raise RequestRefusedError(
            "What a batch or a response in the background uses is not told here, so a token or a credential that has a "
            "limit of tokens or money makes none."
        )


async def _in_background(call: Call) -> bool:
    if isinstance(call.body, NamedJson):
        return await looked_into(await call.body.whole(), in_background)
    if not isinstance(call.body, NativeBody) or not call.api.native:
        return False
    outgoing = call.body.outgoing
    begun = outgoing.beginning.lstrip()
    # Of other paths, what is no JSON is sound or pictures: those have no such member.
    may = call.api.path.endswith(_MAY_START_WORK) or (outgoing.whole and begun.startswith(b"{"))
    return may and (not outgoing.whole or await looked_into(outgoing.beginning, in_background))


async def _about_one(call: Call, kind: ResourceKind, rest: str, incoming: Incoming) -> None:
    given, _, action = rest.partition("/")
    methods = kind.actions.get(action)
    if methods is None:
        raise NoRouteError
    if call.method not in methods:
        raise MethodError(methods)
    found = _opened(call, given)
    call.credential = found.credential
    call.referred = {found.id.encode(): given.encode()}
    call.api = _api(kind, f"{kind.path}/{found.id}" + (f"/{action}" if action else ""))
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


async def _message_batch(call: Call, incoming: Incoming) -> None:
    call.body = body = await message_batch(incoming)
    call.model = body.name
    found = [_opened(call, text.decode()) for text in body.references]
    call.credential = _home(found)
    call.referred = {one.id.encode(): text for one, text in zip(found, body.references, strict=True)}
    body.refer_to([one.id for one in found])


def _opened(call: Call, text: str) -> Resource:
    if call.resources is None or not text.isascii():
        raise ResourceNotFoundError
    return call.resources.opened(text.encode(), call.caller)


def _home(found: list[Resource]) -> str | None:
    homes = {one.credential for one in found}
    if len(homes) > 1:
        raise RequestRefusedError("The call refers to what lives at several accounts. Each account knows its own only.")
    return homes.pop() if homes else None
