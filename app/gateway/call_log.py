"""A line of log for each call: who, what, which account, how it ended, what it used, how long it took; never a body."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from keycairn.app.gateway.call import Report
from keycairn.domain.price import NANOS

EVERY = 0.25
"""Seconds after which the lines of the calls that ended are written, together."""
MOST_WAITING = 500
"""Lines that wait at most; with the next one all are written."""


class CallLine(Struct, kw_only=True):
    """One line. A struct, because it is made and encoded in a fraction of the time of a mapping."""

    event: str = "call"
    level: str = "info"
    timestamp: datetime
    id: str
    api: str
    token: str
    model: str
    credential: str
    provider: str
    status: int
    error: str
    attempts: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    estimated: bool
    cost: float
    first_byte: float | None
    seconds: float
    closed: int | UnsetType = UNSET
    """The code that a websocket was closed with."""
    sound_seconds: float | UnsetType = UNSET


Write = Callable[[Sequence[CallLine]], None]
"""Writes lines of log, each an event of its own. It blocks a little, and raises nothing."""


class CallLog:
    """Collects the lines and writes them in groups. Nothing is logged until `write` is set."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.write: Write | None = None
        self._now = now
        self._lines: list[CallLine] = []
        self._timer: asyncio.TimerHandle | None = None

    def note(self, api: str, token: str, report: Report, seconds: float) -> None:
        """One call that is over. `token` is who called, as in the audit log."""
        if self.write is None:
            return
        used, first = report.used, report.first_byte
        line = CallLine(
            timestamp=self._now(),
            id=report.id,
            api=api,
            token=token,
            model=report.model_name,
            credential=report.credential,
            provider=report.provider,
            status=report.status,
            error=report.code,
            attempts=report.attempts,
            input_tokens=used.input,
            output_tokens=used.output,
            cached_tokens=used.cached,
            estimated=used.estimated,
            cost=report.charge.nanos / NANOS,
            first_byte=None if first is None else round(first, 4),
            seconds=round(seconds, 4),
        )
        if report.closed is not None:
            line.closed = report.closed
        if report.sound is not None:
            line.sound_seconds = report.sound
        self._lines.append(line)
        if len(self._lines) >= MOST_WAITING:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines and self.write is not None:
            lines, self._lines = self._lines, []
            self.write(lines)
