"""The query of a request: parameters that its route has, each once."""

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter
from litestar.typing import FieldDefinition

from keycairn.app.web.auth import Access
from keycairn.domain.errors import AmbiguousRequestError, InvalidInputError

API = "/api/"
"""Below it, a route takes no parameter but those that it declares."""


async def check_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse a query that another reader may take otherwise, or that asks for what the route does not do.

    A misspelt `dry_run` would else do what it was meant to prevent. Neither names nor values are repeated: they may be
    keys. What is open to everyone is left alone: probes send parameters of their own. Raises AmbiguousRequestError or
    InvalidInputError.
    """
    query: bytes = connection.scope.get("query_string", b"")
    if not query or connection.scope.get("method") == "OPTIONS" or handler.opt.get("scope") is Access.PUBLIC:
        return
    if b";" in query:
        raise AmbiguousRequestError("A semicolon in a query is written %3B: for some readers it parts parameters.")
    given = Counter(name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True))
    known = declared(handler)
    if repeated := [name for name, times in given.items() if times > 1 and not known.get(name, False)]:
        named = f"The parameter {repeated[0]} of the query" if repeated[0] in known else "A parameter of the query"
        raise AmbiguousRequestError(f"{named} is there more than once.")
    if connection.scope["path"].startswith(API) and not given.keys() <= known.keys():
        names = ", ".join(sorted(known)) or "none"
        raise InvalidInputError(f"The query has a parameter that this request does not have. It has: {names}.")


@lru_cache(maxsize=512)
def declared(handler: BaseRouteHandler) -> Mapping[str, bool]:
    """The parameters of a route's query, and whether each may be repeated."""
    signatures = [handler.parsed_fn_signature]
    signatures += [one.parsed_fn_signature for one in handler.resolve_dependencies().values()]
    return {
        name: field.is_non_string_collection or _of_several(field)
        for signature in signatures
        for name, field in signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }


def _of_several(field: FieldDefinition) -> bool:
    return any(inner.is_non_string_collection for inner in field.inner_types)
