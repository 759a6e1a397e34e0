"""Reading the call that a request is, whichever of the gateway's paths it takes."""

from typing import Any

from keycairn.app.gateway.call import Call
from keycairn.app.gateway.request_body import Incoming
from keycairn.app.gateway.resource_ids import ResourceIds
from keycairn.app.gateway.resources import open_references, resource_call
from keycairn.app.gateway.routes import APIS, NATIVE, model_call, native_call
from keycairn.app.ingress.form import check_form, check_headers, check_path, check_target
from keycairn.app.services.access import Principal

PUBLIC_URL = "keycairn.public_url"
"""In a scope: the address people use, with what stands before our paths."""
_PLAIN = {path: path.encode() for path in APIS}
_NAMES = ("/v1/models/", "/anthropic/v1/models/")
"""Below these, the rest of a path is the name of a model, and goes nowhere."""


def check_request(scope: Any, path: str) -> None:
    """Raise IngressError for a request of ambiguous form; of a native path only its size is looked at here."""
    plain = _PLAIN.get(path)
    if plain is not None and plain == scope.get("raw_path") and not scope["query_string"]:
        check_headers(scope)  # the target is as it is spelled here
    elif path.startswith(NATIVE):
        check_headers(scope)
        check_target(scope)
    else:
        check_form(scope, names=path.startswith(_NAMES))


def check_socket(scope: Any, path: str) -> None:
    """The same for a websocket's handshake."""
    check_headers(scope, upgrade=True)
    raw = check_target(scope)
    if not path.startswith(NATIVE):
        check_path(raw)


async def read_call(scope: Any, path: str, caller: Principal, incoming: Incoming, resources: ResourceIds) -> Call:
    """The call. Raises as those who read it."""
    method, headers = scope["method"], scope["headers"]
    query = scope["query_string"].decode("latin-1")
    api = APIS.get(path)
    if api is None and path.startswith(NATIVE):
        raw = _raw_path(scope).partition(NATIVE)[2]
        return await native_call(raw, method, query, headers, caller, incoming)
    if api is None:
        return await resource_call(path, method, query, headers, caller, incoming, resources, address_in(scope, path))
    call = await model_call(api, method, query, headers, caller, incoming)
    await open_references(call, resources)
    return call


def address_in(scope: Any, path: str) -> str:
    """The URL under which the client found this service: the one that is set, else that of the request."""
    if public := scope.get(PUBLIC_URL):
        return str(public)
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    before = _raw_path(scope).removesuffix(path) if _raw_path(scope).endswith(path) else ""
    return f"{scope['scheme']}://{host}{before}"


def _raw_path(scope: Any) -> str:
    raw = scope.get("raw_path")
    return str(raw.decode("latin-1")) if raw else str(scope["path"])
