"""Rows that stand beside the credentials: models that are linked to nothing, and the models of task slots."""

from msgspec.structs import replace

from keycairn.app.services.audit import DELETED_HERE, Journal
from keycairn.app.services.imports.ids import ImportIds
from keycairn.app.services.imports.mapped_rows import RowMapper
from keycairn.app.services.imports.plan import Batch, ImportPlan
from keycairn.domain.audit import Action
from keycairn.domain.change import AddModel, PutDefaults
from keycairn.domain.ids import ModelId
from keycairn.domain.incoming import ImportReport, IncomingDefaults, IncomingModel, Refused, Skipped
from keycairn.domain.model import SLOTS, Slot
from keycairn.ports.clock import Clock
from keycairn.ports.store import Store


class LooseRows:
    """Plans those rows."""

    def __init__(self, store: Store, mapper: RowMapper, ids: ImportIds, journal: Journal, clock: Clock) -> None:
        self._store = store
        self._mapper = mapper
        self._ids = ids
        self._journal = journal
        self._clock = clock

    async def model(self, row: IncomingModel, batch: Batch) -> ImportPlan:
        """A model that no credential is linked to. Raises UnknownProviderError or InvalidInputError."""
        given = await self._ids.model(row.id, batch.by.workspace, batch.deleted)
        model = self._mapper.loose(replace(row, id=given), batch.by.workspace, self._clock.now())
        where = row.where or f"model {model.provider}/{model.name}"
        there = await self._store.model(batch.by.workspace, model.id)
        if there is not None or model.id in batch.planned:
            skipped = Skipped(where=where, reason="it is here already", id=model.id)
        elif model.id in batch.deleted.ids:
            skipped = Skipped(where=where, reason=DELETED_HERE, id=model.id)
        else:
            same = await self._store.models(batch.by.workspace, provider=model.provider, name=model.name, limit=None)
            twin = next((one for one in same if one.type is model.type and one.credential is None), None)
            if twin is None:
                batch.planned.add(model.id)
                event = self._journal.event(
                    batch.by, Action.MODELS_IMPORTED, model.id, details={"provider": model.provider}
                )
                renamed: dict[str, str] = {row.id: given} if row.id and given and given != row.id else {}
                report = ImportReport(dry_run=batch.dry_run, models=(model.id,), renamed=renamed)
                made = frozenset({model.id})
                return ImportPlan(row=row, changes=(AddModel(model), event), report=report, ids=made)
            skipped = Skipped(where=where, reason="an unlinked model of that name is here already", id=twin.id)
        return ImportPlan(row=row, report=ImportReport(dry_run=batch.dry_run, skipped=(skipped,)))

    async def defaults(self, row: IncomingDefaults, batch: Batch) -> ImportPlan:
        """Fill the slots that are empty here. A slot that holds a model keeps it."""
        before = await self._store.defaults(batch.by.workspace)
        filled: dict[Slot, ModelId] = {}
        skipped: list[Skipped] = []
        refused: list[Refused] = []
        for name, text in row.slots.items():
            slot = SLOTS.get(name)
            id = await self._ids.model(text, batch.by.workspace, batch.deleted) or ModelId("")
            model = await self._store.model(batch.by.workspace, id) if id else None
            if slot is None or (model is None and id not in batch.planned):
                refused.append(Refused(where=f"defaults/{name}", reason="it is no slot, or its model is not here"))
            elif slot in before.slots:
                same = "it is set already" if before.slots[slot] != id else "it is here already"
                skipped.append(Skipped(where=f"defaults/{name}", reason=same, id=before.slots[slot]))
            elif model is not None and model.type is not slot.type:
                refused.append(Refused(where=f"defaults/{name}", reason=f"it needs a {slot.type} model"))
            else:
                filled[slot] = id
        report = ImportReport(dry_run=batch.dry_run, skipped=tuple(skipped), refused=tuple(refused), defaults=filled)
        if not filled:
            return ImportPlan(row=row, report=report)
        after = replace(before, slots={**before.slots, **filled}, version=before.version + 1)
        event = self._journal.event(
            batch.by, Action.DEFAULTS_CHANGED, f"defaults:{batch.by.workspace}", details={"slots": sorted(filled)}
        )
        return ImportPlan(row=row, changes=(PutDefaults(after, expected=before.version), event), report=report)
