"""The model's name in a query, where some clients repeat it."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, unquote_plus

from keycairn.app.gateway.body_members import MODEL, folded
from keycairn.domain.errors import RequestRefusedError


def check_query_model(query: str, name: str) -> None:
    """Raise RequestRefusedError for a query that names another model than `name`, the body's: it was not checked."""
    found = list(_models(query))
    if found and (";" in query or set(found) != {name}):  # for some readers, a semicolon parts parameters too
        raise RequestRefusedError('The query names another "model" than the body does.')


def query_with_model(query: str, name: str) -> str:
    """The query with `name` for each model in it. Nothing else is touched."""
    if "=" not in query:
        return query
    return "&".join(
        f"{part.partition('=')[0]}={quote(name, safe='')}" if _is_model(unquote_plus(part.partition("=")[0])) else part
        for part in query.split("&")
    )


def model_in_query(query: str) -> str | None:
    """The model that the query names, None for none. Raises RequestRefusedError where readers may find several."""
    found = set(_models(query))
    if len(found) > 1 or (found and ";" in query):
        raise RequestRefusedError('The query names more than one "model".')
    return found.pop() if found else None


def without_model(query: str) -> str:
    """The query without its models. Nothing else is touched."""
    return "&".join(part for part in query.split("&") if not _is_model(unquote_plus(part.partition("=")[0])))


def _models(query: str) -> Iterator[str]:
    """The models that any reader of the query may find in it."""
    if not query:
        return
    for text in {query, query.replace(";", "&")}:
        for name, value in parse_qsl(text, keep_blank_values=True):
            if _is_model(name):
                yield value


def _is_model(name: str) -> bool:
    return folded(name) == MODEL
