"""Looking again and again: for commands whose answer changes while one waits."""

import asyncio
from collections.abc import Awaitable, Callable

import click

watch_option = click.option(
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
        if every is not None:
            click.clear()
        code = await look()
        if every is None:
            return code
        await asyncio.sleep(every)
