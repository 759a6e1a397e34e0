"""What this process asked of a database server, and what came of it, in a redo log in the data folder.

The server decides. Before a changeset is sent its records are noted as an intent, afterwards its outcome, and both are
on the disk before anyone is told. So an outcome that is unknown can be settled later by the audit event's id, and a
server that loses what it had acknowledged can be found out and given it again.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from keycairn.adapters.redo_log import RedoLog, sync_folder
from keycairn.adapters.redo_log_format import Entry
from keycairn.adapters.surreal.changesets import images_in, packed
from keycairn.domain.audit import Head
from keycairn.domain.errors import DamagedAnchorError, StoreError
from keycairn.domain.state import Images

KEEP = 8 * 2**20
"""Bytes of entries after which a log is put aside as the former one; two of that size are kept at the most."""


class Intent(Struct, frozen=True):
    """A changeset that was sent: its number, the ids of its audit events, and the records as they are afterwards."""

    number: int
    events: tuple[str, ...]
    images: Images


class IntentOutcome(Struct, frozen=True):
    """What came of the intent `number`."""

    number: int
    done: bool


class Vouched(Struct, frozen=True):
    """What the database held when somebody vouched for it."""

    head: Head | None


class ServerLog:
    """The log of one process for one server's database. Without a file it remembers the head only, while it lives."""

    def __init__(self, file: Path | None, *, former_head: Head | None = None) -> None:
        """Open the log, or begin one where there is none, after `former_head`. Raises StoreError."""
        self._file = file
        self._log: RedoLog | None = None
        self._head: Head | None = former_head
        self._lost = False
        self._open: list[Intent] = []
        if file is not None:
            self._begin(file, former_head)

    def _begin(self, file: Path, former_head: Head | None) -> None:
        try:
            if not file.exists() and self._former.exists():  # cut off while it was put aside
                self._former.replace(file)
        except OSError as error:
            raise StoreError(f"{self._former} cannot be renamed: {error.strerror}.") from None
        self._log = self._opened(file, former_head)
        self._lost = not self._log.header.proves
        self._head = self._log.header.head
        sent: dict[int, Intent] = {}
        for note in self._notes():
            match note:
                case Intent():
                    sent[note.number] = note
                case IntentOutcome(number=number, done=done) if number in sent:
                    self._head = (_head_of(sent.pop(number)) if done else None) or self._head
                case Vouched(head=head):
                    self._head, self._lost = head, False
        self._open = list(sent.values())

    @property
    def head(self) -> Head | None:
        """The head of the audit chain after the last changeset known to be in. Raises DamagedAnchorError."""
        if self._lost:
            raise DamagedAnchorError(str(self._file))
        return self._head

    @property
    def unsettled(self) -> Sequence[Intent]:
        """What was sent and has no outcome yet."""
        return tuple(self._open)

    def vouch(self, head: Head | None) -> None:
        """What the database holds counts as acknowledged from now on. Raises StoreError."""
        if self._log is not None:
            self._log.append(msgspec.json.encode({"vouched": head}), None)
        self._head, self._lost = head, False

    async def intend(self, images: Images, events: Sequence[str]) -> Intent:
        """Note what is about to be sent. Raises StoreFullError or StoreError: then do not send it."""
        number = 0
        if self._log is not None:
            self._put_aside()
            body = json.dumps({"intent": list(events)}).encode() + b"\n" + await packed(images)
            self._log.append(body, None, sync=False)
            number = self._log.last
        intent = Intent(number, tuple(events), images)
        self._open.append(intent)
        return intent

    async def settle(self, intent: Intent, *, done: bool) -> None:
        """Note the outcome of what was sent. Raises StoreError when it cannot be written; it is known all the same."""
        self._open.remove(intent)
        if done:
            self._head = _head_of(intent) or self._head
        if self._log is not None:
            body = json.dumps({"outcome": intent.number, "done": done}).encode()
            await asyncio.to_thread(self._log.append, body, None, sync=done)

    def acknowledged(self) -> Iterator[Intent]:
        """What the server said it had taken and nobody gave up, oldest first, as far back as is kept."""
        notes = list(self._notes())
        done = {note.number for note in notes if isinstance(note, IntentOutcome) and note.done}
        done -= {note.number for note in notes if isinstance(note, IntentOutcome) and not note.done}
        return (note for note in notes if isinstance(note, Intent) and note.number in done)

    def give_up(self, numbers: Iterable[int]) -> None:
        """Let `acknowledged` tell these no more. Raises StoreError."""
        if self._log is not None:
            for number in numbers:
                self._log.append(json.dumps({"outcome": number, "done": False}).encode(), None)

    def close(self) -> None:
        """Let the file go."""
        if self._log is not None:
            self._log.close()

    @property
    def _former(self) -> Path:
        file = self._file or Path()
        return file.with_name(file.name + ".former")

    def _put_aside(self) -> None:
        """Begin a new log where this one is large, and keep this one as the former."""
        if self._log is None or self._file is None or self._log.used < KEEP or self._open:
            return
        last = self._log.last
        new = self._file.with_name(self._file.name + ".next")
        RedoLog.create(new, store="server", safe=last, head=self._head, proves=not self._lost).close()
        try:
            if self._file.exists():
                self._file.replace(self._former)
            new.replace(self._file)
            sync_folder(self._file.parent)
        except OSError as error:
            raise StoreError(f"{self._file} cannot be put aside: {error.strerror}. Nothing was written.") from None
        former, self._log = self._log, self._opened(self._file)
        former.close()

    @staticmethod
    def _opened(file: Path, head: Head | None = None) -> RedoLog:
        """The log in a file, locked; a new one that begins at `head` where there is none, or it is damaged."""
        try:
            log = RedoLog.open(file) or RedoLog.create(file, store="server", head=head)
        except DamagedAnchorError:
            log = RedoLog.create(file, store="server", proves=False)
        log.lock()
        return log

    def _entries(self) -> Iterator[Entry]:
        if self._log is None:
            return
        try:
            former = RedoLog.open(self._former)
        except DamagedAnchorError:
            former = None
        if former is not None:
            yield from former.entries()
            former.close()
        yield from self._log.entries()

    def _notes(self) -> Iterator[Intent | IntentOutcome | Vouched]:
        for entry in self._entries():
            line, _, body = entry.body.partition(b"\n")
            note: dict[str, Any] = msgspec.json.decode(line)
            if "intent" in note:
                yield Intent(entry.number, tuple(note["intent"]), images_in(body))
            elif "outcome" in note:
                yield IntentOutcome(note["outcome"], note["done"])
            else:
                yield Vouched(msgspec.convert(note["vouched"], Head | None))


def _head_of(intent: Intent) -> Head | None:
    found = intent.images.get(("head", "current"))
    return found if isinstance(found, Head) else None
