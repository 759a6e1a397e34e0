"""The suite for stores holds a stranger's store to the port: a sound one passes, and each fault names its promise."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.plain_store import PlainStore

from keycairn.domain.audit import AuditEvent, Head
from keycairn.domain.change import AddUsage, Changeset, ReplaceCredential, only_counts
from keycairn.domain.credential import Credential
from keycairn.domain.errors import DuplicateError, StaleVersionError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.model import Model
from keycairn.domain.record import Record
from keycairn.ports.store import MOST, Finish, Store
from keycairn.testing import StoreConformance

ROOT = Path(__file__).parents[2]


class TestPlainStore(StoreConformance):
    def opened(self, folder: Path) -> AbstractAsyncContextManager[Store]:
        return opened(PlainStore)


@asynccontextmanager
async def opened(kind: type[PlainStore]) -> AsyncIterator[Store]:
    store = kind()
    yield store
    await store.aclose()


class Halfhearted(PlainStore):
    """Takes changes one by one, as far as they go."""

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        for change in changes:
            await super().commit((change,), finish)


class Agreeable(PlainStore):
    """Says nothing where an id is taken."""

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        try:
            await super().commit(changes, finish)
        except DuplicateError:
            return


class Careless(PlainStore):
    """Writes over what others wrote meanwhile."""

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        await super().commit(tuple(map(self._current, changes)), finish)

    def _current(self, change: Any) -> Any:
        if not isinstance(change, ReplaceCredential):
            return change
        found = self._one(Credential, lambda one: one.id == change.credential.id)
        return replace(change, expected=found.version) if found else change


class Patient(PlainStore):
    """Reads, waits, and writes: another writer may come in between."""

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        before = dict(self._open())
        await asyncio.sleep(0)
        self._records = before
        await super().commit(changes, finish)


class Boundless(PlainStore):
    """Gives as much as is asked for."""

    async def events(self, workspace: str, **asked: Any) -> Sequence[AuditEvent]:
        return self._all(AuditEvent, lambda one: one.workspace == workspace)[: asked.get("limit", MOST)]


class Repetitive(PlainStore):
    """Begins a page with the record the last one ended with."""

    async def models(self, workspace: str, *, after: ModelId | None = None, **asked: Any) -> Sequence[Model]:
        found = await super().models(workspace, **{**asked, "limit": None})
        return [one for one in found if after is None or one.id >= after][: asked.get("limit", MOST)]


class Indiscreet(PlainStore):
    """Gives a credential to whoever knows its id."""

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        return self._one(Credential, lambda one: one.id == id)


class Forgetful(PlainStore):
    """Loses what a credential has besides its columns."""

    async def credential(self, workspace: str, id: CredentialId) -> Credential | None:
        found = await super().credential(workspace, id)
        return replace(found, extra={}) if found else None


class Unchained(PlainStore):
    """Writes before `finish` has looked."""

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        await super().commit(changes)


class Still(PlainStore):
    """Does not say that something was committed."""

    async def revision(self) -> int:
        await super().revision()
        return 0


class Restless(PlainStore):
    """Says that something changed where a call was counted."""

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        await super().commit(changes, finish)
        self._revision += only_counts(changes) and any(isinstance(one, AddUsage) for one in changes)


class Generous(PlainStore):
    """Restores on top of what is there."""

    async def restore(self, records: Iterable[Record]) -> None:
        before = self._open()
        self._records = {}
        await super().restore(records)
        self._records = {**before, **self._open()}


class Eager(PlainStore):
    """Stores while it reads what is to be restored."""

    async def restore(self, records: Iterable[Record]) -> None:
        for record in records:
            await super().restore([record])
            self._records, kept = {}, self._open()
        self._records = kept


class Undying(PlainStore):
    """Goes on after it was closed."""

    async def aclose(self) -> None:
        return


class Unlocked(PlainStore):
    """Does not hold a changeset to the references it leaves."""

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        try:
            await super().commit(changes, finish)
        except StaleVersionError:
            return


class Amnesiac(PlainStore):
    """Does not know what it acknowledged."""

    async def acknowledged(self) -> Head | None:
        return None


class Blind(PlainStore):
    """Finds no other credential with the same key."""

    async def with_same_secret(self, workspace: str, fingerprints: Collection[str]) -> Sequence[Credential]:
        return []


class Miscounting(PlainStore):
    """Counts the models of all workspaces."""

    async def model_counts(
        self, workspace: str, credentials: Collection[CredentialId] | None = None
    ) -> Mapping[CredentialId, int]:
        found = [one.credential for one in self._all(Model) if one.credential is not None]
        return {id: found.count(id) for id in found}


FAULTY = [
    (Halfhearted, "one_failing_change_undoes_all"),
    (Agreeable, "an_id_is_taken_once"),
    (Careless, "replacing_a_credential_needs_its_version"),
    (Patient, "concurrent_writers_lose_no_update"),
    (Boundless, "no_page_is_larger_than_the_most"),
    (Repetitive, "pages_of_models_give_each_once_in_order"),
    (Indiscreet, "workspaces_are_apart"),
    (Forgetful, "credential_comes_back_exactly"),
    (Unchained, "what_finishes_a_commit_sees_it_whole_and_adds_to_it"),
    (Still, "every_commit_changes_the_revision"),
    (Restless, "counting_usage_leaves_the_revision_as_it_is"),
    (Generous, "a_store_that_holds_anything_is_left_as_it_is"),
    (Eager, "what_is_restored_is_all_there_in_the_same_order"),
    (Undying, "a_closed_store_says_so"),
    (Unlocked, "a_commit_that_would_leave_something_dangling_is_refused_whole"),
    (Amnesiac, "the_last_acknowledged_head_is_remembered_apart"),
    (Blind, "twins_share_a_fingerprint_and_a_workspace"),
    (Miscounting, "workspaces_are_apart"),
]


@pytest.mark.parametrize(("kind", "name"), FAULTY, ids=[f"{kind.__name__}-{name}" for kind, name in FAULTY])
def test_a_faulty_store_fails_and_is_told_which_promise_it_broke(
    kind: type[PlainStore], name: str, tmp_path: Path
) -> None:
    found = failures(kind, name, tmp_path)
    assert found
    assert all(f"promise of its port: {name.replace('_', ' ')}" in str(error) for error in found)


def test_a_suite_without_a_store_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="a method `opened`"):
        StoreConformance().test_no_event_no_head(tmp_path)


def failures(kind: type[PlainStore], name: str, folder: Path) -> list[Exception]:
    """What the suite's test of that name ends with, once for each of its parameters."""

    class Suite(StoreConformance):
        def opened(self, folder: Path) -> AbstractAsyncContextManager[Store]:
            return opened(kind)

    test = getattr(Suite(), f"test_{name}")
    marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
    found: list[Exception] = []
    for options in [{mark.args[0]: value} for mark in marks for value in mark.args[1]] or [{}]:
        try:
            partial(test, **options)(folder)
        except AssertionError as error:
            found.append(error)
    return found


def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/stores.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {"PostgresStore": Opening}
    exec(example.replace("from mine import PostgresStore\n", ""), names)  # noqa: S102  # the page's own
    names["TestPostgresStore"]().test_empty_store_answers_nothing(tmp_path)


class Opening(PlainStore):
    @classmethod
    async def open(cls, url: str) -> Store:
        return cls()
