"""Bodies that arrive in pieces."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from keycairn.app.gateway.request_body import Incoming, Intake
from keycairn.domain.errors import SpoolError


def arriving(*chunks: bytes, intake: Intake | None = None, length: int | None = None) -> Incoming:
    """A body that arrives in these chunks; after them the client is gone."""
    left = list(chunks)

    async def receive() -> Any:
        if not left:
            return {"type": "http.disconnect"}
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    return Incoming(receive, intake or Intake(), length)


def a_form(*parts: tuple[str, bytes], boundary: str = "b") -> bytes:
    lines = [
        b'--%s\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (boundary.encode(), name.encode(), value)
        for name, value in parts
    ]
    return b"".join(lines) + b"--" + boundary.encode() + b"--\r\n"


def in_pieces(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    """The body in pieces of these sizes, and the rest."""
    pieces = []
    at = 0
    for size in sizes:
        pieces.append(body[at : at + size])
        at += size
    return [*pieces, body[at:]]


def open_files(folder: Path) -> list[int]:
    """The modes of this process's open files in the folder, those that have no name too."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(entry.readlink()).startswith(str(folder)):
                found.append(entry.stat().st_mode & 0o777)
    return found


class FakeSpools:
    """Spools in memory. `room` is how many bytes one takes; writes of more fail."""

    def __init__(self, room: int = 2**40) -> None:
        self.room = room
        self.written = 0
        self.opened: list[FakeSpool] = []

    def open(self) -> "FakeSpool":
        self.opened.append(FakeSpool(self))
        return self.opened[-1]

    def close(self) -> None:
        pass


class FakeSpool:
    def __init__(self, spools: FakeSpools) -> None:
        self._spools = spools
        self.data = bytearray()
        self.closed = False

    async def write(self, at: int, data: bytes) -> None:
        await asyncio.sleep(0)
        if at + len(data) > self._spools.room:
            raise SpoolError
        self._spools.written += len(data)
        self.data[at : at + len(data)] = data

    async def read(self, at: int, size: int) -> bytes:
        await asyncio.sleep(0)
        if self.closed or at + size > len(self.data):
            raise SpoolError
        return bytes(self.data[at : at + size])

    def close(self) -> None:
        self.closed = True
