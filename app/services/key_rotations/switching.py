"""The switch: every credential that holds the former key for the same place gets the new one, in one commit."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from keycairn.app.services.keys import Vault
from keycairn.domain.change import Change, PutKeyRotation, ReplaceCredential
from keycairn.domain.credential import Credential, seal_context
from keycairn.domain.key_rotation.binding import target
from keycairn.domain.key_rotation.record import KeyRotation, Run, Target, rotation_id
from keycairn.domain.key_rotation.run import run_of
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock
from keycairn.ports.http import Http
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

LEAKED = "its key leaked"


class Switching:
    """Works out what becomes of the credentials. Models, aliases, pools and limits hang on their ids, which stay."""

    def __init__(self, store: Store, vault: Vault, registry: ProviderRegistry, http: Http, clock: Clock) -> None:
        self._store = store
        self._vault = vault
        self._registry = registry
        self._http = http
        self._clock = clock

    def fingerprint(self, workspace: str, secret: Secret) -> str:
        """See `Vault.fingerprint`."""
        return self._vault.fingerprint(workspace, secret)

    async def twins(self, credential: Credential, fingerprint: str) -> Sequence[Credential]:
        """The credentials of the workspace that hold the key, the given one first."""
        found = await self._store.with_same_secret(credential.workspace, {fingerprint})
        others = [one for one in found if one.id != credential.id and one.provider == credential.provider]
        return [credential, *others]

    async def alike(self, credential: Credential, fingerprint: str) -> Sequence[Credential]:
        """Those of `twins` that lead where the given one does, which comes first.

        Whoever holds the same key need not be the same account: a key that leaked is held by others, too.
        """
        here = self._target(credential)
        return [one for one in await self.twins(credential, fingerprint) if self._target(one) == here]

    async def to(
        self, credential: Credential, fingerprint: str, new: Mapping[str, Secret], rotation: KeyRotation
    ) -> tuple[list[Change], list[str]]:
        """The changes that give all who hold the key for the same place the new one, and their ids.

        `fingerprint` is of the former key. Raises InvalidInputError for a secret that cannot be sealed.
        """
        changes: list[Change] = []
        ids: list[str] = []
        run = run_of(rotation)
        alike = await self.alike(credential, fingerprint)
        for one in [one for one in alike if rotation.takes_along(one.provider, one.id)]:
            changes.append(ReplaceCredential(self._with(one, new, run), expected=one.version, kept=_others(one, new)))
            ids.append(one.id)
            if one.id != credential.id:
                changes += await self._rotation_of(one, rotation, run)
        return changes, ids

    async def closed(self, credential: Credential, fingerprint: str) -> list[Change]:
        """The changes that close all accounts with the key for calls."""
        return [
            ReplaceCredential(
                replace(
                    one,
                    options=replace(one.options, closed=LEAKED),
                    updated=self._clock.now(),
                    version=one.version + 1,
                ),
                expected=one.version,
                kept=frozenset(one.sealed),
            )
            for one in await self.twins(credential, fingerprint)
            if not one.options.closed
        ]

    def forget(self, ids: Iterable[str]) -> None:
        """Let go of the tokens that were bought with the former key."""
        for id in ids:
            self._http.tokens.forget(id)

    def _with(self, credential: Credential, new: Mapping[str, Secret], run: Run) -> Credential:
        spec = self._registry.get(credential.provider).spec
        placed = replace(credential, settings={**credential.settings, **run.new_settings})
        cipher = self._vault.cipher
        sealed = {name: cipher.seal(secret, seal_context(spec, placed, name)) for name, secret in new.items()}
        marks = {name: self._vault.fingerprint(credential.workspace, secret) for name, secret in new.items()}
        return replace(
            placed,
            sealed={**credential.sealed, **sealed},
            fingerprints={**credential.fingerprints, **marks},
            broken={name: why for name, why in credential.broken.items() if name not in new},
            options=replace(credential.options, closed=""),
            updated=self._clock.now(),
            version=credential.version + 1,
        )

    def _target(self, credential: Credential) -> Target:
        return target(self._registry.get(credential.provider).spec, credential)

    async def _rotation_of(self, twin: Credential, leader: KeyRotation, run: Run) -> list[Change]:
        """What a twin's own rotation has to know of its new key."""
        stored = await self._store.key_rotation(rotation_id(twin.id))
        if stored is None or stored.run is not None:
            return []
        now = self._clock.now()
        after = replace(
            stored,
            fingerprint=run.new_fingerprint,
            key_id=run.new_id,
            confirmed=tuple(one for one in stored.confirmed if one in leader.confirmed),
            made=now,
            expires=run.expires,
            updated=now,
            version=stored.version + 1,
        )
        return [PutKeyRotation(after, expected=stored.version)]


def _others(credential: Credential, new: Mapping[str, Secret]) -> frozenset[str]:
    return frozenset(credential.sealed) - new.keys()
