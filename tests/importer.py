"""A process that imports an Open Notebook into a Keycairn, to be killed: `python tests/importer.py DATA NOTEBOOK`.

Says `begun` before the first row and `done` after the last.
"""

import asyncio
import sys
from pathlib import Path

from keycairn.app import open_keycairn
from keycairn.app.settings import Settings
from keycairn.app.sources import Kind, SourceSpec
from keycairn.app.wiring import open_source
from keycairn.domain.secret import Secret


async def main(data: Path, notebook: Path, passphrase: str) -> None:
    source = open_source(
        SourceSpec(
            kind=Kind.OPEN_NOTEBOOK,
            place=f"surrealkv://{notebook}",
            namespace="open_notebook",
            database="production",
            passphrase=Secret(passphrase),
        )
    )
    async with open_keycairn(Settings(data_dir=data, env_file=None, external_plugins=False)) as keycairn:
        print("begun", flush=True)  # noqa: T201  # how the test knows
        await keycairn.importer.run(source)
        print("done", flush=True)  # noqa: T201  # how the test knows


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
