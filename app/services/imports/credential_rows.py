"""What an incoming credential becomes: a new one, a healed one, or one that stays as it is."""

from collections.abc import Sequence

from msgspec.structs import replace

from keycairn.app.services.audit import Journal
from keycairn.app.services.imports.ids import ImportIds
from keycairn.app.services.imports.mapped_rows import MappedRow, RowMapper
from keycairn.app.services.imports.plan import (
    Batch,
    ImportPlan,
    into_pools,
    linked_unlinked,
    new_models,
    promoted,
    repaired,
)
from keycairn.app.services.imports.recognition import Recognition, Standing
from keycairn.domain.audit import Action, Details
from keycairn.domain.change import AddCredential, AddModel, Change, ExpectNoCredential
from keycairn.domain.env_variable import is_variable_name
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.incoming import PROVIDER_TAKEN, Imported, ImportReport, IncomingCredential, Refused, Skipped
from keycairn.domain.model import Model
from keycairn.ports.clock import Clock
from keycairn.ports.store import Store


class CredentialRows:
    """Plans the rows of credentials."""

    def __init__(self, store: Store, mapper: RowMapper, ids: ImportIds, journal: Journal, clock: Clock) -> None:
        self._store = store
        self._mapper = mapper
        self._ids = ids
        self._journal = journal
        self._clock = clock
        self._recognition = Recognition(store, mapper, clock)

    async def plan(self, row: IncomingCredential, batch: Batch) -> ImportPlan:
        """What becomes of a row. Raises InvalidInputError, which says why it cannot come in, or SealedError."""
        placed, renamed = await self._ids.of(row, batch.by.workspace, batch.deleted)
        mapped = self._mapper.mapped(placed, batch.by.workspace, self._clock.now())
        standing = await self._recognition.of(mapped, batch)
        if isinstance(standing, Skipped):
            report = ImportReport(dry_run=batch.dry_run, skipped=(standing,), refused=_refused(mapped))
            return ImportPlan(row=row, report=report)
        if standing is not None:
            return await self._into_existing(standing.mapped or mapped, standing, batch)
        if row.alone and row.provider in await self._store.providers_in_use(batch.by.workspace):
            raise InvalidInputError(PROVIDER_TAKEN)
        mapped = replace(
            mapped, credential=replace(mapped.credential, name=await self._recognition.free_name(mapped, batch))
        )
        return await self._new(mapped, renamed, batch)

    async def _new(self, mapped: MappedRow, renamed: dict[str, str], batch: Batch) -> ImportPlan:
        fresh, row = mapped.credential, mapped.row
        models = await new_models(self._store, mapped.models, fresh, batch.deleted, batch.planned)
        links = await linked_unlinked(self._store, fresh, models, self._clock.now()) if row.adopts else {}
        created = [change.model for change in models if isinstance(change, AddModel)]
        created = [model for model in created if model.offer not in links]
        relinks = [change for change in models if not isinstance(change, AddModel)]
        linked = [change.model for change in (*relinks, *links.values())]
        pooled = await into_pools(self._store, created, batch.joined)
        changes: list[Change] = [AddCredential(fresh), *map(AddModel, created), *relinks, *links.values(), *pooled]
        if row.alone:
            changes.insert(0, ExpectNoCredential(fresh.workspace, fresh.provider))
        changes.append(self._event(mapped, batch, fresh.id, "broken" if fresh.broken else "done", len(mapped.models)))
        made = frozenset({fresh.id, *(model.id for model in created)})
        batch.planned |= made
        batch.fresh[fresh.id] = fresh
        batch.keys.setdefault(self._mapper.identity(fresh), fresh.id)
        batch.models[fresh.id] = {model.offer for model in (*created, *linked)}
        if fresh.provider in batch.names:
            batch.names[fresh.provider][fresh.name] = fresh.id
        report = ImportReport(
            dry_run=batch.dry_run,
            created=(_imported(mapped, created, linked),),
            refused=_refused(mapped),
            relinked=tuple(model.id for model in linked),
            models=tuple(model.id for model in created),
            renamed=renamed,
        )
        joined = frozenset(change.model.id for change in pooled)
        batch.joined |= joined
        return ImportPlan(row=row, changes=tuple(changes), report=report, ids=made, joined=joined)

    async def _into_existing(self, mapped: MappedRow, standing: Standing, batch: Batch) -> ImportPlan:
        """The account is here already: heal what did not open, add the models it lacks, leave the rest alone."""
        there, fresh = standing.credential, mapped.credential
        healed = repaired(fresh, there, self._clock.now())
        owned = await self._store.models(there.workspace, credential=there.id, limit=None)
        have = {model.offer for model in owned} | batch.models.get(there.id, set())
        meant = tuple(replace(model, credential=there.id) for model in mapped.models)
        if not self._mapper.same_place(there, fresh):
            meant, healed = (), None
        wanted = tuple(model for model in meant if model.offer not in have)
        models = await new_models(self._store, wanted, there, batch.deleted, batch.planned)
        created = [change.model for change in models if isinstance(change, AddModel)]
        linked = [change.model for change in models if not isinstance(change, AddModel)]
        made = frozenset(model.id for model in created)
        batch.planned |= made
        batch.models.setdefault(there.id, set()).update(model.offer for model in created)
        pooled = [change for change in promoted(meant, owned) if change.model.id not in batch.joined]
        pooled += await into_pools(self._store, created, batch.joined | {change.model.id for change in pooled})
        joined = frozenset(change.model.id for change in pooled)
        batch.joined |= joined
        changes: list[Change] = [*([healed] if healed else []), *models, *pooled]
        if changes:
            changes.append(self._event(mapped, batch, there.id, "repaired" if healed else "met", len(models)))
        repaired_one = replace(_imported(mapped, created, linked), id=there.id, name=there.name)
        report = ImportReport(
            dry_run=batch.dry_run,
            repaired=(replace(repaired_one, broken=healed.credential.broken),) if healed else (),
            skipped=() if healed else (Skipped(where=mapped.row.where, reason=standing.why, id=there.id),),
            refused=_refused(mapped),
            relinked=tuple(model.id for model in linked),
            models=tuple(model.id for model in created),
        )
        return ImportPlan(row=mapped.row, changes=tuple(changes), report=report, ids=made, joined=joined)

    def _event(self, mapped: MappedRow, batch: Batch, target: str, outcome: str, models: int) -> Change:
        fresh = mapped.credential
        if mapped.row.variables:
            names = sorted(name for name in mapped.row.variables.values() if is_variable_name(name))
            details: Details = {"provider": fresh.provider, "variables": names}
            return self._journal.event(batch.by, Action.CREDENTIAL_MIGRATED, target, details=details)
        details = {"provider": fresh.provider, "secrets": sorted(fresh.sealed), "models": models}
        return self._journal.event(batch.by, Action.CREDENTIAL_IMPORTED, target, outcome=outcome, details=details)


def _refused(mapped: MappedRow) -> tuple[Refused, ...]:
    where = mapped.row.where
    return tuple(Refused(where=f"{where}: model {name}", reason=why) for name, why in mapped.refused.items())


def _imported(mapped: MappedRow, models: Sequence[Model], linked: Sequence[Model]) -> Imported:
    credential = mapped.credential
    return Imported(
        where=mapped.row.where,
        provider=credential.provider,
        name=credential.name,
        id=credential.id,
        models=tuple(model.name for model in models),
        linked=tuple(model.name for model in linked),
        broken={name: mapped.row.unopened.get(name, why) for name, why in credential.broken.items()},
        notes=mapped.notes,
    )
