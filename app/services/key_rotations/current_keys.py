"""Finding out what the provider says of the keys in use: their ids, when they were made, and when they end."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from keycairn.app.services.audit import Journal
from keycairn.app.services.key_rotations.calls import KeyCalls
from keycairn.domain.audit import SYSTEM, Action
from keycairn.domain.change import PutKeyRotation
from keycairn.domain.errors import (
    AddressNotFoundError,
    EgressRefusedError,
    InvalidAuthError,
    InvalidInputError,
    KeycairnError,
    NoPermissionError,
    UndecryptableError,
)
from keycairn.domain.key_rotation import at_rest
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.ports.store import Store

LOOKS_EVERY = timedelta(days=1)
"""Between two looks at the list for a key that was not found in it."""
_LASTING = (
    InvalidAuthError,
    NoPermissionError,
    AddressNotFoundError,
    EgressRefusedError,
    InvalidInputError,
    UndecryptableError,
)
"""What does not pass by itself, so that a person is told before the key is due."""


class CurrentKeys:
    """Reads the provider's list once for each key, right after its rotation is set up."""

    def __init__(self, store: Store, calls: KeyCalls, journal: Journal) -> None:
        self._store = store
        self._calls = calls
        self._journal = journal

    def unknown(self, rotation: KeyRotation, now: datetime) -> bool:
        """Whether the key in use is still to be looked for."""
        management = self._calls.of(rotation)
        waits = rotation.looked is not None and now < rotation.looked + LOOKS_EVERY
        return not rotation.key_id and not waits and management.lists and bool(management.fields)

    async def look(self, rotation: KeyRotation, now: datetime) -> bool:
        """Look for the key; whether it is still there to be looked for. Raises StaleVersionError, StoreError."""
        credential = await self._store.credential(rotation.workspace, rotation.credential)
        if credential is None:
            return False
        try:
            listed = await self._calls.keys(rotation, credential)
        except _LASTING as error:
            after = at_rest.unfound(rotation, now, str(error))
        except KeycairnError:
            after = at_rest.unfound(rotation, now, "")  # it passes by itself, or is met when the key is due
        else:
            own = next((one for one in listed if one.current), None)
            after = at_rest.unfound(rotation, now, "") if own is None else at_rest.found(rotation, now, own)
        event = self._journal.event(
            replace(SYSTEM, workspace=rotation.workspace),
            Action.KEY_ROTATED,
            credential.id,
            outcome="found" if after.key_id else "not found",
            details={"key": after.key_id} if after.key_id else {},
        )
        await self._journal.commit((PutKeyRotation(after, expected=rotation.version), event))
        return True
