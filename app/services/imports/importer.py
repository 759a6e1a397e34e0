"""The importer: rows of an import become credentials, models and defaults."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.services.audit import DELETED_HERE, Deleted, Deletions, Journal
from keycairn.app.services.imports.ids import ImportIds
from keycairn.app.services.imports.mapped_rows import Identity, MappedRow, RowMapper
from keycairn.app.services.imports.plan import ImportPlan, into_pools, linked_unlinked, new_models, promoted, repaired
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import IN_PROCESS, Action, Caller
from keycairn.domain.change import AddCredential, AddModel, Change, PutDefaults
from keycairn.domain.credential import Credential
from keycairn.domain.errors import ConflictError, InvalidInputError
from keycairn.domain.ids import ModelId
from keycairn.domain.incoming import (
    Imported,
    ImportReport,
    IncomingCredential,
    IncomingDefaults,
    IncomingModel,
    IncomingRow,
    Refused,
    Skipped,
)
from keycairn.domain.model import SLOT_TYPES, Model, Slot
from keycairn.domain.redaction import Redactor
from keycairn.ports.clock import Clock
from keycairn.ports.source import ImportSource
from keycairn.ports.store import MOST, Store

BATCH = 200
"""Rows that are read before they are written."""
TOGETHER = 25
"""Rows in one commit, each whole with its models and its event."""
ATTEMPTS = 8
"""How often a row is worked out anew when others write in between."""
MEANWHILE = "somebody else changed this meanwhile; run the import again"


class _Plan(Struct):
    """What one batch works with. `planned` are the ids it will have made before a later row is looked at."""

    by: Caller
    dry_run: bool
    again: bool
    deleted: Deleted
    planned: set[str]
    joined: set[str]
    accounts: dict[Identity, str]
    names: dict[str, dict[str, str]]


class Importer:
    """Imports rows. What is here already is never changed by it, but for a secret that did not open and now does."""

    def __init__(
        self, store: Store, mapper: RowMapper, deletions: Deletions, vault: Vault, journal: Journal, clock: Clock
    ) -> None:
        self._store = store
        self._vault = vault
        self._deletions = deletions
        self._mapper = mapper
        self._ids = ImportIds(store)
        self._journal = journal
        self._clock = clock

    async def run(
        self,
        source: ImportSource,
        *,
        dry_run: bool = False,
        again: bool = False,
        progress: Callable[[int], None] | None = None,
        by: Caller = IN_PROCESS,
    ) -> ImportReport:
        """Import a whole source, a batch at a time; `progress` is told the number of rows done with each.

        Running it again changes nothing, and goes on where a run that was cut off ended. Raises
        UnreadableSourceError, SealedError or StoreError; what was committed until then stays.
        """
        reports = [ImportReport(dry_run=dry_run)]
        batch: list[IncomingRow] = []
        planned: set[str] = set()

        async def take() -> None:
            reports.append(await self.take(batch, dry_run=dry_run, again=again, planned=planned, by=by))
            planned.update(reports[-1].models)
            if progress:
                progress(len(batch))
            batch.clear()

        async for row in source.rows():
            batch.append(row)
            if len(batch) == BATCH:
                await take()
        await take()
        return merged(reports)

    async def take(
        self,
        rows: Sequence[IncomingRow],
        *,
        dry_run: bool = False,
        again: bool = False,
        planned: frozenset[str] | set[str] = frozenset(),
        by: Caller = IN_PROCESS,
    ) -> ImportReport:
        """Import some rows of a source.

        With `dry_run`, only say what would be; `planned` are the models that rows before these would have made.
        With `again`, what was deleted here comes back. A row that cannot come in is refused with its reason and stops
        no other. Raises SealedError or StoreError.
        """
        gone = Deleted() if again else await self._deletions.of(by.workspace)
        plan = _Plan(by, dry_run, again, gone, set(planned) if dry_run else set(), set(), {}, {})
        steps: list[ImportPlan] = []
        reports = [ImportReport(dry_run=dry_run)]
        for row in rows:
            if isinstance(row, IncomingDefaults):
                reports += [await self._commit(steps, plan), await self._defaults(row, plan)]
                steps = []
                continue
            steps.append(await self._step(row, plan))
            if len(steps) == TOGETHER:
                reports.append(await self._commit(steps, plan))
                steps = []
        reports.append(await self._commit(steps, plan))
        return merged(reports)

    async def _step(self, row: IncomingCredential | IncomingModel | Refused, plan: _Plan) -> ImportPlan:
        if isinstance(row, Refused):
            return ImportPlan(row=row, report=ImportReport(dry_run=plan.dry_run, refused=(row,)))
        try:
            if isinstance(row, IncomingModel):
                return await self._model_alone(row, plan)
            redactor = Redactor((*row.secrets.values(), *row.values.values()))
            row = replace(row, where=redactor.masked(row.where), notes=tuple(map(redactor.masked, row.notes)))
            return await self._credential(row, plan)
        except InvalidInputError as error:
            refused = Refused(where=row.where or "a model", reason=str(error))
            return ImportPlan(row=row, report=ImportReport(dry_run=plan.dry_run, refused=(refused,)))

    async def _credential(self, row: IncomingCredential, plan: _Plan) -> ImportPlan:
        placed, renamed = await self._ids.of(row, plan.by.workspace, plan.deleted)
        mapped = self._mapper.mapped(placed, plan.by.workspace, self._clock.now())
        fresh = mapped.credential
        refused = tuple(Refused(where=f"{row.where}: model {name}", reason=why) for name, why in mapped.refused.items())
        there = await self._same_account(mapped, plan)
        if isinstance(there, Skipped):
            report = ImportReport(dry_run=plan.dry_run, skipped=(there,), refused=refused)
            return ImportPlan(row=row, report=report)
        if there is not None:
            return await self._into_existing(mapped, there, refused, plan)
        models = await new_models(self._store, mapped.models, fresh, plan.deleted, plan.planned)
        links = await linked_unlinked(self._store, fresh, models, self._clock.now()) if row.adopts else {}
        created = [change.model for change in models if isinstance(change, AddModel)]
        created = [model for model in created if model.offer not in links]
        relinks = [change for change in models if not isinstance(change, AddModel)]
        pooled = await into_pools(self._store, created, plan.joined)
        changes: list[Change] = [AddCredential(fresh), *map(AddModel, created), *relinks, *links.values(), *pooled]
        event = self._journal.event(
            plan.by,
            Action.CREDENTIAL_IMPORTED,
            fresh.id,
            outcome="broken" if fresh.broken else "done",
            details={"provider": fresh.provider, "secrets": sorted(fresh.sealed), "models": len(mapped.models)},
        )
        linked = tuple(change.model.id for change in (*relinks, *links.values()))
        imported = _imported(mapped, created)
        made = frozenset({fresh.id, *(model.id for model in created)})
        plan.planned |= made
        if fresh.fingerprints:
            plan.accounts[self._mapper.identity(fresh)] = fresh.id
        report = ImportReport(
            dry_run=plan.dry_run,
            created=(imported,),
            refused=refused,
            relinked=linked,
            models=tuple(model.id for model in created),
            renamed=renamed,
        )
        joined = frozenset(change.model.id for change in pooled)
        plan.joined |= joined
        return ImportPlan(row=row, changes=(*changes, event), report=report, ids=made, joined=joined)

    async def _same_account(self, mapped: MappedRow, plan: _Plan) -> Credential | Skipped | None:
        """What stands here in the place of an mapped: the same account, or why it stays out. None where it is new."""
        fresh, where = mapped.credential, mapped.row.where
        if fresh.id in plan.planned:
            return Skipped(where=where, reason="the same account stands above", id=fresh.id)
        there = await self._store.credential(fresh.workspace, fresh.id)
        if there is not None:
            if there.provider == fresh.provider:
                return there
            return Skipped(where=where, reason="its id belongs to an account of another provider", id=there.id)
        if plan.deleted.covers(fresh):
            return Skipped(where=where, reason=DELETED_HERE, id=fresh.id)
        return await self._same_name(mapped, plan) if mapped.named or mapped.row.unique_name else None

    async def _same_name(self, mapped: MappedRow, plan: _Plan) -> Credential | Skipped | None:
        """The account of the same provider with the same key or name, for a row whose source does not say which."""
        fresh, where = mapped.credential, mapped.row.where
        if mapped.named and (above := plan.accounts.get(self._mapper.identity(fresh))):
            return Skipped(where=where, reason="the same key stands above", id=above)
        if mapped.named and fresh.fingerprints:
            for twin in await self._store.with_same_secret(fresh.workspace, frozenset(fresh.fingerprints.values())):
                if self._mapper.identity(twin) == self._mapper.identity(fresh):
                    return twin
        names = await self._names(fresh.workspace, fresh.provider, plan)
        if fresh.name in names:
            return Skipped(where=where, reason="this provider has a credential of that name", id=names[fresh.name])
        return None

    async def _names(self, workspace: str, provider: str, plan: _Plan) -> dict[str, str]:
        """The names of a provider's oldest credentials, a page of them; later ones are told by key and id alone."""
        if provider not in plan.names:
            page = await self._store.credentials(workspace, provider=provider, limit=MOST)
            plan.names[provider] = {item.name: item.id for item in page}
        return plan.names[provider]

    async def _into_existing(
        self, mapped: MappedRow, there: Credential, refused: tuple[Refused, ...], plan: _Plan
    ) -> ImportPlan:
        """The account is here already: heal what did not open, add the models it lacks, leave the rest alone."""
        where = mapped.row.where
        healed = repaired(mapped.credential, there, self._clock.now())
        owned = await self._store.models(there.workspace, credential=there.id, limit=None)
        have = {model.offer for model in owned}
        meant = tuple(replace(model, credential=there.id) for model in mapped.models)
        if not self._mapper.same_place(there, mapped.credential):
            meant, healed = (), None
        wanted = tuple(model for model in meant if model.offer not in have)
        models = await new_models(self._store, wanted, there, plan.deleted, plan.planned)
        created = [change.model for change in models if isinstance(change, AddModel)]
        linked = tuple(change.model.id for change in models if not isinstance(change, AddModel))
        made = frozenset({there.id, *(model.id for model in created)}) - plan.planned
        plan.planned |= made
        pooled = [change for change in promoted(meant, owned) if change.model.id not in plan.joined]
        pooled += await into_pools(self._store, created, plan.joined | {change.model.id for change in pooled})
        joined = frozenset(change.model.id for change in pooled)
        plan.joined |= joined
        changes: list[Change] = [*([healed] if healed else []), *models, *pooled]
        if changes:
            event = self._journal.event(
                plan.by,
                Action.CREDENTIAL_IMPORTED,
                there.id,
                outcome="repaired" if healed else "met",
                details={"provider": there.provider, "models": len(models)},
            )
            changes.append(event)
        report = ImportReport(
            dry_run=plan.dry_run,
            repaired=(replace(_imported(mapped, created), id=there.id, broken=healed.credential.broken),)
            if healed
            else (),
            skipped=() if healed else (Skipped(where=where, reason="it is here already", id=there.id),),
            refused=refused,
            relinked=linked,
            models=tuple(model.id for model in created),
        )
        return ImportPlan(row=mapped.row, changes=tuple(changes), report=report, ids=made, joined=joined)

    async def _model_alone(self, row: IncomingModel, plan: _Plan) -> ImportPlan:
        given = await self._ids.model(row.id, plan.by.workspace, plan.deleted)
        model = self._mapper.loose(replace(row, id=given), plan.by.workspace, self._clock.now())
        where = row.where or f"model {model.provider}/{model.name}"
        there = await self._store.model(plan.by.workspace, model.id)
        if there is not None or model.id in plan.planned:
            skipped = Skipped(where=where, reason="it is here already", id=model.id)
        elif model.id in plan.deleted.ids:
            skipped = Skipped(where=where, reason=DELETED_HERE, id=model.id)
        else:
            same = await self._store.models(plan.by.workspace, provider=model.provider, name=model.name, limit=None)
            twin = next((one for one in same if one.type is model.type and one.credential is None), None)
            if twin is None:
                plan.planned.add(model.id)
                event = self._journal.event(
                    plan.by, Action.MODELS_IMPORTED, model.id, details={"provider": model.provider}
                )
                renamed: dict[str, str] = {row.id: given} if row.id and given and given != row.id else {}
                report = ImportReport(dry_run=plan.dry_run, models=(model.id,), renamed=renamed)
                made = frozenset({model.id})
                return ImportPlan(row=row, changes=(AddModel(model), event), report=report, ids=made)
            skipped = Skipped(where=where, reason="an unlinked model of that name is here already", id=twin.id)
        return ImportPlan(row=row, report=ImportReport(dry_run=plan.dry_run, skipped=(skipped,)))

    async def _defaults(self, row: IncomingDefaults, plan: _Plan) -> ImportReport:
        """Fill the slots that are empty here. A slot that holds a model keeps it."""
        before = await self._store.defaults(plan.by.workspace)
        filled: dict[Slot, ModelId] = {}
        skipped: list[Skipped] = []
        refused: list[Refused] = []
        for name, text in row.slots.items():
            slot = Slot(name) if name in set(Slot) else None
            id = await self._ids.model(text, plan.by.workspace, plan.deleted) or ModelId("")
            model = await self._store.model(plan.by.workspace, id) if id else None
            if slot is None or (model is None and id not in plan.planned):
                refused.append(Refused(where=f"defaults/{name}", reason="it is no slot, or its model is not here"))
            elif slot in before.slots:
                same = "it is set already" if before.slots[slot] != id else "it is here already"
                skipped.append(Skipped(where=f"defaults/{name}", reason=same, id=before.slots[slot]))
            elif model is not None and model.type is not SLOT_TYPES[slot]:
                refused.append(Refused(where=f"defaults/{name}", reason=f"it needs a {SLOT_TYPES[slot]} model"))
            else:
                filled[slot] = id
        report = ImportReport(dry_run=plan.dry_run, skipped=tuple(skipped), refused=tuple(refused), defaults=filled)
        if not filled:
            return report
        after = replace(before, slots={**before.slots, **filled}, version=before.version + 1)
        event = self._journal.event(
            plan.by, Action.DEFAULTS_CHANGED, f"defaults:{plan.by.workspace}", details={"slots": sorted(filled)}
        )
        step = ImportPlan(row=row, changes=(PutDefaults(after, expected=before.version), event), report=report)
        return await self._commit([step], plan)

    async def _commit(self, steps: Sequence[ImportPlan], plan: _Plan) -> ImportReport:
        """Write some rows in one commit; where that fails, each in one of its own, so that one cannot stop another."""
        changing = [step for step in steps if step.changes]
        done = [step.report for step in steps if not step.changes]
        if plan.dry_run or not changing:
            return merged([ImportReport(dry_run=plan.dry_run), *(step.report for step in steps)])
        try:
            await self._journal.commit(tuple(change for step in changing for change in step.changes))
            done = [step.report for step in steps]
        except (ConflictError, InvalidInputError):
            for step in changing:
                done.append(await self._alone(step, plan))
        return merged([ImportReport(dry_run=plan.dry_run), *done])

    async def _alone(self, step: ImportPlan, plan: _Plan) -> ImportReport:
        """Write one row, worked out anew when others write in between, a rotation of the data key too."""
        where = step.row.where if not isinstance(step.row, IncomingDefaults) else "defaults"
        meanwhile = ImportReport(dry_run=False, skipped=(Skipped(where=where, reason=MEANWHILE),))
        for _ in range(ATTEMPTS):
            try:
                await self._journal.commit(step.changes)
            except ConflictError:
                if isinstance(step.row, IncomingDefaults):
                    return meanwhile
                step = await self._again(step, step.row, plan)
            except InvalidInputError as error:
                return ImportReport(dry_run=False, refused=(Refused(where=where, reason=str(error)),))
            else:
                return step.report
        return meanwhile

    async def _again(
        self, step: ImportPlan, row: IncomingCredential | IncomingModel | Refused, plan: _Plan
    ) -> ImportPlan:
        await self._vault.refresh()
        if not plan.again:  # perhaps the account was deleted meanwhile
            plan.deleted = await self._deletions.of(plan.by.workspace)
        plan.planned -= step.ids
        plan.joined -= step.joined
        plan.accounts = {identity: id for identity, id in plan.accounts.items() if id not in step.ids}
        plan.names.clear()
        return await self._step(row, plan)


def _imported(mapped: MappedRow, models: Sequence[Model]) -> Imported:
    credential = mapped.credential
    return Imported(
        where=mapped.row.where,
        provider=credential.provider,
        name=credential.name,
        id=credential.id,
        models=tuple(model.name for model in models),
        broken={name: mapped.row.unopened.get(name, why) for name, why in credential.broken.items()},
        notes=mapped.notes,
    )


def merged(reports: Sequence[ImportReport]) -> ImportReport:
    """One report of several, in their order."""
    lists = ("created", "repaired", "skipped", "refused", "relinked", "models")
    whole = {name: tuple(item for report in reports for item in getattr(report, name)) for name in lists}
    defaults = {slot: id for report in reports for slot, id in report.defaults.items()}
    renamed = {old: new for report in reports for old, new in report.renamed.items()}
    return msgspec.structs.replace(reports[0], **whole, defaults=defaults, renamed=renamed)
