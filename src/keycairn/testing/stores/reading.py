"""What every store promises of what it gives: filters, pages, sums, in order and bounded."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from keycairn.domain.change import (
    AddUsage,
    Append,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    ExpectCredential,
    ExpectModel,
    ExpectNoCredential,
    MarkBroken,
    PutDefaults,
    PutToken,
    RecordCheck,
    RelinkModels,
    ReplaceCredential,
    ReplaceModel,
)
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    StaleVersionError,
)
from keycairn.domain.ids import CredentialId, EventId, ModelId, TokenId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Defaults, Model
from keycairn.domain.usage import Usage
from keycairn.ports.store import Position, Store
from keycairn.testing.stores.samples import (
    THEN,
    WORKSPACE,
    a_check,
    a_credential,
    a_model,
    a_token,
    a_usage_key,
    an_event,
)
from keycairn.testing.stores.suite import StoreSuite, accounts, put, with_store


async def credential_pages(store: Store, limit: int, provider: str | None) -> AsyncIterator[Credential]:
    """All credentials of the workspace, read page by page."""
    after = None
    while page := await store.credentials(WORKSPACE, provider=provider, after=after, limit=limit):
        assert len(page) <= limit
        last = Position(page[-1].provider, page[-1].created, page[-1].id)
        assert last != after, "a page begins after the last record of the one before"
        for credential in page:
            yield credential
        after = last


class ReadingConformance(StoreSuite):
    @with_store
    async def test_empty_store_answers_nothing(self, store: Store) -> None:
        assert await store.credential(WORKSPACE, CredentialId("credential:none")) is None
        assert await store.model(WORKSPACE, ModelId("model:none")) is None
        assert await store.token(TokenId("token:none")) is None
        assert list(await store.credentials(WORKSPACE)) == []
        assert list(await store.models(WORKSPACE)) == []
        assert dict(await store.model_counts(WORKSPACE)) == {}
        assert list(await store.unlinked_models(WORKSPACE, "openai")) == []
        assert await store.providers_in_use(WORKSPACE) == frozenset()
        assert await store.defaults(WORKSPACE) == Defaults(workspace=WORKSPACE)
        assert await store.keyset() is None
        assert not await store.any_sealed()
        assert list(await store.tokens(WORKSPACE)) == []
        assert list(await store.events(WORKSPACE)) == []
        await store.commit(())
        await store.ping()

    @with_store
    async def test_id_of_another_table_finds_nothing(self, store: Store) -> None:
        model = a_model(id=ModelId("model:same"))
        await put(store, model)
        assert await store.model(WORKSPACE, ModelId("credential:same")) is None

    @with_store
    async def test_workspaces_are_apart(self, store: Store) -> None:
        mine, theirs = a_credential(), a_credential(workspace="theirs")
        models = a_model(credential=mine.id), a_model(credential=theirs.id, workspace="theirs")
        await put(store, mine, theirs, *models)
        await store.commit((PutToken(a_token()), Append(an_event()), PutDefaults(Defaults(version=1), 0)))
        assert await store.credential(WORKSPACE, theirs.id) is None
        assert await store.model(WORKSPACE, models[1].id) is None
        assert list(await store.credentials("theirs")) == [theirs]
        assert list(await store.models("theirs")) == [models[1]]
        assert dict(await store.model_counts("theirs")) == {theirs.id: 1}
        assert list(await store.tokens("theirs")) == []
        assert list(await store.events("theirs")) == []
        assert (await store.defaults("theirs")).version == 0
        for change in (
            ReplaceCredential(replace(theirs, workspace=WORKSPACE), 1),
            DeleteCredential(WORKSPACE, theirs.id, 1),
            ReplaceModel(replace(models[1], workspace=WORKSPACE), 1),
            DeleteModel(WORKSPACE, models[1].id),
            ExpectCredential(WORKSPACE, theirs.id),
            ExpectModel(WORKSPACE, models[1].id),
        ):
            with pytest.raises(StaleVersionError):
                await store.commit((change,))
        await store.commit(
            (
                RecordCheck(WORKSPACE, theirs.id, a_check()),
                MarkBroken(WORKSPACE, theirs.id, {"api_key": "no"}, 1),
                RelinkModels(WORKSPACE, theirs.id, mine.id),
                DeleteModelsOf(WORKSPACE, theirs.id),
                ExpectNoCredential("empty", "openai"),
            )
        )
        assert list(await store.credentials("theirs")) == [theirs]
        assert list(await store.models("theirs")) == [models[1]]

    @with_store
    async def test_the_credentials_of_all_workspaces_are_walked_once_in_order(self, store: Store) -> None:
        credentials = [a_credential(workspace=f"w{number % 3}") for number in range(7)]
        await put(store, *credentials)
        walked: list[Credential] = []
        while page := await store.all_credentials(after=walked[-1].id if walked else None, limit=3):
            walked += page
            assert len(walked) <= len(credentials), "a page begins after the last record of the one before"
        assert walked == sorted(credentials, key=lambda credential: credential.id)

    @with_store
    async def test_any_sealed_looks_into_every_workspace(self, store: Store) -> None:
        await put(store, a_credential(sealed={}))
        assert not await store.any_sealed()
        await put(store, a_credential(workspace="other"))
        assert await store.any_sealed()

    @with_store
    async def test_model_filters_all_hold(self, store: Store) -> None:
        [one] = await accounts(store, "one")
        wanted = a_model(credential=one, name="m", type=Modality.EMBEDDING, provider="groq")
        others: list[dict[str, Any]] = [
            {"name": "x"},
            {"type": Modality.LANGUAGE},
            {"provider": "x"},
            {"credential": None},
        ]
        for different in others:
            await put(store, replace(wanted, id=a_model().id, **different))
        await put(store, wanted)
        filters: dict[str, Any] = {"name": "m", "type": Modality.EMBEDDING, "provider": "groq", "credential": one}
        assert list(await store.models(WORKSPACE, **filters)) == [wanted]
        assert list(await store.models(WORKSPACE, **filters, after=wanted.id)) == []
        for name in filters:
            rest = {key: value for key, value in filters.items() if key != name}
            assert len(await store.models(WORKSPACE, **rest)) == 2
        assert [m.credential for m in await store.unlinked_models(WORKSPACE, "groq")] == [None]

    @pytest.mark.parametrize("limit", [1, 3, 100])
    @with_store
    async def test_pages_of_credentials_give_each_once_in_order(self, store: Store, limit: int) -> None:
        credentials = [
            a_credential(provider=provider, created=THEN + timedelta(microseconds=moment))
            for provider in ("openai", "azure", "open", "open-ai", "openai_compatible", "openai-2")
            for moment in (10, 0, 0, 0)
        ]
        await put(store, *credentials)
        await put(store, a_credential(workspace="other"))
        credentials.sort(key=lambda c: (c.provider, c.created, c.id))
        assert [c async for c in credential_pages(store, limit, None)] == credentials
        for provider in ("open", "openai", "none"):
            expected = [c for c in credentials if c.provider == provider]
            assert [c async for c in credential_pages(store, limit, provider)] == expected

    @with_store
    async def test_a_page_begins_after_a_record_that_is_gone(self, store: Store) -> None:
        first, second, third = a_credential(), a_credential(), a_credential()
        await put(store, first, third)
        after = Position(second.provider, second.created, second.id)
        assert list(await store.credentials(WORKSPACE, after=after)) == [third]
        assert list(await store.credentials(WORKSPACE, provider="zzz", after=after)) == []
        assert list(await store.credentials(WORKSPACE, provider="aaa", after=after)) == []

    @pytest.mark.parametrize("filters", [{}, {"provider": "openai"}, {"credential": CredentialId("credential:one")}])
    @with_store
    async def test_pages_of_models_give_each_once_in_order(self, store: Store, filters: dict[str, Any]) -> None:
        [one] = await accounts(store, "one")
        models = [a_model(credential=one) for _ in range(10)]
        await put(store, *reversed(models))
        await put(store, a_model(workspace="other"))
        seen: list[Model] = []
        after = None
        while page := await store.models(WORKSPACE, **filters, after=after, limit=3):
            seen += page
            assert len(seen) <= len(models), "a page begins after the last record of the one before"
            after = page[-1].id
        assert seen == models
        assert list(await store.models(WORKSPACE, **filters, limit=None)) == models

    @with_store
    async def test_pages_of_events_give_each_once_in_order(self, store: Store) -> None:
        """Their ids go backwards, as they do when the clock is set back: the order is that of the chain."""
        ids = [an_event().id for _ in range(7)]
        events = [an_event(id=id, seq=3 * seq) for seq, id in enumerate(reversed(ids), 1)]
        await store.commit(tuple(Append(event) for event in (events[4], *events[:4], *events[5:])))
        await store.commit((Append(an_event(workspace="other", seq=4)),))
        seen: list[EventId] = []
        after = None
        while page := await store.events(WORKSPACE, after=after, limit=3):
            seen += [event.id for event in page]
            assert len(seen) <= len(events), "a page begins after the last record of the one before"
            after = page[-1].seq
        assert seen == [event.id for event in events]

    @with_store
    async def test_events_that_belong_to_no_chain_come_first_and_once(self, store: Store) -> None:
        strange, more = an_event(), an_event()
        links = [an_event(seq=1), an_event(seq=2)]
        await store.commit(tuple(map(Append, (*reversed(links), more, strange))))
        assert list(await store.events(WORKSPACE)) == [strange, more, *links]
        assert list(await store.events(WORKSPACE, limit=2)) == [strange, more]
        assert list(await store.events(WORKSPACE, after=0)) == links

    @with_store
    async def test_no_page_is_larger_than_the_most(self, store: Store) -> None:
        await store.commit(tuple(Append(an_event()) for _ in range(1001)))
        assert len(await store.events(WORKSPACE, limit=5000)) == 1000

    @with_store
    async def test_usage_adds_up_by_key(self, store: Store) -> None:
        later = THEN + timedelta(seconds=5)
        await store.commit(
            (AddUsage(a_usage_key(), Usage(requests=2, input_tokens=10, output_tokens=3, last_used=later)),)
        )
        await store.commit(
            (
                AddUsage(a_usage_key(), Usage(requests=1, failed=1, input_tokens=5, last_used=THEN)),
                AddUsage(a_usage_key(), Usage(requests=1)),
                AddUsage(a_usage_key(model=""), Usage(requests=7)),
            )
        )

        found = await store.usage(WORKSPACE, since=date(2026, 1, 2), until=date(2026, 1, 2))

        assert found == {
            a_usage_key(): Usage(requests=4, failed=1, input_tokens=15, output_tokens=3, last_used=later),
            a_usage_key(model=""): Usage(requests=7),
        }

    @with_store
    async def test_the_hours_of_usage_add_up_each_for_itself(self, store: Store) -> None:
        for hour, count in ((9, 2), (0, 1), (9, 3), (23, 4)):
            await store.commit((AddUsage(a_usage_key(), Usage(requests=count, input_tokens=7).within(hour)),))
        await store.commit((AddUsage(a_usage_key(), Usage(requests=100)),))
        (found,) = (await store.usage(WORKSPACE, since=date(2026, 1, 2), until=date(2026, 1, 2))).values()
        assert found.requests == 110
        assert found.hours == {
            0: Usage(requests=1, input_tokens=7),
            9: Usage(requests=5, input_tokens=14),
            23: Usage(requests=4, input_tokens=7),
        }
        assert dict(found.by_hour())[None] == Usage(requests=100)

    @with_store
    async def test_usage_is_asked_for_by_day_and_workspace(self, store: Store) -> None:
        days = [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]
        await store.commit(tuple(AddUsage(a_usage_key(day), Usage(requests=1)) for day in days))
        await store.commit((AddUsage(a_usage_key(workspace="other"), Usage(requests=1)),))

        found = await store.usage(WORKSPACE, since=days[1], until=days[2])

        assert sorted(key.day for key in found) == days[1:3]
        assert not await store.usage("nobody", since=days[0], until=days[-1])

    @with_store
    async def test_twins_share_a_fingerprint_and_a_workspace(self, store: Store) -> None:
        one = a_credential(fingerprints={"api_key": "aa", "other": "bb"})
        two = a_credential(fingerprints={"token": "aa"}, created=THEN + timedelta(seconds=1))
        apart = a_credential(fingerprints={"api_key": "cc"})
        bare = a_credential()
        elsewhere = a_credential(workspace="other", fingerprints={"api_key": "aa"})
        await put(store, two, one, apart, bare, elsewhere)

        assert await store.with_same_secret(WORKSPACE, {"aa"}) == [one, two]
        assert await store.with_same_secret(WORKSPACE, {"aa", "bb", "dd"}) == [one, two]
        assert await store.with_same_secret("other", {"aa", "cc"}) == [elsewhere]
        assert [await store.with_same_secret(WORKSPACE, wanted) for wanted in ((), {"dd"}, {"a"})] == [[], [], []]

        await store.commit((ReplaceCredential(replace(two, fingerprints={}, version=2), expected=1),))
        await store.commit((DeleteCredential(WORKSPACE, apart.id, 1),))
        assert await store.with_same_secret(WORKSPACE, {"aa", "cc"}) == [one]
