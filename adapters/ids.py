"""Fresh ids from ULIDs."""

import secrets
from threading import Lock

from ulid import ULID

from keycairn.domain.ids import CredentialId, EventId, ModelId
from keycairn.domain.token import SECRET_BYTES

_ULID_BYTES = 16


class UlidIds:
    """`keycairn.ports.clock.Ids`. Safe to share between threads.

    Of one instance, every id sorts after the one before, also within a millisecond and when the clock is set back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._last = 0

    def _next(self) -> str:
        fresh = int.from_bytes(ULID().bytes, "big")
        with self._lock:
            self._last = max(fresh, self._last + 1)
            return str(ULID.from_bytes(self._last.to_bytes(_ULID_BYTES, "big")))

    def credential(self) -> CredentialId:
        """See the port."""
        return CredentialId(f"credential:{self._next()}")

    def model(self) -> ModelId:
        """See the port."""
        return ModelId(f"model:{self._next()}")

    def event(self) -> EventId:
        """See the port."""
        return EventId(f"event:{self._next()}")

    def token(self) -> tuple[str, bytes]:
        """See the port."""
        return self._next(), secrets.token_bytes(SECRET_BYTES)
