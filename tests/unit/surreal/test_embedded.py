"""What only a store in a folder can promise."""

from pathlib import Path

import pytest
from tests.samples import WORKSPACE, a_credential, a_keyset, a_model, a_token, an_event

from keycairn.adapters.surreal import open_surreal
from keycairn.domain.change import (
    AddCredential,
    AddModel,
    Append,
    DeleteCredential,
    DeleteModel,
    PutKeyset,
    PutToken,
    RelinkModels,
)
from keycairn.domain.errors import SettingsError, StoreError


async def test_reopening_keeps_everything(tmp_path: Path) -> None:
    url = f"surrealkv://{tmp_path / 'new' / 'db'}"
    credential, event, token = a_credential(), an_event(), a_token()
    model = a_model(credential=credential.id)
    store = await open_surreal(url)
    await store.commit(
        (AddCredential(credential), AddModel(model), Append(event), PutToken(token), PutKeyset(a_keyset(), 0))
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
    await store.commit((AddCredential(old), AddCredential(new), *(AddModel(model) for model in models)))
    await store.aclose()

    store = await open_surreal(url)
    assert dict(await store.model_counts(WORKSPACE)) == {old.id: 5}
    await store.commit(
        (
            DeleteModel(WORKSPACE, models[0].id),
            RelinkModels(WORKSPACE, old.id, new.id),
            AddModel(a_model(name="m0", credential=new.id)),
            DeleteCredential(WORKSPACE, old.id, old.version),
        )
    )
    await store.aclose()

    store = await open_surreal(url)
    assert dict(await store.model_counts(WORKSPACE)) == {new.id: 5}
    assert [model.name for model in await store.models(WORKSPACE, credential=new.id)] == ["m1", "m2", "m3", "m4", "m0"]
    assert await store.models(WORKSPACE, credential=old.id) == []
    await store.aclose()


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
