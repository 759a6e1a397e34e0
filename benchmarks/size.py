"""What size costs: the same requests on a small and on a large store, side by side, and how long each holds the loop.

    python benchmarks/size.py [CREDENTIALS]

The large store has so many credentials (20,000 unless told) and three models for each, half of them of few names; the
small one has 20. Both are SurrealKV stores in fresh folders, filled by large commits and opened anew. Times are of the
processor, so that other processes do not count: "ms" is the median of a request, all threads together, "gap" the
longest time for which the event loop was held. A write before each request empties what is remembered.
"""

import asyncio
import gc
import logging
import resource
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, thread_time
from typing import Any, Self

import structlog
from litestar import Litestar
from msgspec.structs import replace

from keycairn.app import Keycairn, Settings, open_keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.server import collect_seldom
from keycairn.domain.audit import IN_PROCESS, Action
from keycairn.domain.change import AddCredential, AddModel, AddUsage, Change, PutToken, RecordCheck
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential, seal_context
from keycairn.domain.ids import CredentialId, ModelId, TokenId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.outcome import CheckRecord, Outcome
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope, Token
from keycairn.domain.usage import Usage, UsageKey

SMALL = 20
LARGE = 20_000
MODELS_EACH = 3
TOKEN = "benchmark-token-of-forty-characters-long"  # noqa: S105  # opens nothing
NOW = datetime.now(UTC)
CHECK = CheckRecord(outcome=Outcome.OK, message="", at=NOW, duration_ms=1)
AT_ONCE = 2000
"""Records in one commit."""
BIG = CredentialId("credential:00000000000000000000000000")
"""A credential with a twentieth of all models."""


def changes(size: int, keycairn: Keycairn) -> Iterator[Change]:
    """What makes a store of `size` credentials."""
    opened, registry = keycairn.vault.keyset, keycairn.registry
    ids = [BIG, *(CredentialId(f"credential:01J{number:023}") for number in range(1, size))]
    for number, id in enumerate(ids):
        secret = Secret(f"sk-{number:048}")
        plain = Credential(
            id=id,
            provider=("openai", "anthropic", "groq", "mistral")[number % 4],
            name=f"Account {number}",
            modalities=(Modality.LANGUAGE, Modality.EMBEDDING),
            settings={"base_url": "https://api.example.com/v1"},
            created=NOW + timedelta(milliseconds=number),
            updated=NOW,
        )
        context = seal_context(registry.get(plain.provider).spec, plain, "api_key")
        mark = opened.fingerprint_mac(plain.workspace.encode() + b"\0" + secret.reveal().encode())
        yield AddCredential(
            replace(plain, sealed={"api_key": opened.cipher.seal(secret, context)}, fingerprints={"api_key": mark})
        )
    for number in range(size * MODELS_EACH):
        owner = 0 if number % 20 == 0 else number // MODELS_EACH
        yield AddModel(
            Model(
                id=ModelId(f"model:01J{number:023}"),
                provider=("openai", "anthropic", "groq", "mistral")[owner % 4],
                name=f"model-{number}" if number % 2 else f"shared-{number % MODELS_EACH}-{number // MODELS_EACH}",
                type=Modality.LANGUAGE,
                credential=ids[owner],
                created=NOW,
                updated=NOW,
            )
        )
    for number in range(size // 4):
        token = TokenId(f"token:01J{number:023}")
        yield PutToken(Token(id=token, name=f"t{number}", scopes=(Scope.INVOKE,), mac="0" * 64, created=NOW))
    for day in range(30):
        for number in range(min(size, 1000)):
            key = UsageKey(
                day=(NOW - timedelta(days=day)).date(),
                workspace=DEFAULT_WORKSPACE,
                token=f"token:01J{number:023}",
                credential=ids[number % len(ids)],
                model=f"model:01J{number:023}",
            )
            yield AddUsage(key, Usage(requests=1, input_tokens=10))


async def fill(settings: Settings, size: int) -> None:
    """Make the store."""
    async with open_keycairn(settings) as keycairn:
        await fill_opened(keycairn, size)


async def fill_opened(keycairn: Keycairn, size: int) -> None:
    """Put into a store what one of that size has."""
    left = changes(size, keycairn)
    while part := list(islice(left, AT_ONCE)):
        event = keycairn.journal.event(IN_PROCESS, Action.CREDENTIAL_CREATED, "credential")
        await keycairn.journal.commit((*part, event))


class Watch:
    """Measures the longest time for which the event loop ran nothing else, in milliseconds."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self._run())
        await asyncio.sleep(0.005)
        self.longest = 0.0
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0.002)
        self.task.cancel()

    async def _run(self) -> None:
        while True:
            before = thread_time()
            await asyncio.sleep(0.0005)
            self.longest = max(self.longest, (thread_time() - before) * 1000)


async def request(app: Litestar, method: str, target: str) -> int:
    """One request without a network; the length of its body."""
    path, _, query = target.partition("?")
    length, status, asked, answered = 0, 0, False, asyncio.Event()

    async def receive() -> Any:
        nonlocal asked
        if asked:
            await answered.wait()
            return {"type": "http.disconnect"}
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal length, status
        status = message.get("status", status)
        length += len(message.get("body", b""))
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            answered.set()

    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode()), (b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    if status != 200:
        raise RuntimeError(f"{target}: {status}")
    return length


PAGES = (
    "/api/credentials?limit=100",
    "/api/credentials?limit=100&provider=groq",
    "/api/credentials?limit=1000",
    "/api/credentials/by-provider/groq?limit=100",
    "/api/credentials/credential:01J00000000000000000000007",
    "/api/credentials/status",
    "/api/credentials/env-status",
    "/api/models?limit=100",
    "/api/models?limit=1000",
    "/api/models/defaults",
    "/api/models/count/openai",
    "/api/models/by-provider/openai",
    "/api/tokens",
    "/api/audit?limit=100",
    "/api/usage?by=day",
    "/api/usage",
    "/api/encryption",
    "/api/providers",
    "/v1/models",
    "/anthropic/v1/models",
    "/metrics",
    "/health/ready",
)
WHOLE = ("/api/audit/verify", "/api/checkup", "/api/backup")


async def measured(
    app: Litestar, target: str, touch: Callable[[], Awaitable[object]], rounds: int
) -> tuple[float, float]:
    """Median time and longest gap of a request, in milliseconds."""
    times, gaps = [], []
    for _ in range(rounds):
        await touch()
        async with Watch() as watch:
            start = process_time()
            await request(app, "GET", target)
            times.append((process_time() - start) * 1000)
        gaps.append(watch.longest)
    return median(times), median(gaps)


async def run(folder: Path, size: int) -> dict[str, tuple[float, float] | str]:
    """The measures of a store of a size."""
    found: dict[str, tuple[float, float] | str] = {}
    settings = Settings(
        data_dir=folder, admin_token=Secret(TOKEN), env_file=None, database_url=f"surrealkv://{folder}/db"
    )
    await fill(settings, size)
    gc.collect()
    start = perf_counter()
    async with Watch() as watch, open_keycairn(settings) as keycairn:
        ready, peak = perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await asyncio.sleep(size / 1000)  # for the sweep after a start
        print(f"{size} credentials: ready after {ready:.2f} s, at most {peak / 1024:.0f} MiB; ", end="")
        print(f"the loop was held for {watch.longest:.0f} ms", flush=True)
        app = Litestar(plugins=[KeycairnPlugin(keycairn=keycairn)], openapi_config=None)

        async def touch() -> None:
            await keycairn.store.commit((RecordCheck(DEFAULT_WORKSPACE, BIG, CHECK),))

        async with app.lifespan():
            collect_seldom()  # as `keycairn serve` does
            for target in (*PAGES, *WHOLE):
                try:
                    found[target] = await measured(app, target, touch, 1 if target in WHOLE else 3)
                except RuntimeError as error:
                    found[target] = str(error)[:150]
    return found


async def main() -> None:
    """Print a line for each request."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    large = int(sys.argv[1]) if len(sys.argv) > 1 else LARGE
    sides = []
    for size in (SMALL, large):
        with tempfile.TemporaryDirectory() as folder:
            sides.append(await run(Path(folder), size))
    print(f"{'':58}{'small ms':>10}{'large ms':>10}{'ratio':>8}{'gap ms':>8}")
    for target, small in sides[0].items():
        big = sides[1][target]
        if isinstance(small, str) or isinstance(big, str):
            print(f"{target:58} {small} {big}")
        else:
            print(f"{target:58}{small[0]:>10.2f}{big[0]:>10.2f}{big[0] / small[0]:>7.1f}x{big[1]:>8.1f}")


if __name__ == "__main__":
    asyncio.run(main())
