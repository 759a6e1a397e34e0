"""Requests that are refused for their form or for the page they come from, whoever sends them."""

from typing import ClassVar

from keycairn.domain.errors import KeycairnError


class IngressError(KeycairnError):
    """`status` is that of HTTP. After one that `closes`, nothing more is read from its connection."""

    code = "request_refused"
    status: ClassVar[int] = 400
    closes: ClassVar[bool] = True


class AmbiguousRequestError(IngressError):
    """Two readers could understand the request differently, and one of them may have checked it for the other."""

    code = "ambiguous_request"


class TransferEncodingError(IngressError):
    """A transfer coding other than chunked."""

    code = "unsupported_transfer_encoding"
    status = 501

    def __init__(self) -> None:
        super().__init__("The only transfer coding that is understood here is chunked.")


class ContentEncodingError(IngressError):
    """A compressed body."""

    code = "unsupported_content_encoding"
    status = 415
    closes = False

    def __init__(self) -> None:
        super().__init__("Compressed bodies are not decoded here. Send the body without Content-Encoding.")


class ExpectationError(IngressError):
    """An Expect header that asks for something else than 100-continue."""

    code = "expectation_failed"
    status = 417
    closes = False

    def __init__(self) -> None:
        super().__init__("The only expectation that can be met here is 100-continue.")


class TargetTooLongError(IngressError):
    """A path, or path and query, beyond the limit, in bytes."""

    code = "uri_too_long"
    status = 414
    closes = False

    def __init__(self, most: int) -> None:
        super().__init__(f"The path of this request, or its path and query, is longer than {most} bytes.")


class ForeignOriginError(IngressError):
    """A page of another site sent the request."""

    code = "foreign_origin"
    status = 403
    closes = False

    def __init__(self) -> None:
        super().__init__(
            "A page of another origin sent this request. Allow its origin with KEYCAIRN_CORS_ORIGINS; if it is "
            "Keycairn's own page behind a proxy, set KEYCAIRN_PUBLIC_URL to the address people use."
        )
