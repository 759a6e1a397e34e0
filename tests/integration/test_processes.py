"""What a store in a folder promises to other processes, and when its own is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.samples import WORKSPACE

from keycairn.adapters.surreal import open_surreal
from keycairn.domain.errors import StoreLockedError

REPOSITORY = Path(__file__).parents[2]


def python(program: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


HOLD = """
import asyncio, sys
from keycairn.adapters.surreal import open_surreal
from keycairn.domain.errors import StoreLockedError
async def main():
    try:
        store = await open_surreal("surrealkv://" + sys.argv[1])
    except StoreLockedError as error:
        print("refused:", error)
    else:
        print("opened")
        await store.aclose()
asyncio.run(main())
"""


async def test_a_second_process_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = await open_surreal(f"surrealkv://{path}")
    try:
        with pytest.raises(StoreLockedError):
            await open_surreal(f"surrealkv://{path}")
        out, err = await asyncio.to_thread(python(HOLD, path).communicate)
        assert out.startswith("refused: Another Keycairn process is using the database"), err
    finally:
        await store.aclose()
    out, err = await asyncio.to_thread(python(HOLD, path).communicate)
    assert out == "opened\n", err


WRITE = """
import asyncio, sys
from tests.samples import an_event
from keycairn.adapters.surreal import open_surreal
from keycairn.domain.change import Append
async def main():
    store = await open_surreal("surrealkv://" + sys.argv[1])
    while True:
        event = an_event()
        await store.commit((Append(event),))
        print(event.id, flush=True)
asyncio.run(main())
"""


async def test_a_killed_process_loses_no_acknowledged_commit(tmp_path: Path) -> None:
    child = python(WRITE, tmp_path / "db")
    assert child.stdout is not None
    acknowledged = [await asyncio.to_thread(child.stdout.readline) for _ in range(100)]
    os.kill(child.pid, signal.SIGKILL)
    rest = await asyncio.to_thread(child.stdout.read)  # not communicate: it passes over what readline has buffered
    await asyncio.to_thread(child.communicate)
    acknowledged += rest.splitlines(keepends=True)
    whole = {line.strip() for line in acknowledged if line.endswith("\n")}
    store = await open_surreal(f"surrealkv://{tmp_path / 'db'}")
    found = {event.id for event in await store.events(WORKSPACE)}
    await store.aclose()
    assert len(whole) >= 100
    assert whole <= found
    assert len(found - whole) <= 1
