"""Opening a credential at the moment of use, and keeping track of what does not open."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

import structlog
from msgspec.structs import replace

from keycairn.app.services.audit import AuditCounters, Journal
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import SYSTEM, Action, Caller, Details
from keycairn.domain.change import Change, MarkBroken, PutFingerprints, Reseal
from keycairn.domain.credential import Credential, account, seal_context
from keycairn.domain.credential_index import sealing_keys
from keycairn.domain.errors import (
    AccountClosedError,
    ConflictError,
    StaleVersionError,
    StoreError,
    UndecryptableError,
    UnknownProviderError,
    UrlRefusedError,
)
from keycairn.domain.ids import CredentialId
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

ATTEMPTS = 8
"""How often a page is worked out anew when a rotation comes in between."""
PAGE = 200
"""Credentials tried between two commits."""

_log = structlog.get_logger()


class CredentialOpener:
    """Turns stored credentials into usable accounts. The only reader of secrets."""

    def __init__(
        self, store: Store, vault: Vault, registry: ProviderRegistry, journal: Journal, audit_counters: AuditCounters
    ) -> None:
        self._store = store
        self._vault = vault
        self._registry = registry
        self._journal = journal
        self._counters = audit_counters

    async def open(self, credential: Credential, *, purpose: str = "a call", by: Caller = SYSTEM) -> Account:
        """The account with its secrets in the clear. Use it at once and let it go.

        The use is counted for the audit log, unless `purpose` is empty because the caller writes an event of its own.

        Raises UndecryptableError, and marks the record broken, when any secret does not open; SealedError when the
        vault is sealed; UnknownProviderError when its plugin is not loaded; UrlRefusedError for a URL that may not be
        used; AccountClosedError for an account that is closed for calls.
        """
        if credential.options.closed:
            raise AccountClosedError
        spec = self._registry.get(credential.provider).spec
        secrets, broken = self._try_open(credential)
        if broken:
            credential = await self._anew(credential)
            secrets, broken = self._try_open(credential)
        if broken:
            await self._mark(credential, broken)
            raise UndecryptableError("; ".join(f"{name}: {why}" for name, why in sorted(broken.items())))
        await self._heal(credential, secrets)
        opened = account(spec, credential, secrets)
        if purpose:
            self.used(opened, credential.id, purpose=purpose, by=by)
        return opened

    def used(self, account: Account, target: str, *, purpose: str, by: Caller) -> None:
        """Count a use of an account's secrets for the audit log, where it has any."""
        if account.secrets:
            self._counters.note(replace(by, workspace=account.workspace), Action.SECRET_USED, target, purpose=purpose)

    async def learn(self, credentials: Iterable[Credential]) -> None:
        """Have the keys of `credentials`, where another instance rotated them meanwhile; a no-op while sealed.

        Raises SealedError where those keys do not open here.
        """
        if self._vault.why_sealed is not None:
            return
        kids = {kid for credential in credentials for kid in sealing_keys(credential)}
        if not kids <= self._vault.keyset.record.keys.keys():
            await self._vault.refresh()

    def unreadable(self, credential: Credential) -> dict[str, str]:
        """The secrets known not to open, by name, with the reason; judged without decrypting anything."""
        known = dict(credential.broken)
        if self._vault.why_sealed is None:
            cipher = self._vault.cipher
            for name, sealed in credential.sealed.items():
                if name not in known and (why := cipher.unreadable(sealed)):
                    known[name] = why
        return known

    def broken(self, credential: Credential) -> dict[str, str]:
        """The secrets that do not open, by name, with why; each is tried, nothing is marked. Raises SealedError."""
        return self._try_open(credential)[1]

    async def sweep(self, workspace: str | None = None) -> int:
        """Try every secret once, mark what does not open, unmark what does; the number of broken credentials.

        Of every workspace, or only of one. Fingerprints that are missing are filled in, and what is of a former suite
        or needs a retired key is sealed again.
        """
        after: CredentialId | None = None
        count = 0
        while page := await self._store.all_credentials(after=after, limit=PAGE):
            await self.learn(page)
            for attempt in range(ATTEMPTS):
                try:
                    count += await self._sweep([one for one in page if workspace in {None, one.workspace}])
                    break
                except StaleVersionError:  # the key it was sealed anew with is retired by now
                    if attempt == ATTEMPTS - 1:
                        raise
                    await self._vault.refresh()
            after = page[-1].id
        return count

    async def _sweep(self, page: Sequence[Credential]) -> int:
        marks: list[Change] = []
        resealed: list[Change] = []
        count = 0
        for known in page:
            credential = known
            secrets, broken = self._try_open(credential)
            if broken.keys() != credential.broken.keys():
                credential = await self._anew(credential)
                secrets, broken = self._try_open(credential)
            count += bool(broken)
            await self._mark(credential, broken)
            if change := self._fingerprinted(credential, secrets):
                marks.append(change)
            if renewal := self._resealed(credential, secrets):
                resealed.append(renewal)
            await asyncio.sleep(0)
        if resealed:
            details: Details = {"credentials": len(resealed)}
            marks += [*resealed, self._journal.event(SYSTEM, Action.SECRETS_RESEALED, "keyset", details=details)]
        elif marks:
            details = {"credentials": len(marks)}
            marks.append(self._journal.event(SYSTEM, Action.FINGERPRINTS_FILLED, "keyset", details=details))
        await self._journal.commit(tuple(marks))
        return count

    async def _anew(self, credential: Credential) -> Credential:
        """The credential as it is stored by now, with the keys of now: it may have been sealed anew since it was read.

        As it is given where it is not stored, or a later version than what is.
        """
        await self._vault.refresh()
        stored = await self._store.credential(credential.workspace, credential.id)
        return credential if stored is None or stored.version < credential.version else stored

    async def _heal(self, credential: Credential, secrets: Mapping[str, Secret]) -> None:
        """Seal anew what is outdated, and clear the marks: it opened. Where that cannot be written it waits."""
        renewal = self._resealed(credential, secrets)
        changes: list[Change] = [renewal] if renewal else []
        if credential.broken:
            changes.append(MarkBroken(credential.workspace, credential.id, {}, credential.version))
        if not changes:
            return
        event = self._journal.event(
            replace(SYSTEM, workspace=credential.workspace),
            Action.SECRETS_RESEALED if renewal else Action.CREDENTIAL_BROKEN,
            credential.id,
            outcome="repaired",
            details={"secrets": sorted(secrets)},
        )
        try:
            stored = await self._store.credential(credential.workspace, credential.id)
            if stored is not None and (stored.sealed, stored.broken) == (credential.sealed, credential.broken):
                await self._journal.commit((*changes, event))  # else it was healed since it was read
        except (ConflictError, StoreError) as error:
            _log.warning("a secret that opened could not be sealed anew, or unmarked, yet", code=error.code)

    def _try_open(self, credential: Credential) -> tuple[dict[str, Secret], dict[str, str]]:
        cipher = self._vault.cipher
        secrets: dict[str, Secret] = {}
        broken: dict[str, str] = {}
        try:
            spec = self._registry.get(credential.provider).spec
            for name, sealed in credential.sealed.items():
                try:
                    secrets[name] = cipher.open(sealed, seal_context(spec, credential, name), retired=True)
                except UndecryptableError as error:
                    broken[name] = error.reason
        except UnknownProviderError:
            # The plugin may come back; that says nothing about the secrets.
            return {}, dict(credential.broken)
        except UrlRefusedError:
            broken = dict.fromkeys(credential.sealed, "a URL of the record is malformed")
        return secrets, broken

    def _resealed(self, credential: Credential, secrets: Mapping[str, Secret]) -> Reseal | None:
        """The change that seals anew what opened and is outdated, None where nothing is."""
        cipher = self._vault.cipher
        outdated = [name for name in secrets if cipher.outdated(credential.sealed[name])]
        if not outdated:
            return None
        spec = self._registry.get(credential.provider).spec
        anew = {name: cipher.seal(secrets[name], seal_context(spec, credential, name)) for name in outdated}
        return Reseal(credential.workspace, credential.id, {**credential.sealed, **anew}, credential.version)

    def _fingerprinted(self, credential: Credential, secrets: Mapping[str, Secret]) -> PutFingerprints | None:
        """The change that gives each opened secret its fingerprint, None where all have it."""
        found = {name: self._vault.fingerprint(credential.workspace, secret) for name, secret in secrets.items()}
        whole = {name: mark for name, mark in credential.fingerprints.items() if name in credential.sealed} | found
        if whole == credential.fingerprints:
            return None
        return PutFingerprints(credential.workspace, credential.id, whole, credential.version)

    async def _mark(self, credential: Credential, broken: dict[str, str]) -> None:
        if broken.keys() == credential.broken.keys():
            return  # the reason found first is the better one
        changes = [MarkBroken(credential.workspace, credential.id, broken, credential.version)]
        event = self._journal.event(
            replace(SYSTEM, workspace=credential.workspace),
            Action.CREDENTIAL_BROKEN,
            credential.id,
            outcome="broken" if broken else "repaired",
            details={"secrets": sorted(broken or credential.broken)},
        )
        await self._journal.commit((*changes, event))
