"""Mending what can be mended safely, after a backup."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.services.audit import Journal
from keycairn.app.services.backups import Backups
from keycairn.app.services.credentials import CredentialOpener
from keycairn.app.services.doctor.checkup import Checkup
from keycairn.app.services.doctor.findings import Finding, Survey
from keycairn.app.services.keys import Rotation
from keycairn.domain.audit import IN_PROCESS, Action, Caller
from keycairn.domain.change import Change, Discard, PutDefaults, ReplaceModel
from keycairn.domain.errors import ConflictError, RecordNotRefusedError
from keycairn.domain.model import Defaults, Model
from keycairn.domain.proof import PROVEN
from keycairn.ports.clock import Clock
from keycairn.ports.store import Store

DISCARDED = frozenset({*PROVEN, "usage"})
"""The kinds of record that may be discarded."""


class Repaired(Struct, frozen=True, kw_only=True):
    """What was done, and what is left. `backup` is the file written before, None when nothing had to be done."""

    backup: str | None
    done: tuple[str, ...]
    findings: tuple[Finding, ...]


class Repair:
    """Does nothing that cannot be undone by an edit, and deletes nothing but what it is told to."""

    def __init__(
        self,
        store: Store,
        checkup: Checkup,
        backups: Backups,
        opener: CredentialOpener,
        rotation: Rotation,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._store = store
        self._checkup = checkup
        self._backups = backups
        self._opener = opener
        self._rotation = rotation
        self._journal = journal
        self._clock = clock

    async def fix(self, *, by: Caller = IN_PROCESS) -> Repaired:
        """Unlink dangling models, clear defaults that point to nothing, note what does not open, finish a rotation.

        Secrets that retired keys still seal are sealed anew.

        Raises SealedError; BackupFileError when no backup can be written, and nothing was changed.
        """
        found = await self._checkup.report()
        codes = {finding.code for finding in found if finding.fixable}
        if not codes:
            return Repaired(backup=None, done=(), findings=found)
        saved = await self._backups.save(by=by)
        done: list[str] = []
        if codes & {"marks_stale", "key_retired"}:
            await self._opener.sweep()
        if "marks_stale" in codes:
            done.append("noted which secrets open and which do not")
        if "key_retired" in codes:
            done.append("sealed anew what retired data keys still sealed")
        if "rotation_pending" in codes:
            await self._rotation.rotate(by=by)
            done.append("finished the rotation of the data key")
        survey = await self._checkup.survey()
        done += await self._unlink(survey.dangling, by)
        done += await self._clear(survey, by)
        return Repaired(backup=saved.file, done=tuple(done), findings=await self._checkup.report())

    async def discard(self, record: str, *, by: Caller = IN_PROCESS) -> None:
        """Remove a record that is refused or cannot be read, for good.

        `record` is its kind and key, as a finding has it. Events, the head of the log and the keyset are not to be
        discarded. Raises RecordNotRefusedError or SealedError.
        """
        kind, _, key = record.partition(":")
        known = {f"{error.kind}:{error.key}" for error in self._store.unreadable()}
        if record not in known or kind not in DISCARDED:
            raise RecordNotRefusedError
        event = self._journal.event(by, Action.RECORD_DISCARDED, record)
        await self._journal.commit((Discard(kind, key), event))

    async def _unlink(self, models: Sequence[Model], by: Caller) -> list[str]:
        done = []
        for model in models:
            loose = replace(model, credential=None, updated=self._clock.now(), version=model.version + 1)
            if await self._commit(by, model, ReplaceModel(loose, expected=model.version)):
                done.append(f"unlinked model {model.id} ({model.name})")
        return done

    async def _clear(self, survey: Survey, by: Caller) -> list[str]:
        done = []
        for defaults, gone in survey.defaults:
            rest = replace(defaults.without(gone), version=defaults.version + 1)
            if await self._commit(by, defaults, PutDefaults(rest, expected=defaults.version)):
                done += [f"cleared {slot}" for slot in defaults.slots if slot not in rest.slots]
        return done

    async def _commit(self, by: Caller, record: Model | Defaults, change: Change) -> bool:
        """Whether the change was made; an edit that came in between, or a twin without a credential, keeps it out."""
        target = record.id if isinstance(record, Model) else "defaults"
        event = self._journal.event(replace(by, workspace=record.workspace), Action.STORE_REPAIRED, target)
        try:
            await self._journal.commit((change, event))
        except ConflictError:
            return False
        return True
