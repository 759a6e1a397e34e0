"""The defaults of task slots: what choosing them did, and what of them a bounded token sees."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.change import (
    PutDefaults,
)
from keycairn.domain.ids import ModelId
from keycairn.domain.model import Defaults, Slot
from keycairn.domain.reach import Reach
from keycairn.ports.store import Store


class Assignment(Struct, frozen=True):
    """What auto-assignment did: slots filled, slots that had a model, slots for which there is none."""

    assigned: Mapping[Slot, ModelId]
    skipped: tuple[Slot, ...]
    missing: tuple[Slot, ...]


async def defaults_within(store: Store, workspace: str, reach: Reach) -> Defaults:
    """The defaults of a workspace; a slot whose model is out of `reach` is as one that is empty."""
    defaults = await store.defaults(workspace)
    if reach.whole:
        return defaults
    models = {id: await store.model(workspace, id) for id in set(defaults.slots.values())}
    out = {id for id, model in models.items() if model is None or not reach.serves(model)}
    return defaults.without(out)


def put_defaults(before: Defaults, after: Defaults) -> PutDefaults:
    """The change from one to the next version of defaults."""
    return PutDefaults(replace(after, version=before.version + 1), expected=before.version)
