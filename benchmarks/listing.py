"""What listing costs: a constant number of queries against one query for each record, side by side in one run.

    python benchmarks/listing.py

Each row is a SurrealKV store in a fresh folder with so many credentials and three models for each. "constant" reads a
page of credentials and all model counts, as the service does; "per record" reads the ids, then each credential and its
models by queries of their own. Nothing is cached. Times are medians in milliseconds.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter

from ulid import ULID

from keycairn.adapters.surreal import open_surreal
from keycairn.domain.change import CreateCredential, CreateModel
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.sealed import SealedSecret
from keycairn.ports.store import Store

SIZES = (1, 100, 1000)
MODELS_EACH = 3
BATCH = 100

Variant = Callable[[Store, list[CredentialId]], Awaitable[None]]


async def fill(store: Store, size: int) -> list[CredentialId]:
    """Store `size` credentials with their models; their ids."""
    ids = [CredentialId(f"credential:{ULID()}") for _ in range(size)]
    now = datetime.now(UTC)
    for start in range(0, size, BATCH):
        changes: list[CreateCredential | CreateModel] = []
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
            changes.append(CreateCredential(credential))
            changes += (
                CreateModel(
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


VARIANTS: dict[str, Variant] = {
    "constant": constant,
    "per record": per_record,
}


async def milliseconds(variant: Variant, store: Store, ids: list[CredentialId], *, rounds: int) -> float:
    """The median time of `variant`, after one run that is not counted."""
    await variant(store, ids)
    times = []
    for _ in range(rounds):
        start = perf_counter()
        await variant(store, ids)
        times.append(perf_counter() - start)
    return median(times) * 1000


async def main() -> None:
    """Print one line for each size."""
    print(f"{'credentials':>11} {'models':>7}" + "".join(f"{name + ' ms':>15}" for name in VARIANTS) + f"{'ratio':>8}")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            store = await open_surreal(f"surrealkv://{Path(folder) / 'db'}")
            ids = await fill(store, size)
            rounds = 5 if size == max(SIZES) else 15
            taken = [await milliseconds(variant, store, ids, rounds=rounds) for variant in VARIANTS.values()]
            await store.aclose()
        numbers = "".join(f"{time:>15.2f}" for time in taken)
        print(f"{size:>11} {size * MODELS_EACH:>7}{numbers}{taken[-1] / taken[0]:>7.1f}x")


if __name__ == "__main__":
    asyncio.run(main())
