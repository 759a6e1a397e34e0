"""How long commands and the service take to start, beside `python -c pass` of the same interpreter and packages.

Each in a process of its own, in turns; medians of the processor's time and of the time, and their ratios. The service
is started until it says that it is ready, then killed: in a new data folder, and in a copy of one that was there.
`status` asks a service that runs.

    python benchmarks/starting.py [--rounds 15]
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

KEYCAIRN = ("-m", "keycairn")
AIMS = {"--help": "8", "--version": "8"}
"""Times the processor's time of `python -c pass`."""
PATIENCE = 60.0


def environment(data: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KEYCAIRN_")}
    return kept | {"KEYCAIRN_DATA_DIR": str(data), "KEYCAIRN_EXTERNAL_PLUGINS": "off", "KEYCAIRN_PORT": "0"}


def begin(*words: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, *words]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603  # our own


def run(*words: str, env: Mapping[str, str] | None = None) -> None:
    assert begin(*words, env=env).wait() == 0, words


def become_ready(process: subprocess.Popen[bytes], data: Path) -> None:
    """Wait until the service answers that it is ready."""
    told, end = data / "server.json", time.monotonic() + PATIENCE
    while not told.exists() or json.loads(told.read_bytes() or b"{}").get("pid") != process.pid:
        assert process.poll() is None, "the service ended"
        assert time.monotonic() < end, "the service did not begin"
        time.sleep(0.002)
    assert httpx.get(f"{json.loads(told.read_bytes())['url']}/health/ready", trust_env=False).status_code == 200


@contextmanager
def service(data: Path) -> Iterator[None]:
    process = begin(*KEYCAIRN, "serve", env=environment(data))
    try:
        become_ready(process, data)
        yield
    finally:
        process.terminate()
        process.wait()


def serve_until_ready(data: Path) -> None:
    process = begin(*KEYCAIRN, "serve", env=environment(data))
    try:
        become_ready(process, data)
    finally:
        process.kill()
        process.wait()


def taken(work: Callable[[], object]) -> tuple[float, float]:
    """The processor's time of the processes that `work` starts and ends, and the time; in milliseconds."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu * 1000, wall * 1000


def main(folder: Path, rounds: int) -> None:
    there, running = folder / "there", folder / "running"
    for data in (there, running):
        with service(data):
            pass
    copies = iter(folder / f"copy-{number}" for number in range(rounds))
    news = iter(folder / f"new-{number}" for number in range(rounds))
    asking = environment(running)
    works: dict[str, Callable[[], object]] = {
        "`python -c pass`": lambda: run("-c", "pass"),
        "`keycairn --help`": lambda: run(*KEYCAIRN, "--help"),
        "`keycairn --version`": lambda: run(*KEYCAIRN, "--version"),
        "`keycairn status`, of a running service": lambda: run(*KEYCAIRN, "status", env=asking),
        "`keycairn serve` until ready, new data folder": lambda: serve_until_ready(next(news)),
        "`keycairn serve` until ready, existing one": lambda: serve_until_ready(shutil.copytree(there, next(copies))),
    }
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    with service(running):
        for _ in range(rounds):
            for name, work in works.items():
                measured[name].append(taken(work))
    print("| | CPU ms | ratio | aim | wall ms | ratio |")
    print("|-|-|-|-|-|-|")
    bases = [statistics.median(each[kind] for each in measured["`python -c pass`"]) for kind in (0, 1)]
    for name, times in measured.items():
        cpu, wall = (statistics.median(each[kind] for each in times) for kind in (0, 1))
        aim = next((limit for option, limit in AIMS.items() if option in name), "")
        print(f"| {name} | {cpu:.0f} | {cpu / bases[0]:.1f} | {aim} | {wall:.0f} | {wall / bases[1]:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        main(Path(place), chosen.rounds)
