"""Sealing secrets anew under the primary key, a page of records at a time."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from msgspec.structs import replace

from keycairn.app.turns import batches
from keycairn.domain.change import Change, MarkBroken, PutKeyRotation, Reseal
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    InvalidInputError,
    UndecryptableError,
    UnknownProviderError,
)
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.key_rotation.sealing import context_of
from keycairn.domain.keyset import KeyState
from keycairn.domain.sealed import SealedSecret, kid_of
from keycairn.ports.keyset import OpenKeyset
from keycairn.ports.provider import ProviderRegistry
from keycairn.ports.store import Store

BATCH = 100
"""Credentials resealed in one commit."""


async def sealed_pages(store: Store) -> AsyncIterator[Sequence[Credential | KeyRotation]]:
    """All records with secrets, of every workspace, a page at a time; others run in between."""
    after: CredentialId | None = None
    while page := await store.all_credentials(after=after, limit=BATCH):
        yield page
        after = page[-1].id
        await asyncio.sleep(0)
    for part in batches(await store.key_rotations(), BATCH):
        yield part
        await asyncio.sleep(0)


def resealed(
    page: Sequence[Credential | KeyRotation], keyset: OpenKeyset, registry: ProviderRegistry, stuck: set[int]
) -> list[Change]:
    """The changes that bring the secrets of `page` under the primary key; what does not open stays as it is.

    The keys of those that do not are added to `stuck`.
    """
    primary, cipher = primary_of(keyset.record.keys), keyset.cipher
    changes: list[Change] = []
    for record in page:
        anew: dict[str, SealedSecret] = {}
        for name, text in record.sealed.items():
            kid = kid_of(text)
            if kid == primary and not cipher.outdated(text):
                continue
            try:
                context = context_of(registry.get(record.provider).spec, record, name)
                anew[name] = cipher.seal(cipher.open(text, context, retired=True), context)
            except (UndecryptableError, UnknownProviderError, InvalidInputError):
                if kid is not None:
                    stuck.add(kid)
        if not anew:
            continue
        sealed = {**record.sealed, **anew}
        if isinstance(record, KeyRotation):
            later = replace(record, sealed=sealed, version=record.version + 1)
            changes.append(PutKeyRotation(later, expected=record.version))
            continue
        changes.append(Reseal(record.workspace, record.id, sealed, record.version))
        if anew.keys() & record.broken.keys():  # it had not opened before, and did now
            broken = {name: why for name, why in record.broken.items() if name not in anew}
            changes.append(MarkBroken(record.workspace, record.id, broken, record.version))
    return changes


def credential_of(record: Credential | KeyRotation) -> CredentialId:
    """The credential that a record with secrets is about."""
    return record.credential if isinstance(record, KeyRotation) else record.id


def primary_of(keys: Mapping[int, KeyState]) -> int:
    """The data key that secrets are sealed with, by the states of all."""
    return next(kid for kid, state in keys.items() if state is KeyState.PRIMARY)
