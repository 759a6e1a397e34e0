"""Any life of a Keycairn, against a model of it: what was acknowledged is what is there, and nothing dangles."""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.fakes import FakeClock, FakeEnvironment
from tests.fuzzing import looking
from tests.house import EMBEDDING, LANGUAGE, FakeProvider, FakeRegistry, NoHttp, plain_spec

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.ids import UlidIds
from keycairn.adapters.memory import MemoryStore
from keycairn.adapters.surreal import open_surreal
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.app.services.models import NewModel
from keycairn.domain.audit import IN_PROCESS, Action
from keycairn.domain.change import Reseal
from keycairn.domain.errors import (
    CredentialNotFoundError,
    InvalidMigrationTargetError,
    PreconditionFailedError,
    SecretReentryRequiredError,
    UndecryptableError,
)
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.model import Slot
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.sealed import SealedSecret, kid_of
from keycairn.domain.secret import Secret
from keycairn.ports.store import Store

KEYS = st.sampled_from([f"sk-life-{number:020}" for number in range(4)])
PROVIDERS = st.sampled_from(["openai", "anthropic"])
MODELS = st.lists(
    st.tuples(st.sampled_from(["m1", "m2", "m3"]), st.sampled_from([LANGUAGE, EMBEDDING])), min_size=1, max_size=3
)
SOME = st.integers(0, 1 << 30)
"""Picks one of what is there."""
_Result = TypeVar("_Result")


def a_root_key(number: int) -> RootKey:
    return parse_root_key(Secret(f"base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZG{'AQgw'[number % 4]}8="))


class Known:
    """What the model knows of one credential."""

    def __init__(self, provider: str, key: str) -> None:
        self.provider = provider
        self.key = key
        self.version = 1
        self.opens = True
        self.models: set[tuple[str, str]] = set()


class Life(RuleBasedStateMachine):
    """On the memory store, which a restart leaves as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.root = 0
        self.known: dict[CredentialId, Known] = {}
        self.slots: dict[Slot, tuple[CredentialId, tuple[str, str]]] = {}
        self.events = 0
        self.store: Store = self.run(self.opened_store())
        self.start()
        self.events = self.counted()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return self.runner.run(work)

    async def opened_store(self) -> Store:
        return MemoryStore()

    async def restarted_store(self) -> Store:
        return self.store

    def start(self) -> None:
        self.kc = Keycairn(
            store=self.store,
            opener=AesGcmKeysets(),
            registry=FakeRegistry([FakeProvider(plain_spec("openai")), FakeProvider(plain_spec("anthropic"))]),
            http=NoHttp(),
            environment=FakeEnvironment(),
            clock=FakeClock(step=0.001),
            ids=UlidIds(),
        )
        assert self.run(self.kc.vault.unlock(a_root_key(self.root)))
        assert self.run(self.kc.audit.compare()) is None
        self.events += self.run(self.kc.root_keys.settle())

    def teardown(self) -> None:
        report = self.run(self.kc.audit.verify())
        assert (report.intact, report.events) == (True, self.events)
        self.run(self.store.aclose())
        self.runner.close()

    def counted(self) -> int:
        return self.run(self.kc.audit.verify()).events

    def pick(self, some: int) -> CredentialId:
        return sorted(self.known)[some % len(self.known)]

    # what people do

    @rule(provider=PROVIDERS, key=KEYS)
    def create(self, provider: str, key: str) -> None:
        twins = {id for id, known in self.known.items() if known.key == key}
        made = self.run(self.kc.credentials.create(provider, name="W", secrets={"api_key": Secret(key)}))
        assert {twin.id for twin in made.duplicates or ()} == twins
        self.known[made.credential.id] = Known(provider, key)
        self.events += 1

    @precondition(lambda self: self.known)
    @rule(some=SOME, name=st.sampled_from(["A", "B"]))
    def rename(self, some: int, name: str) -> None:
        id = self.pick(some)
        before = self.run(self.kc.credentials.get(id)).credential
        self.run(self.kc.credentials.update(id, CredentialPatch(name=name), if_match=before.version))
        if before.name != name:
            self.known[id].version += 1
            self.events += 1

    @precondition(lambda self: self.known)
    @rule(some=SOME, key=KEYS)
    def send_the_key_again(self, some: int, key: str) -> None:
        id = self.pick(some)
        known = self.known[id]
        self.run(self.kc.credentials.update(id, CredentialPatch(secrets={"api_key": Secret(key)})))
        known.key, known.opens, known.version = key, True, known.version + 1
        self.events += 1

    @precondition(lambda self: self.known)
    @rule(some=SOME)
    def move_the_host_without_the_key(self, some: int) -> None:
        patch = CredentialPatch(settings={"base_url": "https://elsewhere.example/v1"})
        with pytest.raises(SecretReentryRequiredError):
            self.run(self.kc.credentials.update(self.pick(some), patch))

    @precondition(lambda self: self.known)
    @rule(some=SOME, models=MODELS)
    def register(self, some: int, models: list[Any]) -> None:
        id = self.pick(some)
        wanted = {(name, str(type)) for name, type in models}
        made = self.run(self.kc.probing.register(id, [NewModel(name, type) for name, type in models]))
        fresh = wanted - self.known[id].models
        assert {(model.name, str(model.type)) for model in made.created} == fresh
        self.known[id].models |= fresh
        self.events += bool(fresh)

    @precondition(lambda self: any(known.models for known in self.known.values()))
    @rule(some=SOME, slot=st.sampled_from(Slot))
    def make_default(self, some: int, slot: Slot) -> None:
        models = sorted(
            (id, model) for id, known in self.known.items() for model in known.models if model[1] == str(slot.type)
        )
        if not models:
            return
        id, (name, type) = models[some % len(models)]
        (model,) = [
            found
            for found in self.run(self.kc.credentials.linked_models(id))
            if (found.name, found.type) == (name, type)
        ]
        before = self.run(self.kc.models.defaults())
        self.run(self.kc.models.set_defaults({slot: model.id}))
        self.events += before.slots.get(slot) != model.id
        self.slots[slot] = (id, (name, type))

    @precondition(lambda self: self.known)
    @rule(some=SOME)
    def delete_with_its_models(self, some: int) -> None:
        id = self.pick(some)
        planned = self.run(self.kc.credentials.delete(id, dry_run=True))
        done = self.run(self.kc.credentials.delete(id))
        assert (planned.deleted, planned.cleared) == (done.deleted, done.cleared)
        del self.known[id]
        self.slots = {slot: held for slot, held in self.slots.items() if held[0] != id}
        self.events += 1

    @precondition(lambda self: len(self.known) > 1)
    @rule(some=SOME, other=SOME)
    def delete_and_hand_over(self, some: int, other: int) -> None:
        id, to = self.pick(some), self.pick(other)
        if id == to or self.known[id].provider != self.known[to].provider:
            with pytest.raises(InvalidMigrationTargetError):
                self.run(self.kc.credentials.delete(id, migrate_to=to))
            return
        self.run(self.kc.credentials.delete(id, migrate_to=to))
        self.known[to].models |= self.known.pop(id).models
        self.slots = {slot: (to if held[0] == id else held[0], held[1]) for slot, held in self.slots.items()}
        self.events += 1

    @precondition(lambda self: self.known)
    @rule(some=SOME)
    def be_too_late(self, some: int) -> None:
        id = self.pick(some)
        with pytest.raises(PreconditionFailedError):
            self.run(self.kc.credentials.delete(id, if_match=self.known[id].version + 1))
        with pytest.raises(CredentialNotFoundError):
            self.run(self.kc.credentials.delete(CredentialId("credential:GONE")))

    # what keepers do

    @rule()
    def rotate_the_data_key(self) -> None:
        self.run(self.kc.rotation.rotate())
        self.events = self.counted()

    @rule()
    def rotate_the_root_key(self) -> None:
        present, self.root = a_root_key(self.root), self.root + 1
        self.run(self.kc.root_keys.change(a_root_key(self.root), present=present))
        self.events = self.counted()

    @rule()
    def restart(self) -> None:
        self.store = self.run(self.restarted_store())
        self.start()

    @rule()
    def try_every_secret(self) -> None:
        broken = self.run(self.kc.credential_opener.sweep("default"))
        assert broken == sum(not known.opens for known in self.known.values())
        self.events = self.counted()

    # what befalls them

    @precondition(lambda self: self.known)
    @rule(some=SOME, place=SOME)
    def flip_a_byte(self, some: int, place: int) -> None:
        id = self.pick(some)
        if not self.known[id].opens:
            return  # the same byte could be flipped back
        record = self.run(self.kc.credentials.get(id)).credential
        text = record.sealed["api_key"]
        at = 4 + place % (len(text) - 4)
        flipped = SealedSecret(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :])
        if kid_of(flipped) not in {None, kid_of(text)}:
            return  # no commit seals with a key that is not there
        event = self.kc.journal.event(IN_PROCESS, Action.SECRETS_RESEALED, "keyset")
        self.run(self.kc.journal.commit((Reseal("default", id, {"api_key": flipped}, record.version), event)))
        self.events += 1
        self.known[id].opens = False

    # what always holds

    @invariant()
    def the_list_is_what_was_acknowledged(self) -> None:
        listed = self.run(self.kc.credentials.list())
        assert {item.credential.id: (item.credential.version, item.model_count) for item in listed} == {
            id: (known.version, len(known.models)) for id, known in self.known.items()
        }

    @invariant()
    def no_model_and_no_default_dangles(self) -> None:
        models = {model.id: model for model in self.run(self.kc.models.list(limit=None))}
        assert sorted((model.credential, model.name, str(model.type)) for model in models.values()) == sorted(
            (id, *model) for id, known in self.known.items() for model in known.models
        )
        slots: dict[Slot, ModelId] = dict(self.run(self.kc.models.defaults()).slots)
        shown = {slot: (models[id].credential, (models[id].name, str(models[id].type))) for slot, id in slots.items()}
        assert shown == self.slots

    @invariant()
    def every_secret_opens_to_what_was_sent_last_or_says_that_it_does_not(self) -> None:
        for id, known in self.known.items():
            record = self.run(self.kc.credentials.get(id)).credential
            if known.opens:
                assert self.run(self.kc.credential_opener.open(record)).secrets["api_key"].reveal() == known.key
            else:
                was = bool(record.broken)
                with pytest.raises(UndecryptableError):
                    self.run(self.kc.credential_opener.open(record))
                self.events += not was

    @invariant()
    def every_change_is_one_event(self) -> None:
        assert self.counted() == self.events


class EmbeddedLife(Life):
    """On the embedded engine; a restart closes it and reads its files again."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        super().__init__()

    async def opened_store(self) -> Store:
        return await open_surreal(f"surrealkv://{self.folder}/db")

    async def restarted_store(self) -> Store:
        await self.store.aclose()
        return await self.opened_store()

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


@pytest.mark.night
def test_any_life() -> None:
    run_state_machine_as_test(Life, settings=looking(50, stateful_step_count=25))


@pytest.mark.night
def test_any_life_on_the_embedded_engine() -> None:
    run_state_machine_as_test(EmbeddedLife, settings=looking(6, stateful_step_count=25))
