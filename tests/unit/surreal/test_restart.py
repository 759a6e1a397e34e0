"""What one transaction writes more than once must be found again after a restart.

SurrealKV 0.9 forgets the later writes where a savepoint lies between them; see `keycairn.adapters.surreal.statements`.
"""

from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.fakes import NOON
from tests.samples import WORKSPACE, a_check, a_credential, a_keyset, a_model, a_token, an_event

from keycairn.adapters.surreal import open_surreal
from keycairn.adapters.surreal.schema import MIGRATIONS
from keycairn.adapters.surreal.statements import Transaction, counted, drafted, guard, moved_on, replayed
from keycairn.domain.change import (
    AddCredential,
    AddModel,
    AddUsage,
    Append,
    DeleteCredential,
    DeleteModel,
    MarkBroken,
    PutDefaults,
    PutKeyset,
    PutToken,
    RecordCheck,
    RecordUse,
    RelinkModels,
    ReplaceCredential,
    ReplaceModel,
)
from keycairn.domain.draft import worked_out
from keycairn.domain.errors import DuplicateError
from keycairn.domain.model import Defaults
from keycairn.domain.state import State
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.store import Store


async def everything(store: Store) -> list[object]:
    credentials, models = await store.credentials(WORKSPACE), await store.models(WORKSPACE)
    return [
        list(credentials),
        list(models),
        [list(await store.credentials(WORKSPACE, provider=provider)) for provider in ("openai", "groq")],
        [list(await store.models(WORKSPACE, credential=credential.id)) for credential in credentials],
        list(await store.unlinked_models(WORKSPACE, "openai")),
        dict(await store.model_counts(WORKSPACE)),
        list(await store.tokens(WORKSPACE)),
        await store.defaults(WORKSPACE),
        await store.keyset(),
        list(await store.events(WORKSPACE)),
    ]


@pytest.mark.parametrize("fresh", [True, False])
async def test_what_one_commit_writes_twice_survives_a_restart(tmp_path: Path, *, fresh: bool) -> None:
    url = f"surrealkv://{tmp_path / 'db'}"
    one, two, token = a_credential(), a_credential(), a_token()
    model, other = a_model(credential=one.id), a_model(credential=two.id)
    first = (
        AddCredential(one),
        AddCredential(two),
        AddModel(model),
        AddModel(other),
        PutToken(token),
        PutDefaults(Defaults(version=1), 0),
        PutKeyset(a_keyset(), 0),
    )
    then = (
        ReplaceCredential(replace(one, provider="groq", version=2), 1),
        DeleteModel(WORKSPACE, other.id),
        AddModel(replace(other, id=a_model().id)),
        ReplaceModel(replace(model, name="once", version=2), 1),
        PutToken(replace(token, name="once")),
        PutDefaults(Defaults(version=2), 1),
        PutKeyset(a_keyset(generation=2), 1),
        PutToken(replace(token, name="twice")),
        PutDefaults(Defaults(version=3), 2),
        PutKeyset(a_keyset(generation=3), 2),
        ReplaceModel(replace(model, version=3), 2),
        ReplaceCredential(replace(one, name="twice", version=3), 2),
        RecordCheck(WORKSPACE, one.id, a_check()),
        MarkBroken(WORKSPACE, one.id, {"api_key": "twice"}, 3),
        DeleteCredential(WORKSPACE, two.id, 1),
        AddCredential(replace(two, name="twice")),
        RelinkModels(WORKSPACE, one.id, two.id),
        Append(an_event()),
    )
    store = await open_surreal(url)
    for changes in [first + then] if fresh else [first, then]:
        await store.commit(changes)
    before = await everything(store)
    await store.aclose()
    store = await open_surreal(url)
    assert await everything(store) == before
    (found, *_) = await store.models(WORKSPACE)
    with pytest.raises(DuplicateError):
        await store.commit((AddModel(replace(found, id=a_model().id)),))
    await store.aclose()


def test_no_transaction_opens_a_savepoint() -> None:
    changes = (PutToken(a_token()), PutDefaults(Defaults(), 0), PutKeyset(a_keyset(), 0))
    draft = worked_out(State(), changes)
    whole = Transaction()
    guard(whole)
    moved_on(whole, 1, draft.images)
    drafted(draft, draft.images, to=whole)
    counted(
        (
            AddUsage(UsageKey(day=NOON.date(), workspace=WORKSPACE, token="t", credential="c"), Usage(requests=1)),
            RecordUse(a_token().id, NOON),
        ),
        whole,
    )
    whole.ledger("store", 1)
    assert "UPSERT" not in whole.text + replayed(draft.images).text + replayed(dict.fromkeys(draft.images)).text
    for migration in MIGRATIONS:
        assert "UPSERT" not in migration
        assert "AS SELECT" not in " ".join(migration.split())
