"""The gateway's paths, and reading a call from a request."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from keycairn.app.gateway.call import Api, Call
from keycairn.app.gateway.form_naming import boundary_of, named_form
from keycairn.app.gateway.headers import RawHeaders, received
from keycairn.app.gateway.kept import KeptBody
from keycairn.app.gateway.naming import NativeBody, named_json
from keycairn.app.gateway.outgoing import StreamedBody, WholeBody
from keycairn.app.gateway.query_naming import check_query_model
from keycairn.app.gateway.request_body import Incoming
from keycairn.app.services.access import Principal
from keycairn.domain.errors import MethodError, NoRouteError, RequestRefusedError
from keycairn.domain.modality import Modality
from keycairn.domain.pass_through import is_operation, names_identity
from keycairn.domain.provider import ProviderSpec

OPENAI, ANTHROPIC, NATIVE = "/v1/", "/anthropic/", "/native/"

_L, _E, _S, _T = Modality.LANGUAGE, Modality.EMBEDDING, Modality.SPEECH_TO_TEXT, Modality.TEXT_TO_SPEECH
_OPENAI_APIS = (
    Api("chat", "/chat/completions", _L),
    Api("completions", "/completions", _L),
    Api("responses", "/responses", _L, keeps=True),
    Api("embeddings", "/embeddings", _E, repeatable=True),
    Api("transcriptions", "/audio/transcriptions", _S),
    Api("translations", "/audio/translations", _S),
    Api("speech", "/audio/speech", _T),
    Api("images", "/images/generations"),
    Api("image_edits", "/images/edits"),
    Api("image_variations", "/images/variations"),
    Api("rerank", "/rerank", repeatable=True),
    Api("moderations", "/moderations", repeatable=True),
)
_ANTHROPIC_APIS = (
    Api("messages", "/messages", _L, anthropic=True),
    Api("count_tokens", "/messages/count_tokens", _L, repeatable=True, anthropic=True, counts=False),
)
APIS: Mapping[str, Api] = {
    **{f"/v1{api.path}": api for api in _OPENAI_APIS},
    **{f"/anthropic/v1{api.path}": api for api in _ANTHROPIC_APIS},
}
"""Every operation that names a model, by its path."""
NATIVE_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})

_PLAIN = re.compile(
    r"(?:[A-Za-z0-9._~!$&'()*+,:=@/-]|%(?:2[0-246-9A-Da-d]|3[ACDEacde]|40|5[BDEbde]|60|7[BCDEbcde]))+", re.ASCII
)
"""What the path of a native call may be made of: no escape of a slash, a dot, a percent, a query or a control."""
_VERSION = re.compile(r"v[0-9]{1,3}(?:(?:alpha|beta|p)[0-9]{0,3})?(?:(?:alpha|beta)[0-9]{0,3})?")
_SEGMENTS_THAT_LEAD = frozenset({"", ".", ".."})


async def model_call(
    api: Api, method: str, query: str, headers: RawHeaders, caller: Principal, incoming: Incoming
) -> Call:
    """A call of an operation that names its model. Raises RequestRefusedError."""
    if method != "POST":
        raise MethodError(("POST",))
    check_query(query)
    given = dict(headers)
    boundary = boundary_of(given.get(b"content-type", b"").decode("latin-1"))
    named = await (named_json(incoming) if boundary is None else named_form(incoming, boundary))
    check_query_model(query, named.name)
    return Call(
        api=api,
        method=method,
        query=query,
        headers=received(headers),
        caller=caller,
        model=named.name,
        body=named,
    )


async def native_call(  # what a request is made of
    path: str, method: str, query: str, headers: RawHeaders, caller: Principal, incoming: Incoming
) -> Call:
    """A call of a provider's own API: `path` is the raw path after `/native/`. Raises NoRouteError or MethodError."""
    if method not in NATIVE_METHODS:
        raise MethodError(NATIVE_METHODS)
    credential, slash, rest = path.partition("/")
    if not credential or not slash or not rest:
        raise NoRouteError
    check_plain(rest)
    check_query(query)
    given = dict(headers)
    has_body = b"content-length" in given or b"transfer-encoding" in given
    body: NativeBody | None = None
    if has_body and incoming.length != 0:
        small = _small(incoming)
        body = NativeBody(WholeBody(await incoming.read()) if small else StreamedBody(KeptBody(incoming)))
    return Call(
        api=Api("native", "/" + rest, native=True),
        method=method,
        query=query,
        headers=received(headers),
        caller=caller,
        credential=unquote(credential),
        body=body,
    )


def check_plain(path: str) -> None:
    """Raise NoRouteError for a path that another parser might read as another one."""
    if not _PLAIN.fullmatch(path) or not _SEGMENTS_THAT_LEAD.isdisjoint(path.split("/")):
        raise NoRouteError


def check_query(query: str) -> None:
    """Raise RequestRefusedError for a query that says who calls, who pays, or another method."""
    if names_identity(query):
        raise RequestRefusedError("The query must not name a key, a token, a user's project or a method.")


def below_base(path: str, base: str) -> tuple[str, str]:
    """A native call's path without what the path of the provider's base URL has already; and the version it asks for.

    An SDK that is pointed at `/native/{credential}` puts its own version before each path, such as `/v1`: the segments
    with which the base URL ends, or another version in place of the last one; "" where it asks for none. `path` begins
    with a slash, and so does what is given.
    """
    segments = [one for one in base.split("/") if one]
    for begin in range(len(segments)):
        ending = "/" + "/".join(segments[begin:])
        if path.startswith(ending + "/"):
            return path.removeprefix(ending), ""
    _, version, rest = (*path.split("/", 2), "", "")[:3]
    if segments and rest and _VERSION.fullmatch(segments[-1]) and _VERSION.fullmatch(version):
        return f"/{rest}", version
    return path, ""


def check_native(spec: ProviderSpec, method: str, path: str) -> None:
    """Raise NoRouteError unless the provider declares the call. `path`, raw, begins with a slash."""
    plain = unquote(path).removeprefix("/")
    if is_operation(spec.native_operations, method, plain):
        return
    for declared in spec.native_paths:
        beginning = declared.strip("/")
        if method == "POST" and (plain == beginning or plain.startswith((beginning + "/", beginning + ":"))):
            return
    raise NoRouteError("This provider's plugin does not declare that call.")


def _small(incoming: Incoming) -> bool:
    """Whether a body is read before it is sent, so that the plugin that authorizes it sees all of it."""
    return incoming.length is not None and incoming.length <= 2**20


__all__ = ["ANTHROPIC", "APIS", "NATIVE", "OPENAI", "RequestRefusedError", "check_native", "model_call", "native_call"]
