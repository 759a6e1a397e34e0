"""Looking again and again: for commands whose answer changes while one waits."""

import asyncio
import errno
import os
import select
import sys
import time
from collections.abc import Awaitable, Callable

import click

from keycairn.app.cli.endings import OutputLost
from keycairn.app.cli.option import Option
from keycairn.app.cli.show import at_terminal

GLANCE = 1.0
"""Seconds between two looks whether anybody still reads."""

watch_option: Option = click.option(
    "--watch",
    is_flag=False,
    flag_value=2.0,
    type=click.FloatRange(0.2, 3600),
    metavar="[SECONDS]",
    help="Look again every so many seconds, 2 where you do not say, until Ctrl-C.",
)


async def watched(look: Callable[[], Awaitable[int | None]], every: float | None) -> int | None:
    """What `look` gives; again and again, on a cleared screen, with `every` in seconds."""
    while True:
        if every is not None and at_terminal():
            click.clear()
        code = await look()
        if every is None:
            return code
        await pause(every)


async def pause(seconds: float) -> None:
    """Wait, as long as somebody reads what is printed. Raises OutputLost."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left, GLANCE))
        if _unread():
            raise OutputLost(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))


def _unread() -> bool:
    """Whether the other end of standard output is closed: a pipe says so only to who writes, or asks."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError, AttributeError):
        return False  # no descriptor, or a system without poll
    return bool(poll.poll(0))
