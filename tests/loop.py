"""How long an event loop is held by what runs in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import thread_time


class Held:
    """`longest` is the longest time in milliseconds, of the processor, for which nothing else had its turn."""

    longest = 0.0


@asynccontextmanager
async def held() -> AsyncIterator[Held]:
    """Watch the running loop. What it waits for, or what other processes take, does not count."""
    found = Held()

    async def watch() -> None:
        while True:
            before = thread_time()
            await asyncio.sleep(0.0005)
            found.longest = max(found.longest, (thread_time() - before) * 1000)

    task = asyncio.create_task(watch())
    await asyncio.sleep(0.002)
    found.longest = 0.0
    try:
        yield found
        await asyncio.sleep(0.001)
    finally:
        task.cancel()
