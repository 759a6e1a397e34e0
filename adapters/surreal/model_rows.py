"""Models, and the defaults of slots, as rows and back."""

from sys import intern  # what thousands of records say alike is kept once

import msgspec

from keycairn.adapters.surreal.credential_rows import _MODALITIES
from keycairn.adapters.surreal.rows import Row, json_text, record_id, text_id
from keycairn.domain.change import check_text
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.model import Defaults, Model, Slot
from keycairn.domain.price import Price

_price = msgspec.json.Decoder(Price)
_slots = msgspec.json.Decoder(dict[Slot, ModelId])


def model_row(model: Model) -> Row:
    """The columns of a model, its id apart. `holder` is the link as text, empty without one, for the unique index."""
    check_text(model)
    link = record_id("credential", model.credential) if model.credential else None
    return {
        "workspace": model.workspace,
        "provider": model.provider,
        "name": model.name,
        "type": str(model.type),
        "credential": link,
        "holder": link.id if link else "",
        "missing_since": model.missing_since,
        "priority": model.priority or None,
        "weight": None if model.weight == 1 else model.weight,
        "provider_model": model.provider_model,
        "price": None if model.price is None else json_text(model.price),
        "context_length": model.context_length,
        "created": model.created,
        "updated": model.updated,
        "version": model.version,
        "proof": model.proof or None,
    }


def model_of(row: Row) -> Model:
    """The model in a row."""
    link = row.get("credential")
    return Model(
        id=ModelId(text_id(row["id"])),
        workspace=intern(row["workspace"]),
        provider=intern(row["provider"]),
        name=row["name"],
        type=_MODALITIES[row["type"]],
        credential=CredentialId(intern(text_id(link))) if link else None,
        missing_since=row.get("missing_since"),
        priority=row.get("priority") or 0,
        weight=1 if row.get("weight") is None else row["weight"],
        provider_model=row.get("provider_model"),
        price=_price.decode(row["price"]) if row.get("price") else None,
        context_length=row.get("context_length"),
        created=row["created"],
        updated=row["updated"],
        version=row["version"],
        proof=row.get("proof") or "",
    )


def defaults_row(defaults: Defaults) -> Row:
    """The columns of a workspace's defaults."""
    check_text(defaults)
    return {
        "workspace": defaults.workspace,
        "slots": json_text(defaults.slots),
        "version": defaults.version,
        "proof": defaults.proof or None,
    }


def defaults_of(row: Row) -> Defaults:
    """The defaults in a row."""
    return Defaults(
        workspace=row["workspace"],
        slots=_slots.decode(row["slots"]),
        version=row["version"],
        proof=row.get("proof") or "",
    )
