"""Where the service proves to the commands beside it that it is the one they look for."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Struct

from keycairn.app.api.health import NO_TOKEN, PUBLIC
from keycairn.app.proof import PATH, is_nonce, prove
from keycairn.domain.errors import BadRequestError

FORWARDED = frozenset({"forwarded", "x-forwarded-for", "x-real-ip"})
"""Headers by which a proxy says who its client is; with one, the scope may not tell the ends of the connection."""


class ProofView(Struct, frozen=True):
    """The proof, in hex."""

    proof: str


def proof_handler(secret: str) -> HTTPRouteHandler:
    """The route that proves knowledge of `secret`, for a service that has left it in its data folder."""

    @get(
        PATH,
        opt=PUBLIC,
        security=NO_TOKEN,
        tags=["Health"],
        operation_id="prove_service",
        summary="Is it the service of my data folder?",
    )
    async def prove_identity(
        request: Request[Any, Any, Any],
        nonce: Annotated[str, QueryParameter(description="64 hexadecimal digits, new for each connection.")],
    ) -> ProofView:
        """An HMAC of the nonce and of both ends of this connection; only for direct connections."""
        client, server = request.scope["client"], request.scope["server"]
        if not is_nonce(nonce) or client is None or server is None or server[1] is None:
            message = "A nonce is 64 hexadecimal digits in small letters."
            raise BadRequestError(message)
        if FORWARDED & set(request.headers):
            message = "Only a direct connection can be proven, and this request came through a proxy."
            raise BadRequestError(message)
        return ProofView(prove(secret, nonce, client=client, server=(server[0], server[1])))

    return prove_identity
