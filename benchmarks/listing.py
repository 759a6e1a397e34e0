"""What listing costs: a constant number of queries against one query for each record, side by side in one run.

    python benchmarks/listing.py

Each row is a SurrealKV store in a fresh folder with so many credentials and three models for each. "constant" reads a
page of credentials and all model counts, as the service does; "per record" reads the ids, then each credential and its
models by queries of their own. "request" is the whole of GET /api/credentials after a write, authentication and JSON
included, and "cached" the same request again. Times are medians in milliseconds; the ratio is per record to constant.
"""

import asyncio
import logging
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import structlog
from litestar import Litestar
from ulid import ULID

from keycairn.app import Secret, Settings, open_keycairn
from keycairn.app.plugin import KeycairnPlugin
from keycairn.domain.change import AddCredential, AddModel, RecordCheck
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.outcome import CheckRecord, Outcome
from keycairn.domain.sealed import SealedSecret
from keycairn.ports.store import Store

SIZES = (1, 100, 1000)
MODELS_EACH = 3
BATCH = 100

TOKEN = "benchmark-token-of-forty-characters-long"  # noqa: S105  # opens nothing
CHECK = CheckRecord(outcome=Outcome.OK, message="", at=datetime.now(UTC), duration_ms=1)


async def fill(store: Store, size: int) -> list[CredentialId]:
    """Store `size` credentials with their models; their ids."""
    ids = [CredentialId(f"credential:{ULID()}") for _ in range(size)]
    now = datetime.now(UTC)
    for start in range(0, size, BATCH):
        changes: list[AddCredential | AddModel] = []
        for number, id in enumerate(ids[start : start + BATCH], start):
            credential = Credential(
                id=id,
                provider=("openai", "anthropic", "groq")[number % 3],
                name=f"Account {number}",
                modalities=(Modality.LANGUAGE, Modality.EMBEDDING),
                settings={"base_url": "https://api.example.com/v1", "organization": f"org-{number}"},
                sealed={"api_key": SealedSecret("kc1:" + "A" * 230)},
                created=now,
                updated=now,
            )
            changes.append(AddCredential(credential))
            changes += (
                AddModel(
                    Model(
                        id=ModelId(f"model:{ULID()}"),
                        provider=credential.provider,
                        name=f"model-{each}",
                        type=Modality.LANGUAGE,
                        credential=id,
                        created=now,
                        updated=now,
                    )
                )
                for each in range(MODELS_EACH)
            )
        await store.commit(tuple(changes))
    return ids


async def constant(store: Store, ids: list[CredentialId]) -> None:
    """Two queries, however many credentials there are."""
    page, counts = await asyncio.gather(store.credentials(DEFAULT_WORKSPACE), store.model_counts(DEFAULT_WORKSPACE))
    assert len(page) == len(ids)
    assert sum(counts.values()) == MODELS_EACH * len(ids)


async def per_record(store: Store, ids: list[CredentialId]) -> None:
    """Two queries for each credential."""
    for id in ids:
        assert await store.credential(DEFAULT_WORKSPACE, id) is not None
        assert len(await store.models(DEFAULT_WORKSPACE, credential=id)) == MODELS_EACH


async def request(app: Litestar, token: str) -> int:
    """GET /api/credentials without a network; the length of its body."""
    length = 0

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal length
        assert message.get("status", 200) == 200
        length += len(message.get("body", b""))

    scope: Any = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/credentials",
        "raw_path": b"/api/credentials",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {token}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)
    return length


async def measured(
    action: Callable[[], Awaitable[object]], *, rounds: int, before: Callable[[], Awaitable[object]]
) -> float:
    """The median time of `action` in milliseconds, `before` not counted, after one run that is not counted either."""
    times = []
    for _ in range(rounds + 1):
        await before()
        start = perf_counter()
        await action()
        times.append(perf_counter() - start)
    return median(times[1:]) * 1000


async def nothing() -> None:
    """Change nothing."""


async def main() -> None:
    """Print one line for each size."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    names = ("constant", "per record", "request", "cached")
    print(f"{'credentials':>11} {'models':>7}" + "".join(f"{name + ' ms':>15}" for name in names) + f"{'ratio':>8}")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(data_dir=Path(folder), admin_token=Secret(TOKEN), env_file=None)
            async with open_keycairn(settings) as keycairn:
                store, app = keycairn.store, Litestar(plugins=[KeycairnPlugin(keycairn=keycairn)], openapi_config=None)
                ids = await fill(store, size)
                rounds = 5 if size == max(SIZES) else 15
                touch = partial(store.commit, (RecordCheck(DEFAULT_WORKSPACE, ids[0], CHECK),))
                get = partial(request, app, TOKEN)
                async with app.lifespan():
                    taken = [
                        await measured(partial(constant, store, ids), rounds=rounds, before=nothing),
                        await measured(partial(per_record, store, ids), rounds=rounds, before=nothing),
                        await measured(get, rounds=rounds, before=touch),
                        await measured(get, rounds=100, before=nothing),
                    ]
        numbers = "".join(f"{time:>15.2f}" for time in taken)
        print(f"{size:>11} {size * MODELS_EACH:>7}{numbers}{taken[1] / taken[0]:>7.1f}x")


if __name__ == "__main__":
    asyncio.run(main())
