"""What a large store costs as a whole: starts, memory, rotation, backup and import, each in a process of its own.

    python benchmarks/scale.py [CREDENTIALS] [--calls N] [--json FILE]

The store has so many credentials (20,000 unless told) with secrets that open, three models for each, tokens and sums of
usage, as `size.py` makes them, its files written anew. Seconds are of the wall and of the processor, all threads
together: where other processes run, the latter is the better figure. Memory is what the process holds, the interpreter
and all libraries included.
"""

import argparse
import asyncio
import json
import logging
import multiprocessing
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import importing
import size
import structlog
from litestar import Litestar

from keycairn.adapters.surreal.embedded_store import EmbeddedStore
from keycairn.app import Keycairn, Secret, Settings, open_keycairn
from keycairn.app.plugin import KeycairnPlugin

CALLS = 100_000
IMPORTED = 10_000

Numbers = dict[str, float]


def memory() -> float:
    """What this process holds, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Keycairn]:
    """Keycairn on the folder, nothing logged."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    settings = Settings(
        data_dir=folder, admin_token=Secret(size.TOKEN), env_file=None, database_url=f"surrealkv://{folder}/db"
    )
    async with open_keycairn(settings) as keycairn:
        yield keycairn


async def fill(folder: Path, count: int) -> Numbers:
    """Make the store, its files written anew."""
    async with opened(folder) as keycairn:
        await size.fill_opened(keycairn, count)
        assert isinstance(keycairn.store, EmbeddedStore)
        await keycairn.store.compact()
    return {}


async def start(folder: Path, calls: int) -> Numbers:
    """Seconds until ready, and memory: when ready, when all secrets were tried, and after so many calls of the API."""
    wall, processor = perf_counter(), process_time()
    async with opened(folder) as keycairn:
        found = {"start s": perf_counter() - wall, "start cpu s": process_time() - processor, "ready MiB": memory()}
        app = Litestar(plugins=[KeycairnPlugin(keycairn=keycairn)], openapi_config=None)
        async with app.lifespan():
            await asyncio.sleep(30)
            found["at rest MiB"] = memory()
            for number in range(calls):
                await size.request(app, "GET", size.PAGES[number % 5] if number % 100 == 0 else size.PAGES[4])
            found["after calls MiB"] = memory()
    return found


async def rotation(folder: Path, _: int) -> Numbers:
    """Seconds of a rotation of the data key: all secrets sealed anew, all records proven anew."""
    async with opened(folder) as keycairn:
        await asyncio.sleep(30)  # for the look through all secrets after a start
        wall, processor = perf_counter(), process_time()
        await keycairn.rotation.rotate()
        return {"rotation s": perf_counter() - wall, "rotation cpu s": process_time() - processor}


async def backup(folder: Path, count: int) -> Numbers:
    """Records a second of a backup."""
    async with opened(folder) as keycairn:
        app = Litestar(plugins=[KeycairnPlugin(keycairn=keycairn)], openapi_config=None)
        async with app.lifespan():
            wall, processor = perf_counter(), process_time()
            await size.request(app, "GET", "/api/backup")
            taken, spent = perf_counter() - wall, process_time() - processor
    return {"backup s": taken, "backup cpu s": spent, "backup credentials/s": count / taken}


async def imported(folder: Path, count: int) -> Numbers:
    """Rows a second of an import into an empty store, and what each thousand of them leaves in memory."""
    async with opened(folder / "import") as keycairn:
        before, wall, processor = memory(), perf_counter(), process_time()
        await keycairn.importer.run(importing.Rows(count))
        taken, spent = perf_counter() - wall, process_time() - processor
        return {
            "import rows/s": count / taken,
            "import rows/cpu s": count / spent,
            "import MiB/1000": (memory() - before) / count * 1000,
        }


def alone(work: Callable[[Path, int], Any], folder: Path, number: int) -> Numbers:
    """What `work` finds in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_run, work, folder, number).result()


def _run(work: Callable[[Path, int], Any], folder: Path, number: int) -> Numbers:
    found: Numbers = asyncio.run(work(folder, number))
    return found


def main() -> None:
    """Print what was found; write it as JSON where that is asked for."""
    parser = argparse.ArgumentParser(description="What a large store costs as a whole.")
    parser.add_argument("credentials", type=int, nargs="?", default=size.LARGE)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--json", type=Path, help="write the numbers there")
    arguments = parser.parse_args()
    found: Numbers = {"credentials": arguments.credentials, "calls": arguments.calls}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        works = (fill, arguments.credentials), (start, arguments.calls), (backup, arguments.credentials)
        for work, number in (*works, (rotation, 0), (imported, min(IMPORTED, arguments.credentials))):
            found |= alone(work, folder, number)
    for title, value in found.items():
        print(f"{title:24}{value:12,.1f}")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({title: round(value, 2) for title, value in found.items()}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
