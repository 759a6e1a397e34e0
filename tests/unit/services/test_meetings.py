"""What happens when somebody else's change lands between planning and committing."""

from collections.abc import AsyncIterator

import pytest
from tests.house import House
from tests.interposed import Interposed
from tests.torture.victim import root_key

from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.wiring import keyset_opener
from keycairn.domain.change import Changeset, PutKeyset
from keycairn.domain.errors import CommitPendingError
from keycairn.domain.incoming import IncomingCredential, IncomingModel, IncomingRow
from keycairn.domain.keyset import KeyState
from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.domain.secret import Secret
from keycairn.ports.store import Finish

KEY = Secret("sk-0123456789abcdef")


class Rows:
    label = "rows"

    def __init__(self, *models: str) -> None:
        self._models = models

    async def rows(self) -> AsyncIterator[IncomingRow]:
        models = tuple(IncomingModel(name=name, type="language") for name in self._models)
        yield IncomingCredential(
            where="1", provider="openai", name="Work", id="credential:w", secrets={"api_key": KEY}, models=models
        )


async def opened(store: Interposed) -> Keycairn:
    return await House(store=store.as_store, keysets=keyset_opener()).open(root_key(0))


async def nothing_dangles(kc: Keycairn) -> None:
    assert [finding for finding in await kc.checkup.report() if finding.fixable or finding.broken] == []


async def test_models_imported_into_an_account_that_is_deleted_meanwhile_do_not_dangle() -> None:
    store = Interposed(MemoryStore())
    kc = await opened(store)
    await kc.importer.run(Rows("a"))
    account = (await kc.credentials.list())[0].credential.id

    async def delete() -> None:
        await kc.credentials.delete(account)

    store.before = delete
    report = await kc.importer.run(Rows("a", "b"))
    assert await kc.credentials.list() == [], "what was deleted on purpose does not come back unasked"
    assert await kc.models.list() == []
    assert [skipped.id for skipped in report.skipped] == [account]
    await nothing_dangles(kc)


async def test_an_account_deleted_while_a_default_moves_into_it_takes_the_default_along() -> None:
    store = Interposed(MemoryStore())
    kc = await opened(store)
    await kc.importer.run(Rows("gpt-4o"))
    account = (await kc.credentials.list())[0].credential.id
    model = (await kc.models.list(type=Modality.LANGUAGE))[0]

    async def choose() -> None:
        await kc.models.set_defaults({Slot.CHAT: model.id})

    store.before = choose
    await kc.credentials.delete(account)
    assert (await kc.models.defaults()).slots == {}
    await nothing_dangles(kc)


class Pending(Interposed):
    """Accepts changes of the keyset, and says that they are pending."""

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        await super().commit(changes, finish)
        if any(isinstance(change, PutKeyset) for change in changes) and self.pending:
            raise CommitPendingError(None)

    pending = False


async def test_a_step_of_the_keyset_that_was_accepted_is_in_use_though_it_is_pending() -> None:
    store = Pending(MemoryStore())
    kc = await opened(store)
    await kc.credentials.create("openai", name="Work", secrets={"api_key": KEY})
    store.pending = True
    for _ in range(6):
        with pytest.raises(CommitPendingError):
            await kc.rotation.rotate()
        assert kc.vault.keyset.record == await store.keyset()
        assert kc.journal.keys.record == await store.keyset()
        made = await kc.credentials.create("openai", name="More", secrets={"api_key": KEY})
        assert (await kc.credential_opener.open(made.credential)).secrets["api_key"] == KEY
    store.pending = False
    await kc.rotation.rotate()
    states = list(kc.vault.keyset.record.keys.values())
    assert states.count(KeyState.PRIMARY) == 1
    assert KeyState.DECRYPT_ONLY not in states
