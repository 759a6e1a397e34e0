"""Reading a provider's answer: the one place where it becomes a value or a typed error.

What an answer stands for is decided by `keycairn.domain.provider_failure`. A provider's text is never passed on: it may
repeat the key.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from keycairn.domain.errors import (
    AddressNotFoundError,
    CallRefusedError,
    GarbledAnswerError,
    InvalidAuthError,
    ModelGoneError,
    NoPermissionError,
    ProviderDownError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
)
from keycairn.domain.hidden_failure import hidden_failure
from keycairn.domain.outcome import Outcome
from keycairn.domain.provider_failure import Failure, read_failure
from keycairn.ports.http import Response

BOM = b"\xef\xbb\xbf"
"""What some servers begin JSON with, against RFC 8259."""

_T = TypeVar("_T")


def decode(response: Response, type: type[_T], *, of_model: bool = False) -> _T:
    """The JSON body of a good answer as `type`. Raises as `raise_for_failure`, and GarbledAnswerError."""
    raise_for_failure(response, of_model=of_model)
    try:
        return msgspec.json.decode(response.body.removeprefix(BOM), type=type)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise GarbledAnswerError(status=response.status) from None


def audio(response: Response) -> bytes:
    """The body of a good answer that is sound. Raises as `raise_for_failure`, and GarbledAnswerError."""
    raise_for_failure(response, of_model=True)
    kind = response.headers.get("content-type", "").lower()
    if not response.body or kind.startswith(("application/json", "text/")):
        raise GarbledAnswerError(status=response.status)
    return response.body


def raise_for_failure(response: Response, *, of_model: bool = False) -> None:
    """Raise the ProviderError an answer stands for, unless it is a good one.

    An error inside an answer of a good status is one too. `of_model`: the call was for one model, which the provider
    may say it does not have.
    """
    failure = failure_of(response)
    if failure is not None:
        hidden = response.status < 300 and failure.kind is not Outcome.NOT_A_PROVIDER
        status = failure.status if hidden else response.status
        raise _error(failure, status, of_model=of_model)


def failure_of(response: Response) -> Failure | None:
    """What an answer stands for that is none; None for a good one."""
    status, headers = response.status, response.headers.items()
    if not 200 <= status < 300:
        return read_failure(status, headers, response.body)
    return hidden_failure(status, headers, response.body)


def refuses_key(status: int, body: bytes) -> bool:
    """Whether an error says that the key is bad: by its status, or by what its body says."""
    return read_failure(status, (), body).kind is Outcome.INVALID_AUTH


def _error(failure: Failure, status: int, *, of_model: bool) -> ProviderError:
    if failure.of_model and of_model:
        return ModelGoneError(status=status)
    if failure.kind is Outcome.RATE_LIMITED and not failure.by_api:
        why = f"Something in front of the provider limits the rate ({status}). It proves nothing of the key."
        return GarbledAnswerError(why, status=status)
    make = _ERRORS.get(failure.kind)
    if make is None:
        return ProviderError(f"The provider answered with an error ({status}).", status=status)
    return make(failure, status)


def _stranger(status: int) -> str:
    if 300 <= status < 400:
        return f"The provider answered with a redirect ({status}), which is not followed. Check the URL."
    return f"A page or a proxy answered ({status}), not the provider's API. Check the URL, and what is in between."


_ERRORS: Mapping[Outcome, Callable[[Failure, int], ProviderError]] = {
    Outcome.INVALID_AUTH: lambda _, status: InvalidAuthError(status=status),
    Outcome.NO_PERMISSION: lambda _, status: NoPermissionError(status=status),
    Outcome.QUOTA: lambda _, status: QuotaExhaustedError(status=status),
    Outcome.RATE_LIMITED: lambda failure, _: RateLimitedError(retry_after=failure.retry_after),
    Outcome.NOT_FOUND: lambda _, status: AddressNotFoundError(status=status),
    Outcome.NOT_A_PROVIDER: lambda _, status: GarbledAnswerError(_stranger(status), status=status),
    Outcome.BAD_REQUEST: lambda _, status: CallRefusedError(
        f"The provider refused the request ({status}).", status=status
    ),
    Outcome.PROVIDER_DOWN: lambda _, status: ProviderDownError(
        f"The provider failed ({status}). Try again later.", status=status
    ),
}
