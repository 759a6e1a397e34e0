"""What clients receive of the answers of providers: checks of keys, and the models that are there."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from keycairn.domain.credential import Credential, is_current
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import PROVEN, CheckRecord, DiscoveredModel, Outcome, Provenance


class CheckView(Struct, frozen=True, kw_only=True):
    """The last check of a credential. `version` is that of the credential that was checked.

    `current`: whether its secrets and settings are still those; a check of a former key says nothing of the present.
    """

    outcome: Outcome
    success: bool
    message: str
    at: datetime
    duration_ms: int
    version: int
    current: bool


def check_view(check: CheckRecord, credential: Credential) -> CheckView:
    """The view of a credential's last check."""
    return CheckView(
        outcome=check.outcome,
        success=check.outcome in PROVEN if check.success is None else check.success,
        message=check.message,
        at=check.at,
        duration_ms=check.duration_ms,
        version=check.version,
        current=is_current(check, credential),
    )


class TestView(Struct, frozen=True, kw_only=True):
    """The result of a credential's test. `version` is that of the credential that was tested."""

    provider: str
    success: bool
    message: str
    outcome: Outcome
    models: Sequence[str] = ()
    version: int


class FoundModelView(Struct, frozen=True, kw_only=True):
    """A discovered model. `model_type` is null for one that is of none of the four types."""

    name: str
    provider: str
    model_type: Modality | None
    description: str
    provenance: Provenance
    context_length: int | None


def found_view(model: DiscoveredModel, provider: str) -> FoundModelView:
    """The view of a discovered model."""
    return FoundModelView(
        name=model.name,
        provider=provider,
        model_type=model.type,
        description=model.description,
        provenance=model.provenance,
        context_length=model.context_length,
    )


class DiscoveryView(Struct, frozen=True, kw_only=True):
    """What a credential can use. `failure` says why the list is only a fallback or missing; the drift lists hold names.

    `outcome` is the kind of that failure, `ok` without one.
    `provenance` is where the list comes from; `none` where the server has none, and models are registered by name.
    `withheld` counts models that were left out because their names repeat a secret or are no names.
    """

    credential_id: str
    provider: str
    discovered: Sequence[FoundModelView]
    outcome: Outcome
    failure: str | None
    provenance: Provenance
    new: Sequence[str]
    vanished: Sequence[str]
    returned: Sequence[str]
    retyped: Sequence[str]
    withheld: int = 0


class RegisteredView(Struct, frozen=True):
    """How many models were registered, and how many were there already."""

    created: int
    existing: int
