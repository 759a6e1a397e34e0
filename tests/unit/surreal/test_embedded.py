"""What only a store in a folder can promise."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.samples import WORKSPACE, a_credential, a_keyset, a_model, a_token, an_event

from keycairn.adapters.surreal import open_surreal
from keycairn.domain.change import (
    Append,
    CreateCredential,
    CreateModel,
    DeleteCredential,
    DeleteModel,
    PutKeyset,
    PutToken,
    RelinkModels,
)
from keycairn.domain.errors import SettingsError, StoreError, StoreLockedError

REPOSITORY = Path(__file__).parents[3]


def python(program: str, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603  # our own program
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


async def test_reopening_keeps_everything(tmp_path: Path) -> None:
    url = f"surrealkv://{tmp_path / 'new' / 'db'}"
    credential, event, token = a_credential(), an_event(), a_token()
    model = a_model(credential=credential.id)
    store = await open_surreal(url)
    await store.commit(
        (CreateCredential(credential), CreateModel(model), Append(event), PutToken(token), PutKeyset(a_keyset(), 0))
    )
    await store.aclose()
    for _ in range(2):
        store = await open_surreal(url)
        assert list(await store.credentials(WORKSPACE)) == [credential]
        assert list(await store.models(WORKSPACE)) == [model]
        assert dict(await store.model_counts(WORKSPACE)) == {credential.id: 1}
        assert list(await store.events(WORKSPACE)) == [event]
        assert list(await store.tokens(WORKSPACE)) == [token]
        assert await store.keyset() == a_keyset()
        await store.aclose()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new" / "db.lock").stat().st_mode & 0o777 == 0o600


async def test_many_changes_to_one_account_in_one_commit_survive_a_restart(tmp_path: Path) -> None:
    url = f"surrealkv://{tmp_path / 'db'}"
    old, new = a_credential(), a_credential()
    store = await open_surreal(url)
    models = [a_model(name=f"m{number}", credential=old.id) for number in range(5)]
    await store.commit((CreateCredential(old), CreateCredential(new), *(CreateModel(model) for model in models)))
    await store.aclose()

    store = await open_surreal(url)
    assert dict(await store.model_counts(WORKSPACE)) == {old.id: 5}
    await store.commit(
        (
            DeleteModel(WORKSPACE, models[0].id),
            RelinkModels(WORKSPACE, old.id, new.id),
            CreateModel(a_model(name="m0", credential=new.id)),
            DeleteCredential(WORKSPACE, old.id, old.version),
        )
    )
    await store.aclose()

    store = await open_surreal(url)
    assert dict(await store.model_counts(WORKSPACE)) == {new.id: 5}
    assert [model.name for model in await store.models(WORKSPACE, credential=new.id)] == ["m1", "m2", "m3", "m4", "m0"]
    assert await store.models(WORKSPACE, credential=old.id) == []
    await store.aclose()


HOLD = """
import asyncio, sys
from keycairn.adapters.surreal import open_surreal
from keycairn.domain.errors import StoreLockedError
async def main():
    try:
        store = await open_surreal("surrealkv://" + sys.argv[1])
    except StoreLockedError as error:
        print("refused:", error)
    else:
        print("opened")
        await store.aclose()
asyncio.run(main())
"""


async def test_a_second_process_is_refused_until_the_first_closes(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = await open_surreal(f"surrealkv://{path}")
    try:
        with pytest.raises(StoreLockedError):
            await open_surreal(f"surrealkv://{path}")
        out, err = await asyncio.to_thread(python(HOLD, path).communicate)
        assert out.startswith("refused: Another Keycairn process is using the database"), err
    finally:
        await store.aclose()
    out, err = await asyncio.to_thread(python(HOLD, path).communicate)
    assert out == "opened\n", err


WRITE = """
import asyncio, sys
from tests.samples import an_event
from keycairn.adapters.surreal import open_surreal
from keycairn.domain.change import Append
async def main():
    store = await open_surreal("surrealkv://" + sys.argv[1])
    while True:
        event = an_event()
        await store.commit((Append(event),))
        print(event.id, flush=True)
asyncio.run(main())
"""


async def test_a_killed_process_loses_no_acknowledged_commit(tmp_path: Path) -> None:
    child = python(WRITE, tmp_path / "db")
    assert child.stdout is not None
    acknowledged = [await asyncio.to_thread(child.stdout.readline) for _ in range(100)]
    os.kill(child.pid, signal.SIGKILL)
    rest = await asyncio.to_thread(child.stdout.read)  # not communicate: it passes over what readline has buffered
    await asyncio.to_thread(child.communicate)
    acknowledged += rest.splitlines(keepends=True)
    whole = {line.strip() for line in acknowledged if line.endswith("\n")}
    store = await open_surreal(f"surrealkv://{tmp_path / 'db'}")
    found = {event.id for event in await store.events(WORKSPACE)}
    await store.aclose()
    assert len(whole) >= 100
    assert whole <= found
    assert len(found - whole) <= 1


async def test_commits_are_synced_to_the_disk() -> None:
    store = await open_surreal("mem://")
    await store.aclose()
    assert os.environ["SURREAL_SYNC_DATA"] == "true"


@pytest.mark.parametrize("url", ["rocksdb://x", "memory", "surrealkv://", "http://localhost", ""])
async def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        await open_surreal(url)


async def test_a_path_that_cannot_be_a_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be used"):
        await open_surreal(f"surrealkv://{tmp_path / 'file' / 'db'}")
    with pytest.raises(StoreError, match="Nothing was changed"):
        await open_surreal(f"surrealkv://{tmp_path / 'file'}")
