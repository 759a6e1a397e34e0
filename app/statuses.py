"""Which HTTP status an error has. Nothing else in Keycairn decides one."""

from collections.abc import Mapping

from keycairn.domain import errors
from keycairn.domain.errors import KeycairnError

_STATUSES: Mapping[type[KeycairnError], tuple[int, int]] = {
    # class: (under /api, on the gateway's paths)
    errors.KeycairnError: (500, 500),
    errors.InvalidInputError: (422, 400),
    errors.InvalidIdError: (404, 400),
    errors.UrlRefusedError: (400, 400),
    errors.ModelExistsError: (400, 400),
    errors.InvalidDefaultError: (400, 400),
    errors.BadRequestError: (400, 400),
    errors.UnsupportedMediaTypeError: (415, 415),
    errors.BodyNotSentError: (408, 408),
    errors.RequestRefusedError: (400, 400),
    errors.BodyTooLargeError: (413, 413),
    errors.BodyTooSlowError: (408, 408),
    errors.MethodError: (405, 405),
    errors.IngressError: (400, 400),
    errors.TransferEncodingError: (501, 501),
    errors.ContentEncodingError: (415, 415),
    errors.ExpectationError: (417, 417),
    errors.TargetTooLongError: (414, 414),
    errors.ForeignOriginError: (403, 403),
    errors.NotFoundError: (404, 404),
    errors.ConflictError: (409, 500),
    errors.PreconditionFailedError: (412, 500),
    errors.KeyRotationStateError: (409, 500),
    errors.AccountClosedError: (409, 503),
    errors.AuthenticationError: (401, 401),
    errors.ForbiddenError: (403, 403),
    errors.WrongRootKeyProofError: (403, 500),
    errors.TooManyAttemptsError: (429, 429),
    errors.LimitReachedError: (429, 429),
    errors.OverloadedError: (503, 503),
    errors.SealedError: (503, 503),
    errors.UndecryptableError: (409, 503),
    errors.SpoolError: (503, 503),
    errors.StoreError: (503, 503),
    errors.StoreFullError: (507, 503),
    errors.BackupFileError: (503, 500),
    errors.ProviderError: (502, 502),
    errors.ProviderTimeoutError: (504, 504),
    errors.RateLimitedError: (502, 429),
    errors.EgressRefusedError: (502, 502),
    errors.PluginError: (500, 502),
}
"""A class that is not here has the statuses of the nearest one above it. 500 stands for what no client should ever see:
its text is withheld.

The two columns differ where their clients do. The gateway's callers know the statuses of the provider whose API they
speak: 400 for every call that cannot be used, 429 as the provider gave it, and 503 for a credential that cannot be used
now, which official clients take as a reason to wait; the API's callers get the finer ones of RFC 9110."""


def api_status(error: KeycairnError | type[KeycairnError]) -> int:
    """The status of an error, or of a class of errors, under `/api`."""
    return _statuses(error)[0]


def gateway_status(error: KeycairnError | type[KeycairnError]) -> int:
    """The status of an error, or of a class of errors, on the gateway's paths."""
    return _statuses(error)[1]


def _statuses(error: KeycairnError | type[KeycairnError]) -> tuple[int, int]:
    kind = error if isinstance(error, type) else type(error)
    return next(_STATUSES[each] for each in kind.__mro__ if each in _STATUSES)


def retry_after(error: KeycairnError) -> dict[str, str]:
    """The header that says when to try again (RFC 9110, 10.2.3); none for errors that waiting does not cure.

    Nor for a change that is there, or may be: a client that heeds the header would make it twice.
    """
    if isinstance(error, errors.TooManyAttemptsError):
        return {"Retry-After": str(error.retry_after)}
    made = isinstance(error, errors.CommitPendingError | errors.OutcomeUnknownError)
    return {"Retry-After": "5"} if api_status(error) == 503 and not made else {}
