"""An import that is killed at any moment leaves whole credentials only, and goes on where it ended.

The number of kills is KEYCAIRN_KILLS (default 2), their moments follow from KEYCAIRN_SEED.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path

import pytest
from tests.notebook import PASSPHRASE, Notebook, encrypted, open_notebook

from keycairn.app import open_keycairn
from keycairn.app.settings import Settings
from keycairn.domain.audit import Action, EventFilter
from keycairn.domain.ids import CredentialId
from keycairn.domain.model import Slot

KILLS = int(os.environ.get("KEYCAIRN_KILLS", "2"))
SEED = int(os.environ.get("KEYCAIRN_SEED", "20260101"))
CREDENTIALS, MODELS = 300, 2


def key(number: int) -> str:
    return f"sk-killed-{number:05}-0123456789"


async def fill(notebook: Notebook) -> None:
    for number in range(CREDENTIALS):
        name = f"c{number:05}"
        await notebook.credential(name, api_key=encrypted(key(number)))
        for model in range(MODELS):
            await notebook.model(f"m{number:05}x{model}", name, name=f"gpt-{model}")
    await notebook.defaults(default_chat_model="model:m00000x0")


class Importer:
    """Imports into `data`, in a process of its own each time."""

    def __init__(self, data: Path, notebook: Path) -> None:
        self.data, self.notebook = data, notebook

    async def run(self, *, kill_after: float | None = None) -> tuple[bool, float]:
        """Whether the import came to its end, and the seconds from its beginning to that, or to the kill."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.importer",
            *(str(self.data), str(self.notebook), PASSPHRASE),
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"begun\n"
        begun = time.monotonic()
        try:
            last = await asyncio.wait_for(process.stdout.readline(), kill_after)
        except TimeoutError:
            last = b""
        took = time.monotonic() - begun
        if not last:
            process.kill()
        await process.wait()
        return last == b"done\n", took


async def whole(data: Path) -> int:
    """The number of credentials that are here. Each of them opens, has all its models and its one event."""
    async with open_keycairn(Settings(data_dir=data, env_file=None, external_plugins=False)) as keycairn:
        store = keycairn.store
        credentials = list(await store.credentials("default"))
        models = await store.models("default", limit=None)
        events = await store.events("default", matching=EventFilter(action=Action.CREDENTIAL_IMPORTED))
        assert sorted(event.target for event in events) == sorted(one.id for one in credentials)
        by_credential: dict[CredentialId | None, set[str]] = {}
        for model in models:
            by_credential.setdefault(model.credential, set()).add(model.name)
        assert set(by_credential) == {one.id for one in credentials}
        assert all(names == {"gpt-0", "gpt-1"} for names in by_credential.values())
        for one in random.Random(SEED).sample(credentials, min(len(credentials), 25)):  # noqa: S311  # no secret
            opened = await keycairn.credential_opener.open(one)
            assert opened.secrets["api_key"].reveal() == key(int(one.id.removeprefix("credential:c")))
        return len(credentials)


@pytest.mark.night
@pytest.mark.timeout(60 + 12 * KILLS)
async def test_killed_at_random_moments_it_is_whole_and_goes_on(tmp_path: Path) -> None:
    moments = random.Random(SEED)  # noqa: S311  # no secret
    source = tmp_path / "notebook"
    async with open_notebook(source) as notebook:
        await fill(notebook)
        before = await notebook.everything()
    finished, span = await Importer(tmp_path / "unharmed", source).run()
    assert finished
    assert await whole(tmp_path / "unharmed") == CREDENTIALS

    kills, rounds, partial = 0, 0, 0
    while kills < KILLS:
        rounds += 1
        importer = Importer(tmp_path / f"data{rounds}", source)
        reached = 0
        finished = False
        while not finished and kills < KILLS:
            finished, _ = await importer.run(kill_after=moments.uniform(0, span))
            kills += not finished
            count = await whole(importer.data)
            assert count >= reached
            partial += 0 < count < CREDENTIALS
            reached = count
        if not finished:
            finished, _ = await importer.run()
        assert finished
        assert await whole(importer.data) == CREDENTIALS
        async with open_keycairn(Settings(data_dir=importer.data, env_file=None, external_plugins=False)) as keycairn:
            assert (await keycairn.models.defaults()).slots == {Slot.CHAT: "model:m00000x0"}

    assert partial, "no kill met the import at work"
    async with open_notebook(source) as notebook:
        assert await notebook.everything() == before
