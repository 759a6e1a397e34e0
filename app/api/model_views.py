"""What clients receive about models."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct, defstruct

from keycairn.app.services.models import Synced
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model, Slot
from keycairn.domain.outcome import Outcome
from keycairn.domain.price import Price


class ModelView(Struct, frozen=True, kw_only=True):
    """A registered model. `missing_since`: when the provider first did not list it any more.

    `provider_model`: what its provider is sent, null where that is `name`; a model that has it was named on purpose,
    and is in the pool of its name. Of several of one name the smallest `priority` serves; equals share by `weight`.
    `price`: what its use costs, `context_length`: tokens it can be given; null where nobody said.
    """

    id: str
    name: str
    provider_model: str | None
    provider: str
    type: Modality
    credential: str | None
    created: datetime
    updated: datetime
    missing_since: datetime | None
    priority: int
    weight: int
    price: Price | None
    context_length: int | None


def model_view(model: Model) -> ModelView:
    """The view of a registered model."""
    return ModelView(
        id=model.id,
        name=model.name,
        provider_model=model.provider_model,
        provider=model.provider,
        type=model.type,
        credential=model.credential,
        created=model.created,
        updated=model.updated,
        missing_since=model.missing_since,
        priority=model.priority,
        weight=model.weight,
        price=model.price,
        context_length=model.context_length,
    )


class ModelTestView(Struct, frozen=True, kw_only=True):
    """The result of a model's test. `details` is a fact about the answer."""

    success: bool
    message: str
    details: str | None
    outcome: Outcome


class DeletedModelView(Struct, frozen=True):
    """A deletion of a model, and the default slots that lost it."""

    message: str
    cleared_defaults: Sequence[str]


class AccountSyncView(Struct, frozen=True, kw_only=True):
    """One account brought up to date: a credential's id, or `environment`. `message` says what was wrong with it."""

    account: str
    outcome: Outcome
    message: str
    discovered: int
    new: int
    existing: int
    missing: int
    withheld: int


class SyncView(Struct, frozen=True, kw_only=True):
    """One provider brought up to date. `failures` maps an account to why it was passed over."""

    provider: str
    discovered: int
    new: int
    existing: int
    missing: int
    failures: Mapping[str, str]
    accounts: Sequence[AccountSyncView]


def sync_view(synced: Synced) -> SyncView:
    """The view of a provider that was brought up to date."""
    fields = {name: getattr(synced, name) for name in SyncView.__struct_fields__ if name != "accounts"}
    accounts = [
        AccountSyncView(**{name: getattr(one, name) for name in AccountSyncView.__struct_fields__})
        for one in synced.accounts
    ]
    return SyncView(**fields, accounts=accounts)


class SyncAllView(Struct, frozen=True):
    """All providers brought up to date."""

    results: Mapping[str, SyncView]
    total_discovered: int
    total_new: int


class CountView(Struct, frozen=True):
    """The number of a provider's models, by type."""

    provider: str
    counts: Mapping[Modality, int]
    total: int


class AvailabilityView(Struct, frozen=True):
    """Which providers are configured, and which types of models those offer."""

    available: Sequence[str]
    unavailable: Sequence[str]
    supported_types: Mapping[str, Sequence[Modality]]


class AssignmentView(Struct, frozen=True):
    """What auto-assignment did: slots filled, slots that had a model, slots for which there is none."""

    assigned: Mapping[str, str]
    skipped: Sequence[str]
    missing: Sequence[str]


class SlotsView(Struct, frozen=True, kw_only=True):
    """The model of each task slot, null where none is set."""


if TYPE_CHECKING:
    DefaultsView = SlotsView
else:
    DefaultsView = defstruct(
        "DefaultsView",
        [(slot.value, str | None, None) for slot in Slot],
        bases=(SlotsView,),
        module=__name__,
        namespace={"__doc__": SlotsView.__doc__},
        frozen=True,
        kw_only=True,
    )


def defaults_view(defaults: Defaults) -> DefaultsView:
    """The view of the defaults."""
    return DefaultsView(**{slot.value: model for slot, model in defaults.slots.items()})
