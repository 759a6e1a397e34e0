"""The JSON of each credential in a list, kept until the record, the number of its models or the keyset changes."""

from collections.abc import Callable, Sequence

import msgspec

from keycairn.app.api.credential_views import credential_view
from keycairn.app.keycairn import Keycairn
from keycairn.app.lookup import spec_of
from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId
from keycairn.domain.reach import EVERYWHERE
from keycairn.ports.store import Position

MOST_BYTES = 24 * 2**20
"""Of all fragments together: some 30,000 credentials. The oldest make room."""

Counted = tuple[Credential, int]
"""A credential and how many models are linked to it."""


class Fragments:
    """What a list shows of a credential is the same for every caller, so it is made and encoded once."""

    def __init__(self, keycairn: Callable[[], Keycairn], most: int = MOST_BYTES) -> None:
        self._keycairn = keycairn
        self._most = most
        self._kept: dict[CredentialId, tuple[Credential, int, bytes]] = {}
        self._bytes = 0
        self._opened: tuple[object, ...] = ()
        """What tells which secrets open: the keyset they were judged by."""

    async def page(
        self, workspace: str, *, provider: str | None, after: Position | None, limit: int
    ) -> Sequence[Counted]:
        """A page of credentials with the numbers of their models, ready for `json`."""
        keycairn = self._keycairn()
        found = await keycairn.credentials.counted(provider=provider, after=after, limit=limit, workspace=workspace)
        if fresh := [credential for credential, count in found if self._known(credential, count) is None]:
            await keycairn.credentials.learn(fresh)
        return found

    def json(self, counted: Counted) -> bytes:
        """The credential as a member of a list."""
        keycairn = self._keycairn()
        vault = keycairn.vault
        opened = (keycairn, vault.why_sealed, None if vault.why_sealed else vault.keyset)
        if opened != self._opened:
            self._kept.clear()
            self._opened, self._bytes = opened, 0
        credential, count = counted
        known = self._known(credential, count)
        return self._make(keycairn, credential, count) if known is None else known

    def _known(self, credential: Credential, count: int) -> bytes | None:
        kept = self._kept.get(credential.id)
        # The records in memory are the same objects until they change; those of a server are read anew each time.
        if kept is not None and kept[1] == count and (kept[0] is credential or kept[0] == credential):
            return kept[2]
        return None

    def _make(self, keycairn: Keycairn, credential: Credential, count: int) -> bytes:
        listed = keycairn.credentials.listed(credential, count)
        made = msgspec.json.encode(credential_view(listed, spec_of(keycairn.registry, credential.provider), EVERYWHERE))
        if former := self._kept.pop(credential.id, None):
            self._bytes -= len(former[2])
        self._kept[credential.id] = credential, count, made
        self._bytes += len(made)
        while self._bytes > self._most:
            self._bytes -= len(self._kept.pop(next(iter(self._kept)))[2])
        return made
