"""What came of asking a provider: checks of an account, models found."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from keycairn.domain.errors import (
    CannotConnectError,
    EgressRefusedError,
    GarbledAnswerError,
    InvalidAuthError,
    KeycairnError,
    ModelGoneError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
)
from keycairn.domain.modality import Modality


class Outcome(StrEnum):
    """What a check proved."""

    OK = "ok"
    INVALID_AUTH = "invalid_auth"
    CANNOT_CONNECT = "cannot_connect"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    PROVIDER_ERROR = "provider_error"
    UNKNOWN = "unknown"


class ConnectionReport(Struct, frozen=True, kw_only=True):
    """The result of a check. `message` is ours, safe to show; `models` are names seen on the way, if any."""

    outcome: Outcome
    message: str
    models: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        """Whether the key is proven good. A rate limit proves it too; an account without quota is of no use."""
        return self.outcome in {Outcome.OK, Outcome.RATE_LIMITED}


class CheckRecord(Struct, frozen=True, kw_only=True):
    """The last check of a credential, as it is stored. `duration_ms` is whole milliseconds."""

    outcome: Outcome
    message: str
    at: datetime
    duration_ms: int


class Provenance(StrEnum):
    """Where a discovered model comes from."""

    LIVE = "live"
    """The provider listed it just now."""
    STATIC = "static"
    """The provider has no such list; the plugin knows it."""
    FALLBACK = "fallback"
    """The list could not be reached; the plugin knows it from before."""


class DiscoveredModel(Struct, frozen=True, kw_only=True):
    """A model a provider offers. `type` is None where it is none of the four kinds, such as an image model."""

    name: str
    type: Modality | None
    provenance: Provenance = Provenance.LIVE
    description: str = ""


class Discovery(Struct, frozen=True, kw_only=True):
    """What discovery found. `failure` says why the list is only a fallback, None when it was reached.

    `withheld`: how many models were left out because a secret stands in their names, or they are no names at all.
    """

    models: tuple[DiscoveredModel, ...]
    failure: str | None = None
    withheld: int = 0


class ModelReport(Struct, frozen=True, kw_only=True):
    """The result of one small real call of a model. `details` is a fact about the answer, such as its dimensions."""

    outcome: Outcome
    message: str
    details: str = ""

    @property
    def success(self) -> bool:
        """Whether the model answered."""
        return self.outcome is Outcome.OK


_OUTCOMES: tuple[tuple[type[KeycairnError], Outcome], ...] = (
    (InvalidAuthError, Outcome.INVALID_AUTH),
    (RateLimitedError, Outcome.RATE_LIMITED),
    (QuotaExhaustedError, Outcome.QUOTA_EXHAUSTED),
    (CannotConnectError, Outcome.CANNOT_CONNECT),
    (EgressRefusedError, Outcome.CANNOT_CONNECT),
    (GarbledAnswerError, Outcome.PROVIDER_ERROR),
    (ModelGoneError, Outcome.OK),
    (ProviderError, Outcome.PROVIDER_ERROR),
)


def outcome_of(error: KeycairnError) -> Outcome:
    """The outcome an error of a check stands for. A model that is gone still proves the key."""
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), Outcome.UNKNOWN)
