"""Looking for what is broken among the records, and saying what to do about it."""

import asyncio
from collections.abc import Iterator

from keycairn.app.services.audit import AuditLog
from keycairn.app.services.credentials import CredentialOpener
from keycairn.app.services.doctor.findings import FIX, Finding, Survey, of_flaw, of_links, of_rotations, of_secrets
from keycairn.app.services.doctor.idle import failed, idle_tokens, of_failed, of_idle
from keycairn.app.services.key_rotations import KeyRotations
from keycairn.app.services.keys import FORMER_WAITS, Rotation, Vault
from keycairn.app.turns import in_turns
from keycairn.domain.credential import Credential
from keycairn.domain.credential_index import sealing_keys
from keycairn.domain.errors import UnknownProviderError
from keycairn.domain.keyset import Keyset, KeyState
from keycairn.domain.model import Defaults, Model
from keycairn.ports.clock import Clock
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

TRIED = 10
"""Credentials whose secrets are tried before others have their turn: a few milliseconds."""


class Checkup:
    """Reads everything, tries every secret, changes nothing."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        opener: CredentialOpener,
        registry: ProviderRegistry,
        rotation: Rotation,
        audit: AuditLog,
        key_rotations: KeyRotations,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._store = store
        self._vault = vault
        self._opener = opener
        self._registry = registry
        self._rotation = rotation
        self._audit = audit
        self._key_rotations = key_rotations

    async def report(self) -> tuple[Finding, ...]:
        """Everything worth saying about the records of all workspaces, the worst first. Raises SealedError."""
        encryption = await self._encryption()
        survey = await self.survey()
        idle = await idle_tokens(self._store, self._clock.now())
        rotations = of_rotations(await self._key_rotations.listed())
        findings = [encryption, *self._former()]
        for found in (of_secrets(survey), of_links(survey), rotations, of_failed(survey.failed), of_idle(idle)):
            findings += await in_turns(found, lambda one: one)
        chain = await self._audit.verify()
        findings += [of_flaw(flaw) for flaw in chain.flaws]
        if chain.intact:
            since = f"; removed by retention: up to event {chain.pruned.last}" if chain.pruned else ""
            findings.append(Finding(code="audit", subject="audit log", found=f"whole; events: {chain.events}{since}"))
        return tuple(sorted(findings, key=lambda finding: (not finding.broken, not finding.what_to_do)))

    async def survey(self) -> Survey:
        """One pass over credentials, models and defaults, as they are at one moment."""
        seen = Survey({f"{error.kind}:{error.key}" for error in self._store.unreadable()})
        await self._vault.refresh()
        async with self._store.snapshot() as records:
            async for record in records:
                match record:
                    case Credential():
                        self._try(record, seen)
                        if len(seen.credentials) % TRIED == 0:
                            await asyncio.sleep(0)
                    case Model() | Defaults():
                        seen.see(record)
                    case Keyset() if record != self._vault.keyset.record:
                        await self._vault.refresh()
                    case Keyset():
                        pass
                    case _:
                        break
        return seen

    def _try(self, credential: Credential, seen: Survey) -> None:
        seen.credentials[credential.id] = credential.workspace
        broken = self._opener.broken(credential)
        if broken:
            seen.broken.append((credential, broken))
        if broken.keys() != credential.broken.keys():
            seen.unmarked.append(credential)
        states = self._vault.keyset.record.keys
        if any(states.get(kid) is KeyState.RETIRED for kid in sealing_keys(credential)):
            seen.retired.append(credential)
        if failed(credential):
            seen.failed.append(credential)
        try:
            self._registry.get(credential.provider)
        except UnknownProviderError:
            seen.strangers.append(credential)

    def _former(self) -> Iterator[Finding]:
        former = self._vault.keyset.record.former
        if former:
            yield Finding(
                code="root_key_former",
                subject="root key",
                found=f"slots of former root keys that still open everything: {', '.join(former)}",
                what_to_do=FORMER_WAITS,
            )

    async def _encryption(self) -> Finding:
        now = await self._rotation.status()
        total = sum(now.secrets.values())
        if now.pending and not now.rotating:
            found = f"secrets that wait for the new key: {now.pending} of {total}"
            return Finding(code="rotation_pending", subject="encryption", found=found, what_to_do=FIX, fixable=True)
        return Finding(code="encryption", subject="encryption", found=f"secrets: {total}; key {now.primary} is primary")
