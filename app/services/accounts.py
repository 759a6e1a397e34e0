"""Opening a credential at the moment of use, and keeping track of what does not open."""

from collections.abc import Mapping

from keycairn.app.services.journal import Journal
from keycairn.app.services.vault import Vault
from keycairn.domain.audit import SYSTEM, Action
from keycairn.domain.change import MarkBroken, PutFingerprints
from keycairn.domain.credential import Credential, account, seal_context
from keycairn.domain.errors import UndecryptableError, UnknownProviderError, UrlRefusedError
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Position, Store


class Accounts:
    """Turns stored credentials into usable accounts. The only reader of secrets."""

    def __init__(self, store: Store, vault: Vault, registry: ProviderRegistry, journal: Journal) -> None:
        self._store = store
        self._vault = vault
        self._registry = registry
        self._journal = journal

    async def open(self, credential: Credential) -> Account:
        """The account with its secrets in the clear. Use it at once and let it go.

        Raises UndecryptableError, and marks the record broken, when any secret does not open; SealedError when the
        vault is sealed; UnknownProviderError when its plugin is not loaded.
        """
        spec = self._registry.get(credential.provider).spec
        secrets, broken = self._try_open(credential)
        if broken:
            await self._mark(credential, broken)
            raise UndecryptableError("; ".join(f"{name}: {why}" for name, why in sorted(broken.items())))
        return account(spec, credential.settings, secrets)

    def unreadable(self, credential: Credential) -> dict[str, str]:
        """The secrets known not to open, by name, with the reason; judged without decrypting anything."""
        known = dict(credential.broken)
        if self._vault.why_sealed is None:
            cipher = self._vault.cipher
            for name, sealed in credential.sealed.items():
                if name not in known and (why := cipher.unreadable(sealed)):
                    known[name] = why
        return known

    async def sweep(self, workspace: str) -> int:
        """Try every secret of the workspace once, mark what does not open, unmark what does; the number broken.

        Fingerprints that are missing are filled in.
        """
        after: Position | None = None
        count = 0
        while page := await self._store.credentials(workspace, after=after, limit=200):
            marks = []
            for credential in page:
                secrets, broken = self._try_open(credential)
                count += bool(broken)
                if broken != credential.broken:
                    await self._mark(credential, broken)
                if change := self._fingerprinted(credential, secrets):
                    marks.append(change)
            await self._journal.commit(tuple(marks))
            last = page[-1]
            after = Position(last.provider, last.created, last.id)
        return count

    def _try_open(self, credential: Credential) -> tuple[dict[str, Secret], dict[str, str]]:
        cipher = self._vault.cipher
        secrets: dict[str, Secret] = {}
        broken: dict[str, str] = {}
        try:
            spec = self._registry.get(credential.provider).spec
            for name, sealed in credential.sealed.items():
                try:
                    secrets[name] = cipher.open(sealed, seal_context(spec, credential, name))
                except UndecryptableError as error:
                    broken[name] = error.reason
        except UnknownProviderError:
            # The plugin may come back; that says nothing about the secrets.
            return {}, dict(credential.broken)
        except UrlRefusedError:
            broken = dict.fromkeys(credential.sealed, "a URL of the record is malformed")
        return secrets, broken

    def _fingerprinted(self, credential: Credential, secrets: Mapping[str, Secret]) -> PutFingerprints | None:
        """The change that gives each opened secret its fingerprint, None where all have it."""
        found = {name: self._vault.fingerprint(credential.workspace, secret) for name, secret in secrets.items()}
        whole = {name: mark for name, mark in credential.fingerprints.items() if name in credential.sealed} | found
        if whole == credential.fingerprints:
            return None
        return PutFingerprints(credential.workspace, credential.id, whole, credential.version)

    async def _mark(self, credential: Credential, broken: dict[str, str]) -> None:
        if broken == credential.broken:
            return
        changes = [MarkBroken(credential.workspace, credential.id, broken, credential.version)]
        event = self._journal.event(
            SYSTEM,
            Action.CREDENTIAL_BROKEN,
            credential.id,
            outcome="broken" if broken else "repaired",
            details={"secrets": sorted(broken or credential.broken)},
        )
        await self._journal.commit((*changes, event))
