"""The one classification of providers' failures: from status, headers and body to a kind.

Tests of keys, discovery, the gateway's failover and the rests of accounts all follow it. Of a provider's text only
codes and marked words are looked for; it is never passed on.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from keycairn.domain.error_body import ErrorBody, Form, error_body
from keycairn.domain.failure_codes import (
    AUTH_CODES,
    AUTH_WORDS,
    BLAMED_WORDS,
    CALL_CODES,
    DOWN_CODES,
    MODEL_CODES,
    MODEL_GONE,
    MODEL_NAMED,
    MORE_AUTH_WORDS,
    MORE_QUOTA_WORDS,
    PERMISSION_CODES,
    PERMISSION_WORDS,
    PERSON_SCHEMES,
    QUOTA_CODES,
    QUOTA_WORDS,
    RATE_CODES,
    WRONG_ADDRESS,
)
from keycairn.domain.outcome import Outcome
from keycairn.domain.retry_after import LONGEST_PATIENCE, retry_after

Headers = Iterable[tuple[str, str]]
"""Names in lower case."""

_BY_STATUS = {
    401: Outcome.INVALID_AUTH,
    402: Outcome.QUOTA,
    403: Outcome.NO_PERMISSION,
    404: Outcome.NOT_FOUND,
    405: Outcome.NOT_FOUND,
    407: Outcome.NOT_A_PROVIDER,
    408: Outcome.PROVIDER_DOWN,
    410: Outcome.NOT_FOUND,
    421: Outcome.PROVIDER_DOWN,
    424: Outcome.PROVIDER_DOWN,  # AWS: the model failed
    425: Outcome.PROVIDER_DOWN,
    429: Outcome.RATE_LIMITED,
    451: Outcome.NO_PERMISSION,
    498: Outcome.PROVIDER_DOWN,  # Groq: no capacity
    499: Outcome.PROVIDER_DOWN,  # nginx: a client in between went away
    511: Outcome.NOT_A_PROVIDER,
}
_SAID_BY_API = frozenset({Form.ERROR, Form.JSON})
_TOLD_BY_STATUS = frozenset({408, 421, 424, 425, 498, 499})
"""Statuses below 500 to which no body adds anything."""


class Failure(Struct, frozen=True):
    """What an answer that is none stands for. `retry_after` is in seconds, where the provider said it.

    `of_model`: the provider knows the account, but not the model that the call names. `by_api`: it was said in the form
    of an API's error, so that it comes from the provider and not from something in front of it.
    """

    kind: Outcome
    of_model: bool = False
    by_api: bool = True
    retry_after: float | None = None
    status: int = 0


def needs_body(status: int) -> bool:
    """Whether a status alone does not say what an answer stands for."""
    return 400 <= status < 500 and status not in _TOLD_BY_STATUS


def read_failure(status: int, headers: Headers, body: bytes) -> Failure:
    """What an answer of another status than 2xx stands for. `body` may be its beginning only."""
    return classified(status, headers, error_body(body) if needs_body(status) else ErrorBody(Form.EMPTY))


def classified(status: int, headers: Headers, body: ErrorBody) -> Failure:
    """The same, of a body that was read. A good status stands for an error inside a good answer."""
    pairs = tuple(headers)
    wait = retry_after(pairs)
    if wait is None and body.wait is not None:
        wait = min(body.wait, LONGEST_PATIENCE)
    if 200 <= status < 300:
        status = next((number for number in body.numbers if number < 600), 0)
    kind = _kind(status, pairs, body)
    named = kind is Outcome.NO_PERMISSION and bool(body.codes & MODEL_CODES)
    of_model = named or (kind is Outcome.NOT_FOUND and _of_model(status, body))
    return Failure(kind, of_model, body.form in _SAID_BY_API, wait, status or _STATUSES.get(kind, 502))


_STATUSES = {
    Outcome.INVALID_AUTH: 401,
    Outcome.QUOTA: 402,
    Outcome.NO_PERMISSION: 403,
    Outcome.NOT_FOUND: 404,
    Outcome.RATE_LIMITED: 429,
    Outcome.BAD_REQUEST: 400,
    Outcome.PROVIDER_DOWN: 503,
}
"""The status that an error has which came with none of its own."""


def _kind(status: int, headers: tuple[tuple[str, str], ...], body: ErrorBody) -> Outcome:
    if status >= 300 and not needs_body(status):
        return _by_status_alone(status)
    person = status == 401 and _asks_a_person(headers)
    if person or (body.form is Form.PAGE and status not in {401, 429}):
        return Outcome.NOT_A_PROVIDER
    if status in {0, 400, 404, 422} and _of_model(status, body):
        return Outcome.NOT_FOUND
    codes = body.codes | _codes_of_headers(headers)
    said = next((kind for kind, holds in _RULES if holds(status, codes, body)), None)
    if said is not None:
        return said
    return _BY_STATUS.get(status, Outcome.BAD_REQUEST) if status else _told_without_status(codes, body)


def _by_status_alone(status: int) -> Outcome:
    if status < 400:
        return Outcome.NOT_A_PROVIDER  # a redirect, such as a portal's
    return Outcome.UNKNOWN if status >= 600 else _BY_STATUS.get(status, Outcome.PROVIDER_DOWN)


def _no_credit(status: int, codes: frozenset[str], body: ErrorBody) -> bool:
    if codes & QUOTA_CODES or body.begins(QUOTA_WORDS):
        return True
    # of these statuses, sentences repeat nothing of the call
    refused = status in {401, 402, 403, 429} and body.says(QUOTA_WORDS + MORE_QUOTA_WORDS)
    return refused or (status == 403 and body.says(("quota",)))


def _bad_key(status: int, codes: frozenset[str], body: ErrorBody) -> bool:
    return bool(codes & AUTH_CODES) or body.begins(AUTH_WORDS) or (status == 403 and body.says(MORE_AUTH_WORDS))


def _blamed(status: int, _: frozenset[str], body: ErrorBody) -> bool:
    return status == 403 and body.says(BLAMED_WORDS)


def _not_allowed(status: int, codes: frozenset[str], body: ErrorBody) -> bool:
    return bool(codes & PERMISSION_CODES) or (status in {401, 403} and body.says(PERMISSION_WORDS))


def _too_fast(status: int, codes: frozenset[str], _: ErrorBody) -> bool:
    return bool(codes & RATE_CODES) and status != 413  # Groq's code for a call that is too large for any minute


_RULES: tuple[tuple[Outcome, Callable[[int, frozenset[str], ErrorBody], bool]], ...] = (
    (Outcome.QUOTA, _no_credit),
    (Outcome.INVALID_AUTH, _bad_key),
    (Outcome.BAD_REQUEST, _blamed),
    (Outcome.NO_PERMISSION, _not_allowed),
    (Outcome.RATE_LIMITED, _too_fast),
)
"""What a body says where that is more than its status; the first that holds counts."""


def _told_without_status(codes: frozenset[str], body: ErrorBody) -> Outcome:
    """What an error inside a good answer is, where its codes did not say it yet."""
    if codes & CALL_CODES:
        return Outcome.BAD_REQUEST
    if codes & DOWN_CODES:
        return Outcome.PROVIDER_DOWN
    if body.begins(WRONG_ADDRESS):
        return Outcome.NOT_FOUND
    return Outcome.UNKNOWN


def _of_model(status: int, body: ErrorBody) -> bool:
    """Whether the body says that what the call names is not there."""
    if body.form is not Form.ERROR:
        return False
    if body.codes & MODEL_CODES:
        return True
    if body.says(PERMISSION_WORDS):
        return False
    pattern = MODEL_NAMED if status == 404 else MODEL_GONE
    return any(pattern.search(text) for text in body.said)


def _asks_a_person(headers: tuple[tuple[str, str], ...]) -> bool:
    """Whether the answer asks for the sign-in of a proxy, which no provider does."""
    return any(
        name == "www-authenticate" and value.strip().lower().startswith(PERSON_SCHEMES) for name, value in headers
    )


def _codes_of_headers(headers: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """AWS names the error in a header."""
    return frozenset(
        value.partition(":")[0].lower() for name, value in headers if name in {"x-amzn-errortype", "x-amz-error-code"}
    )
