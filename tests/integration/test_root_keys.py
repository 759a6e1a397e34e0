"""The root key changes for whoever has the present one, and for nobody else."""

import asyncio
import contextlib
import itertools
from base64 import b64encode
from hashlib import sha256

import msgspec
import pytest
from tests.fakes import FakeClock, FakeEnvironment
from tests.house import FakeProvider, FakeRegistry, NoHttp, plain_spec

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.ids import UlidIds
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.keys.root_key_proofs import MOST_WAITING, WRONG_PER_ADDRESS, WRONG_PER_MINUTE
from keycairn.domain.audit import Caller
from keycairn.domain.change import Changeset, PutKeyset
from keycairn.domain.errors import (
    ConflictError,
    InvalidInputError,
    KeycairnError,
    SealedError,
    StoreUnavailableError,
    TooManyProofsError,
    WrongRootKeyError,
    WrongRootKeyProofError,
)
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.secret import Secret
from keycairn.ports.store import Finish

OPENER = AesGcmKeysets()


def a_root_key(name: str) -> RootKey:
    return parse_root_key(Secret("base64:" + b64encode(sha256(name.encode()).digest()).decode()))


A, B, C, THIEF = (a_root_key(name) for name in ("a", "b", "c", "thief"))
WORDS = parse_root_key(Secret("passphrase:lantern orbit velvet crumbs"))


class Dying(MemoryStore):
    """Stops answering for good after so many commits, as a killed process does."""

    commits_left = 10_000

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        if self.commits_left <= 0:
            raise StoreUnavailableError
        self.commits_left -= 1
        await super().commit(changes, finish)


class Place:
    """One database, and the processes that are started on it one after the other."""

    def __init__(self) -> None:
        self.store = Dying()
        self.clock = FakeClock(step=0.001)
        self.kc: Keycairn

    async def start(self, root_key: RootKey) -> bool:
        """As every start does: open, and drop former slots where the youngest was proven."""
        self.kc = Keycairn(
            store=self.store,
            opener=OPENER,
            registry=FakeRegistry([FakeProvider(plain_spec("openai"))]),
            http=NoHttp(),
            environment=FakeEnvironment(),
            clock=self.clock,
            ids=UlidIds(),
        )
        if not await self.kc.vault.unlock(root_key):
            return False
        with contextlib.suppress(StoreUnavailableError):
            await self.kc.root_keys.settle()
        return True

    async def opening(self) -> set[str]:
        """Which of the keys open what is stored."""
        record = await self.store.keyset()
        assert record is not None
        found = set()
        for name, key in (("A", A), ("B", B), ("C", C), ("thief", THIEF)):
            with contextlib.suppress(WrongRootKeyError):
                OPENER.open(record, key)
                found.add(name)
        return found

    async def actions(self) -> list[str]:
        return [event.action for event in await self.kc.audit.events() if event.action.startswith("root_key")]


@pytest.fixture
async def place() -> Place:
    place = Place()
    assert await place.start(A)
    await place.kc.credentials.create("openai", name="W", secrets={"api_key": Secret("sk-1")})
    return place


async def key_of(place: Place) -> str:
    [listed] = await place.kc.credentials.list()
    return (await place.kc.credential_opener.open(listed.credential)).secrets["api_key"].reveal()


@pytest.mark.parametrize("claimed", [B, THIEF, WORDS, None], ids=["the new one", "another", "words", "no root key"])
@pytest.mark.parametrize("now", [False, True])
async def test_without_the_present_root_key_nothing_changes(place: Place, claimed: RootKey | None, now: object) -> None:
    before = await place.store.keyset()
    with pytest.raises(WrongRootKeyProofError):
        await place.kc.root_keys.change(
            B, present=claimed, now=bool(now), by=Caller(actor="token:x", source="10.0.0.1")
        )
    assert await place.store.keyset() == before
    [event] = [event for event in await place.kc.audit.events() if event.action == "root_key.refused"]
    assert (event.actor, event.source, event.outcome) == ("token:x", "10.0.0.1", "wrong_root_key_proof")
    written = msgspec.json.encode(await place.kc.audit.events()).decode()
    assert not [key for key in (A, B, THIEF) if key.material.reveal() in written]


async def test_the_former_key_opens_until_a_start_with_the_new_one_has_proven_it(place: Place) -> None:
    status = await place.kc.root_keys.change(B, present=A)
    assert (status.slots, status.opened_with, status.former) == (("slot-1", "slot-2"), "slot-1", ("slot-1",))
    assert "former root key" in status.former_because
    assert await place.opening() == {"A", "B"}
    assert "root_key_former" in {finding.code for finding in await place.kc.checkup.report()}

    assert await place.start(A), "the new one was lost before its first start"
    assert await place.opening() == {"A", "B"}, "the new one stays, it may turn up"

    assert await place.start(B)
    assert await place.opening() == {"B"}
    status = await place.kc.rotation.status()
    assert (status.slots, status.former, status.former_because) == (("slot-2",), (), "")
    assert await place.actions() == ["root_key.added", "root_key.dropped"]
    assert await key_of(place) == "sk-1"
    assert "root_key_former" not in {finding.code for finding in await place.kc.checkup.report()}
    assert not await place.start(A)


async def test_an_old_copy_of_the_record_opens_nothing_of_later_generations(place: Place) -> None:
    await place.kc.root_keys.change(B, present=A)
    copy = await place.store.keyset()
    assert copy is not None
    await place.start(B)
    later = await place.store.keyset()
    assert later is not None
    revived = msgspec.structs.replace(later, slots=(copy.slots[0], *later.slots))
    for record in (revived, msgspec.structs.replace(later, slots=copy.slots)):
        with pytest.raises(WrongRootKeyError):
            OPENER.open(record, A)


async def test_after_a_leak_the_former_key_goes_at_once(place: Place) -> None:
    status = await place.kc.root_keys.change(B, present=A, now=True)
    assert (status.slots, status.former) == (("slot-2",), ())
    assert await place.opening() == {"B"}
    assert await key_of(place) == "sk-1"


async def test_former_keys_can_be_dropped_later_without_a_start(place: Place) -> None:
    await place.kc.root_keys.change(B, present=A)
    with pytest.raises(WrongRootKeyProofError):
        await place.kc.root_keys.change(B, present=THIEF, now=True)
    assert (await place.kc.root_keys.change(B, present=B, now=True)).former == ()
    assert await place.opening() == {"B"}


async def test_two_changes_in_a_row_keep_what_was_proven(place: Place) -> None:
    await place.kc.root_keys.change(B, present=A)
    await place.kc.root_keys.change(C, present=B)
    assert await place.opening() == {"A", "B", "C"}, "A opened this process, B was proven by this change"
    await place.start(C)
    assert await place.opening() == {"C"}


async def test_any_number_of_changes_in_a_row_needs_few_slots(place: Place) -> None:
    present = A
    for number in range(20):
        new = a_root_key(f"number {number}")
        status = await place.kc.root_keys.change(new, present=present)
        assert len(status.slots) <= 3
        present = new
    assert await place.start(present)
    assert len((await place.kc.rotation.status()).slots) == 1
    assert await key_of(place) == "sk-1"


async def test_a_change_can_be_taken_back_before_the_start(place: Place) -> None:
    await place.kc.root_keys.change(B, present=A)
    await place.kc.root_keys.change(A, present=B)
    assert await place.start(A)
    assert await place.opening() == {"A"}


async def test_asking_again_changes_nothing_and_the_present_key_is_no_new_one(place: Place) -> None:
    with pytest.raises(InvalidInputError):
        await place.kc.root_keys.change(A, present=A)
    await place.kc.root_keys.change(B, present=A)
    before = await place.store.keyset()
    await place.kc.root_keys.change(B, present=A)
    assert await place.store.keyset() == before


async def test_dropping_the_others_is_for_the_newest_key_alone(place: Place) -> None:
    """A leaked former key, still set where the command runs, must not become the only one by it."""
    await place.kc.root_keys.change(B, present=A)
    with pytest.raises(InvalidInputError, match="former"):
        await place.kc.root_keys.change(A, present=A, now=True)
    assert await place.opening() == {"A", "B"}
    for _ in range(2):
        assert (await place.kc.root_keys.change(B, present=B, now=True)).slots == ("slot-2",)


@pytest.mark.parametrize("now", [False, True])
@pytest.mark.parametrize("commits", range(6))
async def test_killed_at_any_commit_one_of_the_two_keys_opens_and_the_next_start_tidies_up(
    place: Place, commits: int, now: object
) -> None:
    await place.kc.root_keys.change(C, present=A)
    place.store.commits_left = commits
    with contextlib.suppress(StoreUnavailableError):
        await place.kc.root_keys.change(B, present=A, now=bool(now))
    place.store.commits_left = 10_000
    opening = await place.opening()
    assert opening & {"A", "B"}
    present = B if "B" in opening else A
    assert await place.start(present)
    assert await key_of(place) == "sk-1"
    assert await place.opening() == ({"B"} if present == B else {"A", "C"})


@pytest.mark.parametrize("commits", range(4))
async def test_a_start_killed_while_it_drops_former_slots_is_finished_by_the_next(place: Place, commits: int) -> None:
    await place.kc.root_keys.change(B, present=A)
    await place.kc.root_keys.change(C, present=B)
    place.store.commits_left = commits
    assert await place.start(C)
    place.store.commits_left = 10_000
    assert await place.start(C)
    assert await place.opening() == {"C"}
    assert await key_of(place) == "sk-1"


async def test_a_record_put_into_the_database_proves_nothing(place: Place) -> None:
    """Whoever writes to the database puts a keyset of his own there, of the right generation, and proves that."""
    own = OPENER.open(OPENER.create(THIEF, place.clock.now()), THIEF)
    real = await place.store.keyset()
    assert real is not None
    forged = msgspec.structs.replace(own.record, generation=real.generation + 1)
    await place.store.commit((PutKeyset(forged, expected=real.generation),))
    with pytest.raises(WrongRootKeyProofError):
        await place.kc.root_keys.change(THIEF, present=THIEF)
    with pytest.raises((ConflictError, SealedError)):
        await place.kc.root_keys.change(B, present=A)


async def test_a_sealed_vault_takes_no_proof(place: Place) -> None:
    assert not await place.start(THIEF)
    with pytest.raises(SealedError):
        await place.kc.root_keys.change(B, present=A)


async def wrong(place: Place, address: str) -> KeycairnError:
    with pytest.raises(KeycairnError) as refusal:
        await place.kc.root_keys.change(B, present=THIEF, by=Caller(actor="token:x", source=address))
    return refusal.value


async def test_wrong_proofs_of_one_address_are_limited(place: Place) -> None:
    for _ in range(WRONG_PER_ADDRESS):
        assert isinstance(await wrong(place, "10.0.0.1"), WrongRootKeyProofError)
    refusal = await wrong(place, "10.0.0.1")
    assert isinstance(refusal, TooManyProofsError)
    assert 50 <= refusal.retry_after <= 60
    assert isinstance(await wrong(place, "10.0.0.2"), WrongRootKeyProofError)


async def test_the_addresses_of_one_network_are_one_address(place: Place) -> None:
    refusals = [await wrong(place, f"2001:db8::{number:x}") for number in range(1, WRONG_PER_ADDRESS + 2)]
    assert isinstance(refusals[-1], TooManyProofsError)


async def test_wrong_proofs_of_many_addresses_are_limited_together(place: Place) -> None:
    refusals = [await wrong(place, f"10.0.0.{number}") for number in range(3 * WRONG_PER_MINUTE)]
    looked_at = [refusal for refusal in refusals if isinstance(refusal, WrongRootKeyProofError)]
    assert len(looked_at) == WRONG_PER_MINUTE
    assert all(isinstance(refusal, TooManyProofsError) for refusal in refusals[WRONG_PER_MINUTE:])
    with pytest.raises(TooManyProofsError):  # the right one has to wait too: it cannot be told from a guess
        await place.kc.root_keys.change(B, present=A)
    place.clock.tick(61)
    await place.kc.root_keys.change(B, present=A)


async def test_many_at_once_are_no_way_round_the_limit_and_few_are_tried_at_one_time(place: Place) -> None:
    many = [wrong(place, f"10.0.1.{number}") for number in range(50)]
    refusals = await asyncio.gather(*many)
    assert sum(isinstance(refusal, WrongRootKeyProofError) for refusal in refusals) <= MOST_WAITING
    assert {refusal.retry_after for refusal in refusals if isinstance(refusal, TooManyProofsError)} == {1}


async def test_right_proofs_are_not_counted(place: Place) -> None:
    keys = [A, B] * WRONG_PER_MINUTE
    for present, new in itertools.pairwise(keys):
        await place.kc.root_keys.change(new, present=present)
