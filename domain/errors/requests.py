"""HTTP requests that are refused for their form or for the page they come from."""

from typing import ClassVar

from keycairn.domain.errors.input import InvalidInputError
from keycairn.domain.errors.root import KeycairnError


class BadRequestError(InvalidInputError):
    """The request itself is malformed: not JSON, a broken cursor, a broken header."""

    code = "bad_request"
    remedy = "Mend the request as the sentence says."


class MalformedJsonError(BadRequestError):
    """The body is not JSON."""

    code = "malformed_json"
    remedy = "Send well-formed JSON."

    def __init__(self) -> None:
        super().__init__("The body is not well-formed JSON.")


class RepeatedFieldError(BadRequestError):
    """An object of the body has a field more than once; which of them counts is for no reader to guess."""

    code = "repeated_field"
    remedy = "Send each field once."


class UnsupportedMediaTypeError(BadRequestError):
    """The body is declared as something other than JSON."""

    code = "unsupported_media_type"
    remedy = "Send JSON with `Content-Type: application/json`."

    def __init__(self) -> None:
        super().__init__("The body must be JSON: Content-Type: application/json.")


class InvalidModelTypeError(BadRequestError):
    """A model's type that does not exist."""

    code = "invalid_model_type"
    remedy = "Choose one of the types that the sentence lists."


class MalformedConditionError(BadRequestError):
    """An If-Match header that is not a single ETag of ours."""

    code = "malformed_if_match"
    remedy = "Send the `ETag` as it was received."

    def __init__(self) -> None:
        super().__init__('If-Match must be one ETag as it was received, such as "3", or *.')


class BrokenCursorError(BadRequestError):
    """A cursor that was not made for this caller and this list. One message for all that can be wrong with it."""

    code = "invalid_cursor"
    remedy = "Begin the list again without a cursor."

    def __init__(self) -> None:
        super().__init__("This cursor is not one of this list's. Begin again without it.", {"cursor": "is not valid"})


class BodyNotSentError(BadRequestError):
    """The body did not come, or not in time."""

    code = "body_not_sent"
    remedy = "Send the body at once."

    def __init__(self, within: float) -> None:
        super().__init__(f"The body did not come within {within:g} seconds.")


class IngressError(KeycairnError):
    """The form or the origin of a request. After one that `closes`, nothing more is read from its connection."""

    code = "request_refused"
    remedy = "Mend the request as the sentence says."
    closes: ClassVar[bool] = True


class AmbiguousRequestError(IngressError):
    """Two readers could understand the request differently, and one of them may have checked it for the other."""

    code = "ambiguous_request"
    remedy = "Send each framing header once, and nothing that two readers could understand differently."


class TransferEncodingError(IngressError):
    """A transfer coding other than chunked."""

    code = "unsupported_transfer_encoding"
    remedy = "Send the body chunked or with a `Content-Length`."

    def __init__(self) -> None:
        super().__init__("The only transfer coding that is understood here is chunked.")


class ContentEncodingError(IngressError):
    """A compressed body."""

    code = "unsupported_content_encoding"
    remedy = "Send the body uncompressed."
    closes = False

    def __init__(self) -> None:
        super().__init__("Compressed bodies are not decoded here. Send the body without Content-Encoding.")


class ExpectationError(IngressError):
    """An Expect header that asks for something else than 100-continue."""

    code = "expectation_failed"
    remedy = "Leave the `Expect` header out."
    closes = False

    def __init__(self) -> None:
        super().__init__("The only expectation that can be met here is 100-continue.")


class TargetTooLongError(IngressError):
    """A path, or path and query, beyond the limit, in bytes."""

    code = "uri_too_long"
    remedy = "Send less in the path and the query."
    closes = False

    def __init__(self, most: int) -> None:
        super().__init__(f"The path of this request, or its path and query, is longer than {most} bytes.")


class ForeignOriginError(IngressError):
    """A page of another site sent the request."""

    code = "foreign_origin"
    remedy = "Allow the page's origin with `KEYCAIRN_CORS_ORIGINS`; behind a proxy, set `KEYCAIRN_PUBLIC_URL`."
    closes = False

    def __init__(self) -> None:
        super().__init__(
            "A page of another origin sent this request. Allow its origin with KEYCAIRN_CORS_ORIGINS; if it is "
            "Keycairn's own page behind a proxy, set KEYCAIRN_PUBLIC_URL to the address people use."
        )


class HostNotAllowedError(IngressError):
    """The Host header names somebody else."""

    code = "host_not_allowed"
    remedy = "Add the host name to `KEYCAIRN_ALLOWED_HOSTS`."
    closes = False

    def __init__(self) -> None:
        super().__init__("Keycairn does not go by this host name. Add it to KEYCAIRN_ALLOWED_HOSTS.")
