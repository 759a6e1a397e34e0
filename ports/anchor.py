"""Where the head of the audit chain is also kept, apart from the database."""

from typing import Protocol

from keycairn.domain.audit import Head


class Anchor(Protocol):
    """Remembers the last head that was acknowledged. A database that is behind it has lost commits."""

    def load(self) -> Head | None:
        """The head last saved, None when none ever was. Raises DamagedAnchorError when it cannot be read."""
        ...

    def save(self, head: Head) -> None:
        """Replace what was saved. Raises StoreError when it cannot be written; the former one is then still there."""
        ...

    def forget(self) -> None:
        """Remove what was saved; a no-op when nothing was. Raises StoreError when it cannot be removed."""
        ...
