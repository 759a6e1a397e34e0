"""How fast an import is, beside what the store itself creates, how much memory it takes, and how others are served.

`python benchmarks/importing.py [CREDENTIALS]` (10,000 where not said). Every row is one credential with one model and
one audit event, in an embedded store whose commits are synced to the disk. Rows have no ids, as those of a table:
they are recognised by their keys. While they come in, somebody reads a credential every few milliseconds.
"""

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.progress import Progress

from keycairn.adapters.surreal import open_surreal
from keycairn.app import open_keycairn
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.imports.importer import BATCH
from keycairn.app.settings import Settings
from keycairn.domain.audit import Action, AuditEvent
from keycairn.domain.change import AddCredential, AddModel, Append
from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId, EventId, ModelId
from keycairn.domain.incoming import IncomingCredential, IncomingModel, IncomingRow
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.sealed import SealedSecret
from keycairn.domain.secret import Secret

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Rows:
    """A source of `count` rows, each made when it is asked for."""

    label = "made-up rows"

    def __init__(self, count: int) -> None:
        self._count = count

    async def rows(self) -> AsyncIterator[IncomingRow]:
        for number in range(self._count):
            yield IncomingCredential(
                where=f"row {number}",
                provider="openai",
                name=f"Team {number}",
                unique_name=True,
                secrets={"api_key": Secret(f"sk-{number:040}")},
                models=(IncomingModel(name="gpt-4o"),),
            )


async def bare(folder: Path, count: int) -> float:
    """Seconds the store takes for `count` single commits of the same three records."""
    store = await open_surreal(f"surrealkv://{folder / 'bare'}")
    sealed = SealedSecret("kc1:" + "A" * 220)
    begun = time.perf_counter()
    for number in range(count):
        credential = Credential(
            id=CredentialId(f"credential:c{number:07}"),
            provider="openai",
            name=f"Team {number}",
            modalities=(Modality.LANGUAGE,),
            sealed={"api_key": sealed},
            created=NOW,
            updated=NOW,
        )
        model = Model(
            id=ModelId(f"model:m{number:07}"),
            provider="openai",
            name="gpt-4o",
            type=Modality.LANGUAGE,
            credential=credential.id,
            created=NOW,
            updated=NOW,
        )
        event = AuditEvent(
            id=EventId(f"event:e{number:07}"),
            at=NOW,
            workspace="default",
            actor="in-process",
            action=Action.CREDENTIAL_IMPORTED,
            target=credential.id,
        )
        await store.commit((AddCredential(credential), AddModel(model), Append(event)))
    took = time.perf_counter() - begun
    await store.aclose()
    return took


async def imported(folder: Path, count: int) -> tuple[float, float, list[float]]:
    """Seconds of an import of `count` rows, of the same import again, and of each read meanwhile."""
    settings = Settings(data_dir=folder / "keycairn", env_file=None, external_plugins=False)
    took: list[float] = []
    waits: list[float] = []
    async with open_keycairn(settings) as keycairn:
        mine = await keycairn.credentials.create("groq", name="Mine", secrets={"api_key": Secret("gsk_mine-0123")})
        reading = asyncio.create_task(_read(keycairn, mine.credential.id, waits))
        for title in ("importing", "again"):
            begun = time.perf_counter()
            with Progress() as progress:
                bar = progress.add_task(title, total=count)
                report = await keycairn.importer.run(Rows(count), progress=partial(progress.advance, bar))
            took.append(time.perf_counter() - begun)
            assert len(report.created or report.skipped) == count
            assert not report.refused
        reading.cancel()
    return took[0], took[1], sorted(waits)


async def _read(keycairn: Keycairn, id: CredentialId, waits: list[float]) -> None:
    while True:
        begun = time.perf_counter()
        await asyncio.sleep(0.005)
        await keycairn.credentials.get(id)
        waits.append(time.perf_counter() - begun - 0.005)


async def _open(folder: Path) -> None:
    async with open_keycairn(Settings(data_dir=folder, env_file=None, external_plugins=False)):
        print(memory())


def resting(folder: Path) -> float:
    """The most memory, in MiB, that a process of its own has which opens what was imported."""
    done = subprocess.run(  # noqa: S603  # ourselves
        [sys.executable, __file__, "--open", str(folder)], capture_output=True, check=True, text=True
    )
    return float(done.stdout)


def memory() -> float:
    """The most memory this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def main(count: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        alone = await bare(folder, min(count, 3_000)) / min(count, 3_000)
        small = await imported(folder / "small", max(count // 10, 1))
        lower = memory()
        first, second, waits = await imported(folder / "large", count)
        most = memory()
        at_rest = resting(folder / "large" / "keycairn")
    print(f"the store alone   {1 / alone:8.0f} credentials/s, a commit each")
    print(f"the import        {count / first:8.0f} credentials/s, {count} of them, batches of {BATCH}")
    print(f"the same again    {count / second:8.0f} credentials/s, nothing to do")
    print(f"a tenth of it     {max(count // 10, 1) / small[0]:8.0f} credentials/s")
    middle, late = (waits[len(waits) * part // 100] * 1000 for part in (50, 99))
    print(f"a read meanwhile  {middle:8.1f} ms p50, {late:.0f} ms p99")
    print(f"memory            {lower:8.0f} MiB after a tenth, {most:.0f} MiB after all")
    print(f"a start with it   {at_rest:8.0f} MiB: the import has {most / at_rest:.2f} of that")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--open", folder]:
            asyncio.run(_open(Path(folder)))
        case [count]:
            asyncio.run(main(int(count)))
        case _:
            asyncio.run(main(10_000))
