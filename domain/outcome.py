"""What came of asking a provider: checks of an account, models found."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from keycairn.domain.errors import (
    AddressNotFoundError,
    CallRefusedError,
    CannotConnectError,
    EgressRefusedError,
    GarbledAnswerError,
    InvalidAuthError,
    KeycairnError,
    ModelGoneError,
    NoPermissionError,
    ProviderDownError,
    QuotaExhaustedError,
    RateLimitedError,
)
from keycairn.domain.modality import Modality


class Outcome(StrEnum):
    """What came of asking a provider: the one list of kinds that tests of keys, discovery and the gateway share."""

    OK = "ok"
    INVALID_AUTH = "invalid_auth"
    """The key is not good."""
    NO_PERMISSION = "no_permission"
    """The key is known, but may not do this."""
    QUOTA = "quota"
    """The account has no credit, budget or quota left."""
    RATE_LIMITED = "rate_limited"
    NOT_FOUND = "not_found"
    """Nothing is at this address, or the provider does not have what the call names."""
    CANNOT_CONNECT = "cannot_connect"
    """No answer: name, route, connection, TLS, time; or a destination that is refused here."""
    NOT_A_PROVIDER = "not_a_provider"
    """Something answered that is not the provider's API: a page, a proxy, a portal, JSON of something else."""
    BAD_REQUEST = "bad_request"
    """The call itself was refused; another account would refuse it too."""
    PROVIDER_DOWN = "provider_down"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "Outcome | None":
        return {"quota_exhausted": cls.QUOTA, "provider_error": cls.UNKNOWN}.get(str(value))  # in older records


PROVEN = frozenset({Outcome.OK, Outcome.RATE_LIMITED})
"""What proves a key: that its provider limits the rate does so too."""


class ConnectionReport(Struct, frozen=True, kw_only=True):
    """The result of a check. `message` is ours, safe to show; `models` are names seen on the way, if any.

    `proven`: whatever the outcome is of, another call of the check proved the key.
    """

    outcome: Outcome
    message: str
    models: tuple[str, ...] = ()
    proven: bool = False

    @property
    def success(self) -> bool:
        """Whether the key is proven good. A rate limit proves it too; an account without quota is of no use."""
        return self.proven or self.outcome in PROVEN


class CheckRecord(Struct, frozen=True, kw_only=True):
    """The last check of a credential, as it is stored. `duration_ms` is whole milliseconds.

    `version` is that of the credential that was checked; `account` tells its secrets and settings from all others, see
    `keycairn.domain.credential.account_mark`. Both are empty in records of before.
    """

    outcome: Outcome
    message: str
    at: datetime
    duration_ms: int
    success: bool | None = None
    version: int = 0
    account: str = ""


class Provenance(StrEnum):
    """Where a discovered model comes from."""

    LIVE = "live"
    """The provider listed it just now."""
    STATIC = "static"
    """The provider has no such list; the plugin knows it."""
    FALLBACK = "fallback"
    """The list could not be reached; the plugin knows it from before."""
    NONE = "none"
    """Of a discovery without models: the server has no list. They are registered by name."""


class DiscoveredModel(Struct, frozen=True, kw_only=True):
    """A model a provider offers. `type` is None where it is none of the four kinds, such as an image model."""

    name: str
    type: Modality | None
    provenance: Provenance = Provenance.LIVE
    description: str = ""
    context_length: int | None = None
    """Tokens, None where the provider does not tell."""


class Discovery(Struct, frozen=True, kw_only=True):
    """What discovery found. `failure` says why the list is only a fallback or missing, None when it was reached.

    `outcome` is the kind of that failure.
    `withheld`: how many models were left out because a secret stands in their names, or they are no names at all.
    """

    models: tuple[DiscoveredModel, ...]
    failure: str | None = None
    withheld: int = 0
    outcome: Outcome = Outcome.OK

    @property
    def provenance(self) -> Provenance:
        """Where the list as a whole comes from."""
        sources = {model.provenance for model in self.models}
        if not sources:
            return Provenance.LIVE if self.failure is None else Provenance.NONE
        if Provenance.FALLBACK in sources:
            return Provenance.FALLBACK
        return Provenance.LIVE if Provenance.LIVE in sources else Provenance.STATIC


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
    (NoPermissionError, Outcome.NO_PERMISSION),
    (RateLimitedError, Outcome.RATE_LIMITED),
    (QuotaExhaustedError, Outcome.QUOTA),
    (AddressNotFoundError, Outcome.NOT_FOUND),
    (CannotConnectError, Outcome.CANNOT_CONNECT),
    (EgressRefusedError, Outcome.CANNOT_CONNECT),
    (GarbledAnswerError, Outcome.NOT_A_PROVIDER),
    (CallRefusedError, Outcome.BAD_REQUEST),
    (ProviderDownError, Outcome.PROVIDER_DOWN),
    (ModelGoneError, Outcome.OK),
)


def outcome_of(error: KeycairnError) -> Outcome:
    """The outcome an error of a check stands for. A model that is gone still proves the key."""
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(error, kind)), Outcome.UNKNOWN)
