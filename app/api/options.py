"""What OPTIONS answers."""

from litestar.routes import HTTPRoute
from litestar.types import Message, Scope


async def tell_all_methods(message: Message, scope: Scope) -> None:
    """Let the Allow header of an answer to OPTIONS name every method of the path; a `before_send` hook.

    Litestar's own answer names those of the handler that was registered first.
    """
    if message["type"] != "http.response.start" or scope.get("method") != "OPTIONS":
        return
    path = scope.get("path_template")
    for route in scope["litestar_app"].routes:
        if isinstance(route, HTTPRoute) and route.path_format == path:
            others = [pair for pair in message["headers"] if pair[0].lower() != b"allow"]
            message["headers"] = [*others, (b"allow", ", ".join(sorted(route.methods)).encode())]
