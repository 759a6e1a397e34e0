"""A whole rotation at every built-in provider that makes keys, against a server that speaks its API."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import pytest
from tests.contract.key_cases import CASES
from tests.fakes import FakeClock, FakeEnvironment, FakeIds
from tests.house import ROOT_KEY, FakeKeysets
from tests.nights import by_day

from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.errors import AccountClosedError
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_management import KeyCreation
from keycairn.domain.key_rotation.record import KeyRotation, Policy, RotationOutcome, rotation_id
from keycairn.domain.secret import Secret
from keycairn.plugins.registry import PluginRegistry
from keycairn.testing import Answer, KeyCase, KeyServer, Recorded, ServedKey, as_json
from keycairn.testing.recording_http import RecordingHttp
from keycairn.testing.staging import plain_headers

MAKING = [name for name, case in CASES.items() if case.management.makes]


class Place:
    """A Keycairn with one credential, whose key is rotated at `server`."""

    def __init__(self, case: KeyCase, server: KeyServer, http: GuardedHttp) -> None:
        self.case = case
        self.server = server
        self.http = RecordingHttp(http)
        self.clock = FakeClock(step=0.001)
        self.keycairn = Keycairn(
            store=MemoryStore(),
            opener=FakeKeysets(),
            registry=PluginRegistry(external=False),
            http=self.http,
            environment=FakeEnvironment(),
            clock=self.clock,
            ids=FakeIds(),
        )
        self.id = CredentialId("")

    async def set_up(self, *, managed_at: str = "") -> None:
        """Store the account, and what manages its keys, which is at another host where `managed_at` says so."""
        await self.keycairn.vault.unlock(ROOT_KEY)
        spec, given = self.case.provider.spec, self.case.settings(self.server.url)
        managing = self.case.settings(managed_at or self.server.url)
        made = await self.keycairn.credentials.create(
            spec.name,
            name="main",
            settings={name: value for name, value in given.items() if spec.field(name)},
            secrets={name: Secret(text) for name, text in self.case.secrets.items()},
        )
        self.id = made.credential.id
        await self.keycairn.key_rotations.set_up(
            self.id,
            policy=Policy(),
            settings={name: value for name, value in managing.items() if spec.field(name) is None},
            secrets={
                **{name: Secret(text) for name, text in self.case.admins.items()},
                **{name: Secret(text) for name, text in self.case.secrets.items() if managed_at},
            },
        )

    async def rotated(self) -> KeyRotation:
        """The rotation when it has ended, or waits for a person."""
        await self.keycairn.key_rotations.rotate(self.id)
        return await self.ended()

    async def ended(self) -> KeyRotation:
        """As `rotated`, of one that has begun."""
        for _ in range(100):
            found = await self.keycairn.store.key_rotation(rotation_id(self.id))
            assert found is not None
            if found.run is not None and found.run.held and not self.case.management.revokes:
                await self._revoked_by_hand(found.run.held)
                continue
            if found.run is None or found.run.held:
                return found
            self.clock.tick(max(0.0, (found.run.due - self.clock.time).total_seconds()))
            await self.keycairn.key_rotations.work()
        raise AssertionError("the rotation does not end")

    async def _revoked_by_hand(self, asked: str) -> None:
        """A person revokes the keys that are asked for."""
        server = self.server
        named = [id for id, key in server.keys.items() if f"({id})" in asked or (key.tag and f" {key.tag}" in asked)]
        assert named, asked
        for id in named:
            del server.keys[id]
        await self.keycairn.key_rotations.resume(self.id)

    async def key(self) -> set[str]:
        """The secrets of the credential."""
        credential = await self.keycairn.store.credential("default", self.id)
        assert credential is not None
        account = await self.keycairn.credential_opener.open(credential)
        return {secret.reveal() for secret in account.secrets.values()}


@asynccontextmanager
async def a_place(name: str) -> AsyncIterator[Place]:
    case = CASES[name]
    async with case.server() as server:
        http = GuardedHttp(EgressPolicy())
        try:
            place = Place(case, server, http)
            await place.set_up()
            yield place
        finally:
            await http.aclose()


async def ended_well(place: Place, ended: KeyRotation) -> None:
    """See that one living key is left, which is ours, and that the former one is none of them."""
    assert ended.run is None, ended.run
    assert ended.last is not None
    assert ended.last.outcome is RotationOutcome.DONE, ended.last
    assert await place.key() & set(place.server.living)
    assert not set(place.case.secrets.values()) & set(place.server.living)
    assert len(place.server.living) == (2 if place.case.fixed else 1)


@pytest.mark.parametrize("name", MAKING)
async def test_a_rotation_leaves_one_living_key_and_it_is_ours(name: str) -> None:
    async with a_place(name) as place:
        await ended_well(place, await place.rotated())
        if not place.case.fixed:
            assert place.server.most == 2
        admins = set(place.case.admins.values())
        for sent in place.http.sent:  # what manages keys never goes along with anything else
            carried = {one for one in admins if any(one in text for text in plain_headers(sent).values())}
            assert not carried or place.server.manages(_as_recorded(sent.url, place.server.origin))


def _as_recorded(url: str, origin: str) -> Recorded:
    return Recorded("GET", url.removeprefix(origin), {}, b"")


@pytest.mark.parametrize("name", by_day(MAKING, one_in=4))
@pytest.mark.parametrize("redirects", [False, True])
async def test_what_manages_keys_is_seen_at_its_own_host_only(name: str, *, redirects: bool) -> None:
    case = CASES[name]
    async with case.server() as managing, case.server() as using, case.server() as stranger:
        http = GuardedHttp(EgressPolicy())
        try:
            using.keys = managing.keys
            place = Place(case, using, http)
            await place.set_up(managed_at=managing.url)
            if redirects:
                managing.manage = partial(_sent_away, managing.manage, stranger.origin)  # type: ignore[method-assign]
            ended = await place.rotated()
        finally:
            await http.aclose()
    assert ended.last is not None
    assert ended.last.outcome is (RotationOutcome.FAILED if redirects else RotationOutcome.DONE)
    assert not stranger.requests
    assert managing.requests
    seen = repr([(one.target, one.headers, one.body) for one in using.requests])
    assert not [secret for secret in case.admins.values() if secret in seen or secret[:40] in seen]
    assert not [one for one in using.requests if using.manages(one)]


def _sent_away(manage: Callable[[Recorded], Answer], origin: str, recorded: Recorded) -> Answer:
    """An answer that sends whoever asks for a key to another host, with all it carries."""
    if recorded.method == "GET":
        return manage(recorded)
    return Answer(307, b"", headers={"Location": origin + recorded.target})


@pytest.mark.parametrize("name", by_day(MAKING, one_in=3))
async def test_a_key_whose_answer_was_lost_is_found_and_revoked(name: str) -> None:
    async with a_place(name) as place:
        lost = _Losing(place.server)
        await ended_well(place, await place.rotated())
        assert lost.times == 1


@pytest.mark.parametrize("fault", [429, 500, "html"])
async def test_a_provider_that_fails_for_a_while_is_asked_again(fault: int | str) -> None:
    async with a_place("openrouter") as place:
        place.server.faults = [fault, None, fault, None, fault, fault]
        await ended_well(place, await place.rotated())


@pytest.mark.parametrize("name", by_day(MAKING, one_in=5))
async def test_a_key_that_works_after_thirty_seconds_only_is_waited_for(name: str) -> None:
    async with a_place(name) as place:
        server, began, may_use = place.server, place.clock.time, place.server.may_use
        first = set(server.living)

        def slow(recorded: Recorded) -> bool:
            late = place.clock.time >= began + timedelta(seconds=30)
            keys = server.keys
            server.keys = keys if late else {id: key for id, key in keys.items() if key.secret in first}
            try:
                return may_use(recorded)
            finally:
                server.keys = keys

        server.may_use = slow  # type: ignore[method-assign]
        await ended_well(place, await place.rotated())
        assert place.clock.time > began + timedelta(seconds=30)


@pytest.mark.parametrize("name", by_day([one for one in MAKING if CASES[one].management.revokes], one_in=5))
@pytest.mark.parametrize("lies", [False, True], ids=["it fails", "it says so and does not"])
async def test_a_revocation_that_does_nothing_is_asked_for_again(name: str, *, lies: bool) -> None:
    async with a_place(name) as place:
        idle = _Idle(place.server, lies=lies)
        await ended_well(place, await place.rotated())
        assert idle.times == 3


class _Idle:
    """Has a server revoke nothing, three times."""

    def __init__(self, server: KeyServer, *, lies: bool) -> None:
        self.times = 0
        self._server = server
        self._manage = server.manage
        self._lies = lies
        self._own = server.living[0]
        server.manage = self._answer  # type: ignore[method-assign]

    def _answer(self, recorded: Recorded) -> Answer:
        before = {id: ServedKey(key.secret, key.tag) for id, key in self._server.keys.items()}
        answer = self._manage(recorded)
        was_there = self._own in {key.secret for key in before.values()}
        if was_there and self._own not in self._server.living and self.times < 3:
            self.times += 1
            self._server.keys.clear()
            self._server.keys.update(before)
            return answer if self._lies else as_json(self._server.error(500), 500)
        return answer


async def test_a_refusal_ends_it_with_the_former_key_in_use() -> None:
    async with a_place("openrouter") as place:
        place.server.fault = 403
        ended = await place.rotated()
        assert ended.last is not None
        assert ended.last.outcome is RotationOutcome.FAILED
        assert await place.key() == set(place.case.secrets.values())


class _Losing:
    """Has a server make a key, once, and answer that it failed."""

    def __init__(self, server: KeyServer) -> None:
        self.times = 0
        self._server = server
        self._manage = server.manage
        server.manage = self._answer  # type: ignore[method-assign]

    def _answer(self, recorded: Recorded) -> Answer:
        before = [key.secret for key in self._server.keys.values()]
        answer = self._manage(recorded)
        if not self.times and [key.secret for key in self._server.keys.values()] != before:
            self.times += 1
            return as_json(self._server.error(500), 500)
        return answer


async def test_of_a_person_who_makes_the_keys_the_page_is_told() -> None:
    async with a_place("anthropic") as place:
        waiting = await place.rotated()
        assert waiting.run is not None
        assert "https://console.anthropic.com/settings/keys" in waiting.run.held
        assert waiting.run.old_id == place.server.own
        assert CASES["anthropic"].management.creation is KeyCreation.BY_PERSON


async def test_a_leaked_token_is_revoked_by_whoever_holds_it_and_a_person_makes_the_next() -> None:
    async with a_place("huggingface") as place:
        await place.keycairn.key_rotations.leaked(place.id)
        await place.keycairn.key_rotations.work()
        assert place.server.living == []
        with pytest.raises(AccountClosedError):
            await place.key()
        place.server.new_key("by hand", secret="hf_made_by_hand_canary_0123")
        patch = CredentialPatch(secrets={"api_key": Secret("hf_made_by_hand_canary_0123")})
        await place.keycairn.credentials.update(place.id, patch)
        assert await place.key() == set(place.server.living)
        await ended_well(place, await place.ended())
