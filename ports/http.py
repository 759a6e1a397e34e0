"""The one way out of the process: a client that vets where it sends."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.errors import GarbledAnswerError
from keycairn.domain.options import NO_OPTIONS, Options
from keycairn.domain.secret import Secret
from keycairn.ports.token_cache import TokenCache

JSON_HEADERS: Mapping[str, str | Secret] = {"Content-Type": "application/json"}


class Request(Struct, frozen=True, kw_only=True):
    """An outgoing request. A header that carries a secret is a `Secret`, so the repr masks it.

    `secret_body`: the body carries one; the request is then judged like one with such a header. `model`: what the
    provider calls the model that a call of the gateway names, "" for any other request.

    Of a call of the gateway, `body` is either all of the body or None: `whole` is False where there is one that is not
    in it, because it is still coming or lies on disk. `body_sha256` is the digest of all of it, in hexadecimal, for a
    provider whose spec says `signs_body`; "" for others. `options` are those of the account that is called: its limits
    of time and its authorities. The host fills them in.
    """

    method: str = "GET"
    url: str
    headers: Mapping[str, str | Secret] = {}
    body: bytes | None = None
    secret_body: bool = False
    model: str = ""
    whole: bool = True
    body_sha256: str = ""
    options: Options = NO_OPTIONS

    def __repr__(self) -> str:
        origin = "/".join(self.url.split("/", 3)[:3])
        return f"Request({self.method} {origin}/..., headers={sorted(self.headers)})"

    def with_header(self, name: str, value: str | Secret) -> "Request":
        """The same request with one more header."""
        return replace(self, headers={**self.headers, name: value})


class Response(Struct, frozen=True, kw_only=True):
    """A whole answer, within the byte cap. `headers` have lower-case names.

    The repr shows no body: it may echo a key.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"

    def json(self) -> Any:
        """The body as JSON. Raises GarbledAnswerError, which holds nothing of it."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise GarbledAnswerError(status=self.status) from None


class Http(Protocol):
    """The guarded client. It follows no redirect, accepts no compressed answer, and reads no proxy settings.

    The one outgoing proxy there may be is the operator's, by Keycairn's own setting.
    """

    async def send(self, request: Request, *, deadline: float = 15.0) -> Response:
        """The answer, whatever its status. `deadline` is for all of it, in seconds; the account may say another.

        Raises EgressRefusedError before anything is sent to a forbidden destination, CannotConnectError,
        ProviderTimeoutError, or GarbledAnswerError for an answer that breaks HTTP or exceeds the byte cap.
        """
        ...

    @property
    def tokens(self) -> TokenCache:
        """Where a token that is bought with an account is kept for it."""
        ...

    def vet(self, url: str, *, field: str | None = None) -> None:
        """Raise UrlRefusedError when `url` can be refused without asking DNS. `field` is named in the error."""
        ...
