"""Commits of this version beside those of another one, each in a process of its own, in turns.

    git worktree add --detach /tmp/before COMMIT
    python benchmarks/versions.py /tmp/before [--rounds 400] [--models 3000] [--folder DISK]

A commit of one record and nothing else, straight to the store; one with its audit event, and a relink of models with
its event, both through the journal of the whole Keycairn. All on the embedded engine, synced before they are answered.
Medians of the time and of the processor's share of it, all threads together, and their ratios. Both versions must run
with the interpreter that this is started with.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TITLES = {"bare": "one record", "edit": "one record and its audit event", "relink": "relink of the models"}
AIMS = {"bare": 1.1, "edit": 1.1, "relink": 3.0}


async def worker(folder: Path, models: int) -> None:
    """Do what the lines of the input say, and print what each took: milliseconds, and those of the processor."""
    import structlog  # noqa: PLC0415  # the driver needs none of these
    from msgspec.structs import replace  # noqa: PLC0415

    from keycairn.app import Settings, open_keycairn  # noqa: PLC0415
    from keycairn.domain import change  # noqa: PLC0415
    from keycairn.domain.audit import SYSTEM, Action  # noqa: PLC0415
    from keycairn.domain.change import RelinkModels, ReplaceCredential  # noqa: PLC0415
    from keycairn.domain.credential import Credential  # noqa: PLC0415
    from keycairn.domain.ids import CredentialId, ModelId  # noqa: PLC0415
    from keycairn.domain.modality import Modality  # noqa: PLC0415
    from keycairn.domain.model import Model  # noqa: PLC0415

    add_credential, add_model = (
        getattr(change, f"Add{kind}", None) or getattr(change, f"Create{kind}") for kind in ("Credential", "Model")
    )
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    async with open_keycairn(
        Settings(data_dir=folder, env_file=None, database_url=f"surrealkv://{folder}/db")
    ) as keycairn:
        now = keycairn.clock.now()

        def account(key: str) -> Credential:
            return Credential(
                id=CredentialId(f"credential:{key}"),
                provider="openai",
                name="Work",
                modalities=(Modality.LANGUAGE,),
                settings={"base_url": "https://api.openai.com/v1"},
                created=now,
                updated=now,
            )

        def told() -> Any:
            return keycairn.journal.event(SYSTEM, Action.CREDENTIAL_UPDATED, "credential:A")

        await keycairn.journal.commit((*(add_credential(account(key)) for key in "ABC"), told()))
        for start in range(0, models, 500):
            made = [
                add_model(
                    Model(
                        id=ModelId(f"model:M{number:06}"),
                        provider="openai",
                        name=f"gpt-{number}",
                        type=Modality.LANGUAGE,
                        credential=CredentialId("credential:A"),
                        created=now,
                        updated=now,
                    )
                )
                for number in range(start, min(models, start + 500))
            ]
            await keycairn.journal.commit((*made, told()))
        versions, home = {"A": 1, "C": 1}, "A"
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            commit: Any = keycairn.journal.commit
            if line.strip() != "relink":
                bare = line.strip() == "bare"
                key = "C" if bare else "A"
                version = versions[key] = versions[key] + 1
                edited = ReplaceCredential(
                    replace(account(key), name=f"Work {version}", version=version), expected=version - 1
                )
                changes: Any = (edited,) if bare else (edited, told())
                commit = keycairn.store.commit if bare else commit
            else:
                source, home = home, "B" if home == "A" else "A"
                ids = (CredentialId(f"credential:{source}"), CredentialId(f"credential:{home}"))
                changes = (RelinkModels("default", *ids), told())
            begun = time.perf_counter(), time.process_time()
            await commit(changes)
            print((time.perf_counter() - begun[0]) * 1000, (time.process_time() - begun[1]) * 1000, flush=True)


class Version:
    """A worker on the code in `tree`."""

    def __init__(self, tree: Path, folder: Path, models: int) -> None:
        self.process = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, __file__, str(tree), "--worker", "--folder", str(folder), "--models", str(models)],
            env=os.environ | {"PYTHONPATH": str(tree / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise RuntimeError("a worker ended")
        return line

    def did(self, what: str) -> tuple[float, float]:
        """What doing it once took: milliseconds, and those of the processor."""
        assert self.process.stdin is not None
        print(what, file=self.process.stdin, flush=True)
        wall, processor = map(float, self._answer().split())
        return wall, processor

    def end(self) -> None:
        """Let it close its store."""
        self.process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the tree of the other version")
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--models", type=int, default=3000)
    parser.add_argument("--folder", type=Path, help="where the stores lie: the disk that is measured")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        asyncio.run(worker(chosen.folder, chosen.models))
        return
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        trees = {"before": chosen.before.resolve(), "here": Path(__file__).parents[1]}
        versions = {which: Version(tree, Path(name) / which, chosen.models) for which, tree in trees.items()}
        print("| | here p50 ms | before | ratio | here CPU ms | before | ratio | aim |\n|-|-|-|-|-|-|-|-|")
        for what, rounds in (("bare", chosen.rounds), ("edit", chosen.rounds), ("relink", max(5, chosen.rounds // 40))):
            taken: dict[str, list[tuple[float, float]]] = {which: [] for which in versions}
            for _ in range(rounds):
                for which, version in versions.items():
                    taken[which].append(version.did(what))
            wall, cpu = (
                {which: statistics.median(one[kind] for one in times) for which, times in taken.items()}
                for kind in (0, 1)
            )
            cells = [
                f"{one['here']:.2f} | {one['before']:.2f} | {one['here'] / one['before']:.2f}" for one in (wall, cpu)
            ]
            title = TITLES[what]
            print(f"| {title} | {' | '.join(cells)} | {AIMS[what]} |", flush=True)
            found[what] = {"ratio": wall["here"] / wall["before"], "cpu ratio": cpu["here"] / cpu["before"]}
        for version in versions.values():
            version.end()
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
