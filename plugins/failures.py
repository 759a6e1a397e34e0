"""Reading a provider's answer: the one place where it becomes a value or a typed error.

A provider's text is read for the codes it documents, and never passed on: it may repeat the key.
"""

from typing import Any, TypeVar

import msgspec

from keycairn.domain.errors import (
    GarbledAnswerError,
    InvalidAuthError,
    ModelGoneError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
)
from keycairn.domain.retry_after import retry_after
from keycairn.ports.http import Response

QUOTA_CODES = frozenset(
    {
        "insufficient_quota",  # OpenAI, DashScope
        "billing_hard_limit_reached",  # OpenAI
        "billing_not_active",  # OpenAI
        "billing_error",  # Anthropic
        "insufficient_balance",  # DeepSeek, MiniMax
        "insufficient_credits",  # OpenRouter
        "quota_exceeded",  # ElevenLabs
        "arrearage",  # DashScope
    }
)
AUTH_CODES = frozenset(
    {
        "invalid_api_key",  # OpenAI, Groq, ElevenLabs
        "api_key_invalid",  # Google, which answers 400
        "api_key_service_blocked",  # Google
        "authentication_error",  # Anthropic
        "invalidapikey",  # DashScope
        "invalid_grant",  # Google's token endpoint, for a service account
    }
)
MODEL_CODES = frozenset(
    {
        "model_not_found",  # OpenAI, xAI, Groq
        "deploymentnotfound",  # Azure
        "invalid_model",  # Mistral, which answers 400
    }
)

_QUOTA_WORDS = ("credit balance is too low", "insufficient balance")
_AUTH_WORDS = ("incorrect api key provided",)
"""xAI's, which answers 400 and gives no code of its own to it."""
_NESTED = 4
_T = TypeVar("_T")


def decode(response: Response, type: type[_T], *, of_model: bool = False) -> _T:
    """The JSON body of a good answer as `type`. Raises as `raise_for_failure`, and GarbledAnswerError."""
    raise_for_failure(response, of_model=of_model)
    try:
        return msgspec.json.decode(response.body, type=type)
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
    """Raise the ProviderError an answer stands for, unless its status is 2xx.

    `of_model`: the call was for one model, so 404 means that there is no such model.
    """
    status = response.status
    if 200 <= status < 300:
        return
    codes = _codes(response.body)
    if of_model and (status == 404 or codes & MODEL_CODES):
        raise ModelGoneError(status=status)
    if status == 402 or codes & QUOTA_CODES:
        raise QuotaExhaustedError(status=status)
    if status in {401, 403} or codes & AUTH_CODES:
        raise InvalidAuthError(status=status)
    if status == 429:
        raise RateLimitedError(retry_after=retry_after(response.headers.items()))
    raise ProviderError(_sentence(status), status=status)


def refuses_key(status: int, body: bytes) -> bool:
    """Whether an error says that the key is bad: by its status, or by a code in its body."""
    return status == 401 or bool(_codes(body) & AUTH_CODES)


def _sentence(status: int) -> str:
    if status < 400:
        return f"The provider answered with a redirect ({status}), which is not followed. Check the URL."
    if status in {404, 405}:
        return f"There is no such address at the provider ({status}). Check the URL."
    if status >= 500:
        return f"The provider failed ({status}). Try again later."
    return f"The provider refused the request ({status})."


def _codes(body: bytes) -> frozenset[str]:
    """The short words of an error body that can be codes, lower case, and marks for sentences that stand for one."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return frozenset()
    found: set[str] = set()
    _collect(decoded, found, _NESTED)
    marks = set()
    if any(words in text for text in found for words in _QUOTA_WORDS):
        marks.add("insufficient_quota")
    if any(text.startswith(_AUTH_WORDS) for text in found):
        marks.add("invalid_api_key")
    return frozenset(found | marks)


def _collect(value: Any, found: set[str], depth: int) -> None:
    if depth < 0:
        return
    if isinstance(value, dict):
        for name in ("error", "details", "detail"):
            _collect(value.get(name), found, depth - 1)
        for name in ("code", "type", "status", "reason", "message", "error"):
            if isinstance(text := value.get(name), str):
                found.add(text.lower())
    elif isinstance(value, list):
        for one in value:
            _collect(one, found, depth - 1)
