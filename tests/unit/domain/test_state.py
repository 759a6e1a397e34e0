"""The indexes of a state answer as going through all its records would, whatever was absorbed."""

import random
from collections import Counter

import pytest
from msgspec.structs import replace
from tests.samples import THEN, a_credential, a_model

from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId, key_of
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.ordered import MANY
from keycairn.domain.record import Record
from keycairn.domain.state import Key, State, key_for

PLACES, PROVIDERS, TYPES = ("default", "b"), ("groq", "openai"), (Modality.LANGUAGE, Modality.EMBEDDING)
NAMES = ("one", "two", "three")
IDS = [CredentialId(f"credential:C{number}") for number in range(5)]


def a_record(chance: random.Random) -> Record:
    place, provider = chance.choice(PLACES), chance.choice(PROVIDERS)
    if chance.random() < 0.2:
        return a_credential(id=chance.choice(IDS), workspace=place, provider=provider, created=THEN)
    return a_model(
        id=f"model:M{chance.randrange(40):03}",
        workspace=place,
        provider=provider,
        type=chance.choice(TYPES),
        name=chance.choice(NAMES) + str(chance.randrange(20)),
        credential=chance.choice([None, *IDS]),
    )


def agrees(state: State) -> None:
    """Everything it answers is what its records say."""
    models = sorted((one for one in state.all(Model)), key=lambda one: one.id)
    credentials = sorted(state.all(Credential), key=lambda one: (one.provider, one.created, one.id))
    for place in PLACES:
        for provider in (None, *PROVIDERS):
            for type in (None, *TYPES):
                wanted = [
                    one
                    for one in models
                    if one.workspace == place and provider in {None, one.provider} and type in {None, one.type}
                ]
                assert state.models(place, provider=provider, type=type) == wanted
                if provider is not None and type is None:
                    assert state.unlinked(place, provider) == [one for one in wanted if one.credential is None]
                for cut in range(0, len(wanted), 7):
                    assert (
                        state.models(place, provider=provider, type=type, after=wanted[cut].id, limit=3)
                        == wanted[cut + 1 : cut + 4]
                    )
            here = [one for one in credentials if one.workspace == place and provider in {None, one.provider}]
            assert list(state.places(place, provider=provider, after=None)) == [one.id for one in here]
        linked = Counter(one.credential for one in models if one.workspace == place and one.credential is not None)
        assert state.link_counts(place, None) == linked
        assert state.link_counts(place, IDS[:2]) == {id: linked[id] for id in IDS[:2] if linked[id]}
        assert state.providers(place) == {one.provider for one in credentials if one.workspace == place}
        for one in models:
            assert one.id in state.named(one.workspace, one.name)
    for id in IDS:
        assert state.linked(id) == [one.id for one in models if one.credential == id]
    assert [one.id for one in state.sorted("model")] == [one.id for one in models]  # type: ignore[union-attr]
    assert [key_of(one.id) for one in state.sorted("credential")] == sorted(key_of(one.id) for one in credentials)  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(8))
def test_any_changesets_leave_indexes_that_agree_with_the_records(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # a test's dice
    state = State()
    for _ in range(40):
        images: dict[Key, Record | None] = {}
        for _ in range(chance.randrange(1, 12)):
            record = a_record(chance)
            images[key_for(record)] = record if chance.random() < 0.7 else None
        state.absorb(images)
        agrees(state)


@pytest.mark.parametrize("seed", range(3))
def test_many_records_are_absorbed_in_turns_and_seen_at_once(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # a test's dice
    state, other = State(), State()
    for _ in range(12):
        records = [a_record(chance) for _ in range(chance.randrange(1, 40))]
        images = {key_for(record): record if chance.random() < 0.6 else None for record in records}
        before = other.records()
        for _ in state.absorbing(images, at_once=7):
            assert state.records() == before
            agrees(state)
        other.absorb(images)
        assert state.records() == other.records()
        agrees(state)


@pytest.mark.parametrize("count", [MANY - 1, MANY, MANY + 1, 3 * MANY])
def test_many_models_that_go_at_once_leave_the_others(count: int) -> None:
    state = State()
    models = [a_model(credential=IDS[number % 2], name=f"n{number}") for number in range(4 * MANY)]
    state.absorb({key_for(model): model for model in models})
    moved = replace(models[-1], credential=IDS[3], version=2)
    gone: dict[Key, Record | None] = {key_for(model): None for model in models[:count]}
    state.absorb({**gone, key_for(moved): moved, key_for(models[0]): models[0], ("model", "never"): None})
    agrees(state)
    assert len(state.models("default")) == len(models) - count + 1
    assert state.linked(IDS[3]) == [moved.id]
