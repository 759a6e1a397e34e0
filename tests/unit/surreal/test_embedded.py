"""What only a store in a folder can promise."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.fakes import NOON
from tests.samples import WORKSPACE, a_credential, a_keyset, a_model, a_token, an_event

from keycairn.adapters.surreal import open_surreal
from keycairn.domain.change import (
    AddCredential,
    AddModel,
    Append,
    DeleteCredential,
    DeleteModel,
    PutDefaults,
    PutKeyset,
    PutToken,
    RelinkModels,
    ReplaceCredential,
    Touch,
)
from keycairn.domain.draft import Draft
from keycairn.domain.errors import SettingsError, StoreError
from keycairn.domain.ids import key_of
from keycairn.domain.model import Defaults, Slot
from keycairn.domain.proof import Proven
from keycairn.domain.record import Record
from keycairn.ports.store import Store


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


def proven(proof: str) -> Callable[[Draft], None]:
    """Gives every record a proof, as the journal does."""

    def finish(draft: Draft) -> None:
        for record in list(draft.images.values()):
            if isinstance(record, Proven):
                draft.put(replace(record, proof=proof))

    return finish


async def test_records_that_are_proven_anew_keep_all_else_whatever_they_were_before(tmp_path: Path) -> None:
    store = await open_surreal(f"surrealkv://{tmp_path}/db")
    credential = a_credential(extra={"any": [1, None, "x"]}, settings={"base_url": "https://x.example"})
    model, token = a_model(credential=credential.id, priority=3, context_length=8), a_token(last_used=NOON)
    defaults = Defaults(workspace=WORKSPACE, slots={Slot.CHAT: model.id}, version=1)
    made = (AddCredential(credential), AddModel(model), PutToken(token), PutDefaults(defaults, expected=0))
    await store.commit(made)  # without a proof, as before there were any
    names = [("credential", key_of(credential.id)), ("model", key_of(model.id)), ("token", key_of(token.id))]
    looks = tuple(Touch(kind, key) for kind, key in (*names, ("defaults", WORKSPACE)))
    for proof in ("1:first", "2:second", "2:second", "3:third"):
        await store.commit(looks, proven(proof))
    renamed = replace(credential, name="renamed", version=2)
    await store.commit((ReplaceCredential(renamed, expected=1), *looks[1:]), proven("4:last"))
    held = [await all_of(store)]
    await store.aclose()
    again = await open_surreal(f"surrealkv://{tmp_path}/db")
    held.append(await all_of(again))
    await again.aclose()
    assert held[0] == held[1]
    wanted = [replace(one, proof="4:last") for one in (renamed, model, defaults, token)]
    assert [one for one in held[1] if isinstance(one, Proven)] == wanted


async def all_of(store: Store) -> list[Record]:
    async with store.snapshot() as records:
        return [record async for record in records]
