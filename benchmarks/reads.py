"""What the API costs beside the pattern's common implementation, at several sizes, in one run, as ratios.

    python benchmarks/reads.py [--json FILE] [--docs FILE] [--plot FILE] [--credentials N ...] [--models N ...]

Keycairn is its whole ASGI application on an embedded store in a fresh folder, with tokens, audit log and proofs. Beside
it is a minimal FastAPI application with pydantic on the same engine, where that is installed (`pip install fastapi`):
"per record" asks the database for each credential and decrypts its key, then for its models, as the pattern is mostly
written; "indexed" asks once for a page and once for the numbers of models, and decrypts each key. Times are medians in
milliseconds of the processor, all threads together, so that other processes do not count. Before each read something
is written. `queries` and `bytes` are what a request asked of the engine and was answered.
"""

import argparse
import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import structlog
from common_app import CommonApp
from listing_data import NOW, credential, model
from litestar import Litestar
from msgspec import Struct, to_builtins
from plots import bars

from keycairn.app import Secret, Settings, open_keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.domain.change import AddCredential, AddModel, Change, RecordCheck
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.outcome import CheckRecord, Outcome

TOKEN = "benchmark-token-of-forty-characters-long"  # noqa: S105  # opens nothing
CHECK = CheckRecord(outcome=Outcome.OK, message="", at=NOW, duration_ms=1)
CREDENTIALS, MODELS = (1, 100, 1_000, 20_000), (100, 10_000)
BATCH = 500
ENOUGH = 1.5
"""Seconds of the processor after which a measure is not repeated once more."""

BEGIN, END = "<!-- reads: written by make bench -->", "<!-- /reads -->"


class Measure(Struct):
    """One operation of one implementation at one size."""

    credentials: int
    models: int
    operation: str
    implementation: str
    ms: float
    queries: int
    bytes: int


class Counting:
    """Stands before the engine of a connection, and counts what it is asked."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.queries = self.bytes = 0

    async def execute(self, message: bytes) -> bytes:
        answer: bytes = await self._engine.execute(message)
        self.queries += 1
        self.bytes += len(answer)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class Side:
    """An application as it is measured. `touch` writes something."""

    def __init__(self, app: Any, engine: Counting, touch: Callable[[], Awaitable[object]]) -> None:
        self.app, self.engine, self.touch = app, engine, touch

    async def ask(self, method: str, target: str, body: Any = None) -> bytes:
        """One request without a network; the answer's body."""
        path, _, query = target.partition("?")
        sent = b"" if body is None else json.dumps(body).encode()
        parts: list[bytes] = []
        status, asked, over = 0, False, asyncio.Event()

        async def receive() -> Any:
            nonlocal asked
            if asked:
                await over.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            parts.append(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                over.set()

        headers = {"authorization": f"Bearer {TOKEN}", "host": "127.0.0.1", "content-type": "application/json"}
        headers["content-length"] = str(len(sent))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await self.app(scope, receive, send)
        answer = b"".join(parts)
        if status not in {200, 201}:
            raise RuntimeError(f"{method} {target}: {status} {answer[:200]!r}")
        return answer


@asynccontextmanager
async def keycairn(folder: Path, credentials: int, models: int) -> AsyncIterator[Side]:
    """Keycairn with so many records."""
    settings = Settings(data_dir=folder, admin_token=Secret(TOKEN), env_file=None, external_plugins=False)
    async with open_keycairn(settings) as opened:
        rows = [credential(number) for number in range(credentials)]
        changes: list[Change] = [
            *map(AddCredential, rows),
            *(AddModel(model(number, credentials)) for number in range(models)),
        ]
        for start in range(0, len(changes), BATCH):
            await opened.store.commit(tuple(changes[start : start + BATCH]))
        store: Any = opened.store
        connection = store._engine.connection  # noqa: SLF001  # to count what it is asked
        connection._engine._db = engine = Counting(connection._engine._db)  # noqa: SLF001
        app = Litestar(plugins=[KeycairnPlugin(keycairn=opened)], openapi_config=None)

        async def touch() -> None:
            await opened.store.commit((RecordCheck(DEFAULT_WORKSPACE, rows[0].id, CHECK),))

        async with app.lifespan():
            yield Side(app, engine, touch)


@asynccontextmanager
async def common(folder: Path, credentials: int, models: int, *, indexed: bool) -> AsyncIterator[Side]:
    """The common implementation with the same records."""
    async with CommonApp.open(folder, indexed=indexed) as made:
        await made.fill(credentials, models)
        made.connection._db = engine = Counting(made.connection._db)  # noqa: SLF001  # to count what it is asked
        yield Side(made.app, engine, made.touch)


async def measured(side: Side, operation: str, rounds: int) -> tuple[float, int, int]:
    """Milliseconds, queries and bytes of an operation, each a median."""
    found: list[tuple[float, int, int]] = []
    first = f"/api/credentials/{json.loads(await side.ask('GET', '/api/credentials?limit=1'))[0]['id']}"
    new = {"name": "New", "provider": "openai", "api_key": "sk-benchmark-0123456789", "modalities": ["language"]}
    spent = 0.0
    for number in range(rounds + 1):
        asked: dict[str, tuple[str, str, Any]] = {
            "list": ("GET", "/api/credentials", None),
            "page": ("GET", "/api/credentials?limit=100", None),
            "get": ("GET", first, None),
            "create": ("POST", "/api/credentials", new),
            "update": ("PUT", first, {"name": f"Name {number}"}),
        }
        if operation == "delete":
            made = json.loads(await side.ask("POST", "/api/credentials", new))["id"]
            asked["delete"] = ("DELETE", f"/api/credentials/{made}", None)
        await side.touch()
        side.engine.queries = side.engine.bytes = 0
        begun = process_time()
        await side.ask(*asked[operation])
        taken = process_time() - begun
        spent += taken
        if number or taken > ENOUGH:  # the first one is for warming up, unless it takes too long for another
            found.append((taken * 1000, side.engine.queries, side.engine.bytes))
        if found and spent > ENOUGH:
            break
    ms, queries, size = zip(*found, strict=True)
    return median(ms), int(median(queries)), int(median(size))


OPERATIONS = ("list", "page", "get", "create", "update", "delete")


async def run(credentials: int, models: int) -> list[Measure]:
    """All operations of all implementations at one size."""
    sides: dict[str, Callable[[Path], Any]] = {"Keycairn": lambda folder: keycairn(folder, credentials, models)}
    if CommonApp.available:
        sides["per record"] = lambda folder: common(folder, credentials, models, indexed=False)
        sides["indexed"] = lambda folder: common(folder, credentials, models, indexed=True)
    found = []
    for name, open_side in sides.items():
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            side = await stack.enter_async_context(open_side(folder))
            for operation in OPERATIONS:
                numbers = await measured(side, operation, 9)
                found.append(Measure(credentials, models, operation, name, *numbers))
    return found


def table(measures: list[Measure]) -> str:
    """The measures as a table in Markdown; a ratio is to Keycairn's time."""
    by = {(one.credentials, one.models, one.operation, one.implementation): one for one in measures}
    lines = [
        "| credentials | models | | Keycairn ms | queries | bytes | indexed | queries | per record | queries |",
        "|-|-|-|-|-|-|-|-|-|-|",
    ]
    for (credentials, models, operation, name), mine in by.items():
        if name != "Keycairn":
            continue
        cells = [f"{credentials:,}", f"{models:,}", operation, f"{mine.ms:.2f}", str(mine.queries), f"{mine.bytes:,}"]
        for other in ("indexed", "per record"):
            its = by.get((credentials, models, operation, other))
            cells += [f"{its.ms / mine.ms:.1f}x", f"{its.queries:,}"] if its else ["", ""]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


async def main() -> None:
    """Print a table; write JSON and a plot where that is asked for."""
    parser = argparse.ArgumentParser(description="What the API costs beside the pattern's common implementation.")
    parser.add_argument("--json", type=Path, help="write the measures there")
    parser.add_argument("--docs", type=Path, help="put the table there, between its marks")
    parser.add_argument("--plot", type=Path, help="draw the times of lists there, as SVG")
    parser.add_argument("--credentials", type=int, nargs="+", default=CREDENTIALS)
    parser.add_argument("--models", type=int, nargs="+", default=MODELS)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sizes = arguments.credentials, arguments.models
    measures: list[Measure] = []
    for models in sizes[1]:
        for size in sizes[0]:
            measures += await run(size, models)
            print(f"{size} credentials and {models} models are measured", flush=True)
    print(table(measures))
    if not CommonApp.available:
        print("\nWithout fastapi in this environment there is nothing to compare with: pip install fastapi")
    if arguments.json:
        arguments.json.write_text(json.dumps(to_builtins(measures), indent=1) + "\n")
    if arguments.docs:
        text = arguments.docs.read_text()
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        arguments.docs.write_text(f"{before}{BEGIN}\n{table(measures)}\n{END}{after}")
    if arguments.plot:
        arguments.plot.write_text(
            bars(
                "Milliseconds of the processor for a list of credentials after a write",
                {
                    f"{size:,} credentials": {
                        one.implementation: one.ms
                        for one in measures
                        if (one.credentials, one.models, one.operation) == (size, sizes[1][-1], "list")
                    }
                    for size in sizes[0]
                },
            )
        )


if __name__ == "__main__":
    asyncio.run(main())
