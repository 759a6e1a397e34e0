"""A spool: room outside of memory for a body that may be sent once more within a call."""

from typing import Protocol


class Spool(Protocol):
    """One call's bytes. Nobody else can open them, and nothing of them is left after `close` or the process's end."""

    async def write(self, at: int, data: bytes) -> None:
        """Put `data` at the offset `at`. Repeatable, also after a write that was cancelled. Raises SpoolError."""
        ...

    async def read(self, at: int, size: int) -> bytes:
        """`size` bytes that were written at the offset `at`. Raises SpoolError."""
        ...

    def close(self) -> None:
        """Give the room back, also while a write is under way. Repeatable; nothing can be written or read after."""
        ...


class Spools(Protocol):
    """Makes spools."""

    def open(self) -> Spool:
        """A new one, empty. Takes no room before the first write."""
        ...

    def close(self) -> None:
        """Wait for what is under way, and make no more."""
        ...
