"""What every store promises of a commit: all or nothing, seen whole, none lost."""

import asyncio

import pytest
from msgspec.structs import replace

from keycairn.domain.change import (
    AddCredential,
    AddModel,
    AddUsage,
    Append,
    Change,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    ExpectCredential,
    ExpectModel,
    ExpectNoCredential,
    PutDefaults,
    PutKeyset,
    PutToken,
    RelinkModels,
    ReplaceCredential,
)
from keycairn.domain.errors import (
    ConflictError,
    DuplicateError,
    StaleVersionError,
    StoreUnavailableError,
)
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.model import Defaults
from keycairn.domain.usage import Usage
from keycairn.ports.store import Store
from keycairn.testing.stores.samples import WORKSPACE, a_credential, a_keyset, a_model, a_token, a_usage_key, an_event
from keycairn.testing.stores.suite import StoreSuite, accounts, get, put, with_store


async def increment(store: Store, id: CredentialId) -> None:
    """Count one up in a setting of the credential, again for as long as others were faster."""
    while True:
        old = await store.credential(WORKSPACE, id)
        assert old is not None
        new = replace(old, version=old.version + 1, settings={"count": int(old.settings["count"]) + 1})
        try:
            await store.commit((ReplaceCredential(new, old.version), Append(an_event())))
        except ConflictError:
            continue
        return


class CommitConformance(StoreSuite):
    @with_store
    async def test_expectations_write_nothing(self, store: Store) -> None:
        credential, model = a_credential(version=2), a_model()
        await put(store, credential, model)
        await store.commit(
            (
                ExpectCredential(WORKSPACE, credential.id),
                ExpectCredential(WORKSPACE, credential.id, 2),
                ExpectModel(WORKSPACE, model.id),
                ExpectNoCredential(WORKSPACE, "groq"),
            )
        )
        for broken in (
            ExpectCredential(WORKSPACE, credential.id, 1),
            ExpectCredential(WORKSPACE, CredentialId("credential:gone")),
            ExpectModel(WORKSPACE, ModelId("model:gone")),
            ExpectNoCredential(WORKSPACE, "openai"),
        ):
            with pytest.raises(StaleVersionError):
                await store.commit((broken,))
        assert await get(store, credential) == credential

    @with_store
    async def test_a_later_change_sees_the_earlier_ones(self, store: Store) -> None:
        source, target = a_credential(), a_credential(provider="groq")
        await store.commit(
            (
                AddCredential(source),
                AddCredential(target),
                ExpectCredential(WORKSPACE, source.id, 1),
                AddModel(model := a_model(credential=source.id)),
                ExpectModel(WORKSPACE, model.id),
                DeleteModel(WORKSPACE, model.id),
                DeleteCredential(WORKSPACE, source.id, 1),
                ReplaceCredential(replace(target, version=2), 1),
            )
        )
        assert list(await store.credentials(WORKSPACE)) == [replace(target, version=2)]
        with pytest.raises(DuplicateError):
            await store.commit((AddModel(a := a_model()), AddModel(replace(a, id=a_model().id))))

    @with_store
    async def test_a_scan_sees_what_was_before_the_changeset(self, store: Store) -> None:
        source, target = a_credential(), a_credential(provider="groq")
        await put(store, source, target)
        await store.commit(
            (
                AddModel(fresh := a_model(credential=source.id)),
                AddModel(other := a_model(credential=target.id)),
                DeleteModelsOf(WORKSPACE, target.id),
                RelinkModels(WORKSPACE, source.id, target.id),
            )
        )
        assert {m.id: m.credential for m in await store.models(WORKSPACE)} == {fresh.id: source.id, other.id: target.id}
        await store.commit((ExpectNoCredential(WORKSPACE, "new"), AddCredential(a_credential(provider="new"))))
        with pytest.raises(StaleVersionError):
            await store.commit((ExpectNoCredential(WORKSPACE, "new"), AddCredential(a_credential(provider="new"))))

    @pytest.mark.parametrize("count", [5, 700])
    @with_store
    async def test_moving_models_misses_none_beside_one_deleted_in_the_same_changeset(
        self, store: Store, count: int
    ) -> None:
        source, target = a_credential(), a_credential()
        models = [a_model(name=f"m{number}", credential=source.id) for number in range(count)]
        await put(store, source, target, *models)
        await store.commit(
            (
                DeleteModel(WORKSPACE, models[0].id),
                DeleteModel(WORKSPACE, models[2].id),
                RelinkModels(WORKSPACE, source.id, target.id),
            )
        )
        assert dict(await store.model_counts(WORKSPACE)) == {target.id: count - 2}
        await store.commit((DeleteModel(WORKSPACE, models[1].id), DeleteModelsOf(WORKSPACE, target.id)))
        assert list(await store.models(WORKSPACE)) == []

    @with_store
    async def test_one_failing_change_undoes_all(self, store: Store) -> None:
        before, one = a_credential(), a_credential(provider="groq")
        model = a_model(credential=one.id)
        await put(store, before, one, model)
        changes: list[Change] = [
            AddCredential(a_credential()),
            ReplaceCredential(replace(before, name="after", version=2), 1),
            AddModel(a_model()),
            RelinkModels(WORKSPACE, one.id, before.id),
            PutDefaults(Defaults(version=1), 0),
            PutKeyset(a_keyset(), 0),
            PutToken(a_token()),
            Append(an_event()),
        ]
        stale, duplicate = ExpectModel(WORKSPACE, ModelId("model:gone")), AddModel(replace(model, name="other"))
        for position in range(len(changes) + 1):
            for failing, error in ((stale, StaleVersionError), (duplicate, DuplicateError)):
                with pytest.raises(error):
                    await store.commit((*changes[:position], failing, *changes[position:]))
            assert list(await store.credentials(WORKSPACE)) == [one, before]
            assert list(await store.models(WORKSPACE)) == [model]
            assert dict(await store.model_counts(WORKSPACE)) == {one.id: 1}
            assert (await store.defaults(WORKSPACE)).version == 0
            assert await store.keyset() is None
            assert list(await store.tokens(WORKSPACE)) == []
            assert list(await store.events(WORKSPACE)) == []

    @with_store
    async def test_every_commit_changes_the_revision(self, store: Store) -> None:
        seen = {await store.revision()}
        for _ in range(3):
            await store.commit((Append(an_event()),))
            seen.add(await store.revision())
        assert len(seen) == 4
        assert await store.revision() == await store.revision()

    @with_store
    async def test_concurrent_writers_lose_no_update(self, store: Store) -> None:
        credential = a_credential(settings={"count": 0})
        await put(store, credential)
        await asyncio.gather(*(increment(store, credential.id) for _ in range(50)))
        found = await get(store, credential)
        assert (found.settings["count"], found.version) == (50, 51)
        assert len(await store.events(WORKSPACE)) == 50

    @with_store
    async def test_of_two_writers_that_expect_nothing_one_wins(self, store: Store) -> None:
        for number in range(10):
            provider = f"p{number}"
            outcomes = await asyncio.gather(
                *(
                    store.commit(
                        (ExpectNoCredential(WORKSPACE, provider), AddCredential(a_credential(provider=provider)))
                    )
                    for _ in range(4)
                ),
                return_exceptions=True,
            )
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType"] + ["StaleVersionError"] * 3
            assert len(await store.credentials(WORKSPACE, provider=provider)) == 1

    @with_store
    async def test_readers_never_see_half_a_changeset(self, store: Store) -> None:
        one, two = await accounts(store, "one", "two")
        await put(store, *(a_model(credential=one) for _ in range(20)))
        done = asyncio.Event()

        async def read() -> int:
            reads = 0
            while not done.is_set():
                counts = dict(await store.model_counts(WORKSPACE))
                assert sorted(counts.values()) == [20], counts
                assert {model.credential for model in await store.models(WORKSPACE)} in ({one}, {two})
                reads += 1
                await asyncio.sleep(0)
            return reads

        readers = [asyncio.create_task(read()) for _ in range(4)]
        for _ in range(10):
            await store.commit((RelinkModels(WORKSPACE, one, two),))
            await store.commit((RelinkModels(WORKSPACE, two, one),))
        done.set()
        assert min(await asyncio.gather(*readers)) > 0

    @with_store
    async def test_a_cancelled_commit_is_whole_or_nothing(self, store: Store) -> None:
        for turn in range(30):
            model, event = a_model(), an_event()
            task = asyncio.create_task(store.commit((AddModel(model), Append(event))))
            await asyncio.sleep(turn % 10 / 5000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await store.commit((Append(an_event(workspace="later")),))
            written = await store.model(WORKSPACE, model.id)
            events = {found.id for found in await store.events(WORKSPACE)}
            assert (written is not None) == (event.id in events)

    @with_store
    async def test_a_closed_store_says_so(self, store: Store) -> None:
        commits = [asyncio.create_task(store.commit((Append(an_event()),))) for _ in range(5)]
        await asyncio.sleep(0)
        await store.aclose()
        await store.aclose()
        for outcome in await asyncio.gather(*commits, return_exceptions=True):
            assert outcome is None or isinstance(outcome, StoreUnavailableError)
        with pytest.raises(StoreUnavailableError):
            await store.credentials(WORKSPACE)
        with pytest.raises(StoreUnavailableError):
            await store.commit((Append(an_event()),))
        with pytest.raises(StoreUnavailableError):
            await store.ping()
        with pytest.raises(StoreUnavailableError):
            await store.revision()

    @with_store
    async def test_counting_usage_leaves_the_revision_as_it_is(self, store: Store) -> None:
        before = await store.revision()

        await store.commit((AddUsage(a_usage_key(), Usage(requests=1)),))
        counted = await store.revision()
        await store.commit((AddUsage(a_usage_key(), Usage(requests=1)), PutToken(a_token())))

        assert counted == before
        assert await store.revision() != before
