"""What a call of the gateway costs on a database server, with several instances, beside the embedded database.

    python benchmarks/instances.py --surreal BINARY [--seconds 3] [--rounds 3] [--json FILE]

The embedded database with one instance, and a SurrealDB server on RocksDB with 1, 2 and 4, take turns: in each round
all are measured. CPU is that of Keycairn's processes for each call, in milliseconds, while all instances of a row are
called; what an instance does beside, such as renewing its lease, is in it. Shown is the median of the rounds, and its
ratio to the embedded database's.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from secrets import token_bytes
from statistics import median

import uvloop
from gateway import ADMIN, CONCURRENCY, HERE, WHOLE, Process, free_port, furnish, load, running

COUNTS = (1, 2, 4)


def serving(folder: Path, port: int, root_key: str, database: int | None) -> Process:
    """One instance: on the server at the port `database`, or with an embedded database."""
    variables = {
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "ADMIN_TOKEN": ADMIN,
        "ENV_FILE": "",
        "LOG_LEVEL": "error",
        "ROOT_KEY": root_key,
    }
    if database is not None:
        variables |= {
            "DATABASE_URL": f"ws://127.0.0.1:{database}",
            "DATABASE_USER": "root",
            "DATABASE_PASSWORD": "root",
        }
    environment = {f"KEYCAIRN_{name}": value for name, value in variables.items()}
    return Process(str(Path(sys.executable).parent / "keycairn"), "serve", env=environment)


async def called(ports: list[int], token: str, seconds: float) -> int:
    """The number of calls answered by all instances, called side by side."""
    each = max(1, CONCURRENCY // len(ports))
    clients = await asyncio.gather(*(load(port, token, WHOLE, concurrency=each, seconds=seconds) for port in ports))
    return sum(len(client.total) for some in clients for client in some)


def measured(processes: list[Process], ports: list[int], token: str, seconds: float) -> tuple[float, float]:
    """Calls/s, and milliseconds of the processor for each."""
    asyncio.run(called(ports, token, 0.3))
    before, began = sum(one.cpu() for one in processes), time.monotonic()
    calls = asyncio.run(called(ports, token, seconds))
    took = time.monotonic() - began
    return calls / took, (sum(one.cpu() for one in processes) - before) * 1000 / calls


@contextlib.contextmanager
def database(binary: Path, folder: Path) -> Iterator[int]:
    port = free_port()
    options = ("--no-banner", "--log", "none", "--user", "root", "--pass", "root", "--bind", f"127.0.0.1:{port}")
    with running(Process(str(binary), "start", *options, f"rocksdb://{folder}/db"), port):
        time.sleep(1)
        yield port


def run(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    root_key = "base64:" + b64encode(token_bytes(32)).decode()
    upstream = free_port()
    with (
        tempfile.TemporaryDirectory() as name,
        running(Process(sys.executable, str(HERE), "--serve-upstream", str(upstream)), upstream),
        database(arguments.surreal, Path(name)) as server,
        contextlib.ExitStack() as stack,
    ):
        ports = [free_port() for _ in range(1 + max(COUNTS))]
        processes = []
        for number, port in enumerate(ports):
            process = serving(Path(name) / str(number), port, root_key, server if number else None)
            processes.append(stack.enter_context(running(process, port)))
        time.sleep(3)
        embedded, shared = furnish(ports[0], upstream), furnish(ports[1], upstream)
        for _ in range(arguments.rounds):
            found["embedded"].append(measured(processes[:1], ports[:1], embedded, arguments.seconds))
            for count in COUNTS:
                some = slice(1, 1 + count)
                found[f"server, {count}"].append(measured(processes[some], ports[some], shared, arguments.seconds))
    return {
        row: {"calls/s": median(rate for rate, _ in values), "cpu ms": median(cost for _, cost in values)}
        for row, values in found.items()
    }


def table(rows: dict[str, dict[str, float]]) -> str:
    """The rows as Markdown, with their ratios to the embedded database."""
    one = rows["embedded"]
    lines = ["| | calls/s | ratio | cpu ms | ratio |", "|-|-|-|-|-|"]
    lines += [
        f"| {name} | {row['calls/s']:,.0f} | {row['calls/s'] / one['calls/s']:.2f} "
        f"| {row['cpu ms']:.3f} | {row['cpu ms'] / one['cpu ms']:.2f} |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--surreal", type=Path, required=True, help="the server's binary")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the numbers there")
    arguments = parser.parse_args()
    uvloop.install()
    rows = run(arguments)
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
