"""Commits on the embedded store, beside the engine alone doing the same with a sync of its own.

The engine alone, with the same tables and indexes: one transaction of statements, as small as they can be (a relink is
one UPDATE of all models), synced by the engine before it answers. Keycairn: the changeset worked out, written to the
redo log and synced, then handed to the engine as whole records. A commit of one record has its audit event with it.
Both in turns, in folders beside each other; medians of the time and of the processor's share of it, and their ratios.

    python benchmarks/commits.py [--rounds 200] [--models 3000]
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from surrealdb import AsyncSurreal, RecordID

from keycairn.adapters.surreal import open_surreal
from keycairn.adapters.surreal.migrating import migrate
from keycairn.adapters.surreal.records import columns, row_of
from keycairn.domain.audit import Action, AuditEvent, Head
from keycairn.domain.change import AddCredential, AddModel, Append, RelinkModels, ReplaceCredential
from keycairn.domain.credential import Credential
from keycairn.domain.draft import Draft
from keycairn.domain.ids import CredentialId, EventId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.sealed import SealedSecret
from keycairn.ports.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AIMS = {"one record": 1.1, "relink": 3.0}
Work = Callable[[], Awaitable[object]]


def credential(key: str) -> Credential:
    return Credential(
        id=CredentialId(f"credential:{key}"),
        provider="openai",
        name="Work",
        modalities=(Modality.LANGUAGE,),
        settings={"base_url": "https://api.openai.com/v1"},
        sealed={"api_key": SealedSecret("kc1:" + "A" * 200)},
        created=NOW,
        updated=NOW,
    )


def model(number: int) -> Model:
    return Model(
        id=ModelId(f"model:M{number:06}"),
        provider="openai",
        name=f"gpt-{number}",
        type=Modality.LANGUAGE,
        credential=CredentialId("credential:A"),
        created=NOW,
        updated=NOW,
    )


def event(number: int) -> AuditEvent:
    return AuditEvent(
        id=EventId(f"event:E{number:08}"),
        at=NOW,
        workspace="default",
        actor="in-process",
        action=Action.CREDENTIAL_UPDATED,
        target="credential:A",
        seq=number,
        mac="ab" * 32,
    )


class Ours:
    """The embedded store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = 1
        self._home = "A"

    async def fill(self, models: int) -> None:
        await self._store.commit(tuple(AddCredential(credential(key)) for key in "AB"))
        await self._store.commit(tuple(AddModel(model(number)) for number in range(models)))

    async def edit(self) -> None:
        before, self._version = self._version, self._version + 1
        edited = replace(credential("A"), name=f"Work {self._version}", version=self._version)
        link = event(before)

        def finish(draft: Draft) -> None:
            draft.put(link)
            draft.put(Head(link.seq, link.mac))

        await self._store.commit((ReplaceCredential(edited, expected=before), Append(link)), finish)

    async def relink(self) -> None:
        source, self._home = self._home, "B" if self._home == "A" else "A"
        ids = (CredentialId(f"credential:{source}"), CredentialId(f"credential:{self._home}"))
        await self._store.commit((RelinkModels("default", *ids),))


class Alone:
    """The engine with the same tables and indexes, synced by itself."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._version = 1
        self._home = "A"

    async def query(self, text: str, values: Mapping[str, Any]) -> list[Any]:
        answer = await self._engine.query_raw(text, dict(values))
        for result in answer["result"]:
            assert result["status"] == "OK", result
        return [result["result"] for result in answer["result"]]

    async def fill(self, models: int) -> None:
        await migrate(self.query)
        for table, rows in (
            ("credential", [row_of(credential(key)) for key in "AB"]),
            ("model", [row_of(model(number)) for number in range(models)]),
            ("head", [row_of(Head(0, ""))]),
        ):
            await self.query(f"INSERT INTO {table} $rows RETURN NONE", {"rows": rows})

    async def edit(self) -> None:
        before, self._version = self._version, self._version + 1
        edited = replace(credential("A"), name=f"Work {self._version}", version=self._version)
        link = event(before)
        await self.query(
            "BEGIN; IF (SELECT VALUE version FROM ONLY $id) != $before { THROW 'stale' };"
            " UPDATE $id CONTENT $row RETURN NONE; CREATE event CONTENT $event RETURN NONE;"
            " UPDATE head:current CONTENT $head RETURN NONE; COMMIT;",
            {
                "id": RecordID("credential", "A"),
                "before": before,
                "row": columns(edited),
                "event": row_of(link),
                "head": columns(Head(link.seq, link.mac)),
            },
        )

    async def relink(self) -> None:
        source, self._home = self._home, "B" if self._home == "A" else "A"
        await self.query(
            "BEGIN; UPDATE model SET credential = $target, holder = $holder, version += 1"
            " WHERE credential = $source RETURN NONE; COMMIT;",
            {
                "source": RecordID("credential", source),
                "target": RecordID("credential", self._home),
                "holder": f"credential:{self._home}",
            },
        )


async def in_turns(ours: Work, alone: Work, rounds: int) -> list[tuple[float, float]]:
    """The medians of both, in milliseconds: of the time, then of the processor's."""
    taken: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for _ in range(rounds):
        for work, times in zip((ours, alone), taken, strict=True):
            begun = time.perf_counter(), time.process_time()
            await work()
            times.append(((time.perf_counter() - begun[0]) * 1000, (time.process_time() - begun[1]) * 1000))
    one, other = ([statistics.median(each[kind] for each in times) for kind in (0, 1)] for times in taken)
    return list(zip(one, other, strict=True))


async def main(folder: Path, rounds: int, models: int) -> None:
    os.environ["SURREAL_SYNC_DATA"] = "true"  # read when a store is opened
    async with AsyncSurreal(f"surrealkv://{folder / 'alone'}") as engine:
        await engine.use("bench", "bench")
        alone = Alone(engine)
        store = await open_surreal(f"surrealkv://{folder / 'ours' / 'db'}")
        ours = Ours(store)
        for each in (alone, ours):
            await each.fill(models)
        print("| | Keycairn p50 ms | engine alone | ratio | Keycairn CPU ms | engine alone | ratio | aim |")
        print("|-|-|-|-|-|-|-|-|")
        few = max(3, rounds // 20)
        for name, one, other, count in (
            ("one record", ours.edit, alone.edit, rounds),
            ("relink", ours.relink, alone.relink, few),
        ):
            medians = await in_turns(one, other, count)
            what = name if name == "one record" else f"relink of {models:,} models"
            cells = [f"{left:.2f} | {right:.2f} | {left / right:.2f}" for left, right in medians]
            print(f"| {what} | {' | '.join(cells)} | {AIMS[name]} |", flush=True)
        await store.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--models", type=int, default=3000)
    parser.add_argument("--folder", type=Path, help="where the stores lie: the disk that is measured")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as place:
        asyncio.run(main(Path(place), chosen.rounds, chosen.models))
    sys.exit()
