"""Interleavings: clients do different things to the same few accounts at once, in an order that a seed decides.

Before each call of the store a client lets others go first, for a while that the seed decides. What comes of it must be
what comes of the same changes one after the other, in some order: that is worked out by a model that knows only what
was asked for and how it ended.
"""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from copy import deepcopy
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

from tests.fakes import FakeClock, FakeEnvironment
from tests.house import FakeProvider, FakeRegistry, NoHttp, plain_spec
from tests.torture import moments
from tests.torture.kills import BrokenPromiseError
from tests.torture.victim import root_key

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.ids import UlidIds
from keycairn.adapters.surreal import open_surreal
from keycairn.app import CredentialPatch, Keycairn, Modality, NewModel, Secret, Slot
from keycairn.domain.errors import (
    ConflictError,
    CredentialNotFoundError,
    InvalidDefaultError,
    InvalidMigrationTargetError,
    KeycairnError,
)
from keycairn.domain.ids import CredentialId, ModelId

Op = tuple[Any, ...]
MODELS = ("m1", "m2", "m3")
REFUSALS = {CredentialNotFoundError: "gone", InvalidMigrationTargetError: "no target", InvalidDefaultError: "no model"}
RESTART_EVERY = 250
"""Interleavings between two restarts."""


class Model:
    """The accounts (name, key, and the id of each model by its name), and the model that is the chat default."""

    def __init__(self) -> None:
        self.accounts: dict[str, tuple[str, str, dict[str, ModelId]]] = {}
        self.chat: ModelId | None = None

    def shown(self) -> tuple[Any, ...]:
        return sorted((account, *each) for account, each in self.accounts.items()), self.chat

    def apply(self, op: Op, ended: str, told: Any) -> bool:  # noqa: C901  # a case for each change
        """Make the change; whether it may end so here. `told` is the id of the model that the client was told of."""
        match op:
            case ("create", account, key):
                self.accounts[account] = (account, key, {})
            case ("rename" | "rekey" | "register" | "delete" | "move", account, *_) if account not in self.accounts:
                return ended == "gone"
            case ("rename", account, name):
                _, key, models = self.accounts[account]
                self.accounts[account] = (name, key, models)
            case ("rekey", account, key):
                name, _, models = self.accounts[account]
                self.accounts[account] = (name, key, models)
            case ("register", account, model):
                models = self.accounts[account][2]
                if (told is None) != (model in models):
                    return False
                models.setdefault(model, told)
            case ("delete", account):
                _, _, models = self.accounts.pop(account)
                if self.chat in models.values():
                    self.chat = None
            case ("move", account, target):
                return self._move(account, target, ended)
            case ("chat", account, model):
                return self._chat(account, model, ended, told)
            case ("assign",):
                return self._assign(told)
        return ended == "done"

    def _all(self) -> set[ModelId]:
        return {id for _, _, models in self.accounts.values() for id in models.values()}

    def _move(self, account: str, target: str, ended: str) -> bool:
        if target not in self.accounts:
            return ended == "no target"
        _, _, moved = self.accounts.pop(account)
        owned = self.accounts[target][2]
        for model, id in moved.items():
            owned.setdefault(model, id)
            if self.chat == id:
                self.chat = owned[model]
        return ended == "done"

    def _chat(self, account: str, model: str, ended: str, told: ModelId | None) -> bool:
        if told is None:
            return ended == "no model" and (account not in self.accounts or model not in self.accounts[account][2])
        if told not in self._all():
            return ended == "no model"
        self.chat = told
        return ended == "done"

    def _assign(self, told: ModelId | None) -> bool:
        """It fills an empty slot with some model that is there; a slot that holds one stays."""
        if told is None:
            return self.chat is not None or not self._all()
        if self.chat is not None or told not in self._all():
            return False
        self.chat = told
        return True


class Schedules:
    """Plays interleavings, from number `first` on."""

    name = "edit, delete, migrate_to, register, auto-assign, rotate, compact"
    promise = "what comes of it is what the same changes bring one after the other; secrets open, no link dangles"

    def __init__(self, folder: Path, *, first: int = 0) -> None:
        self.folder = folder
        self.done = first
        self.seen: Counter[str] = Counter()

    def run(self, until: int) -> None:
        """Go on until there were `until` of them. Raises BrokenPromiseError."""
        data = self.folder / "schedules"
        shutil.rmtree(data, ignore_errors=True)
        asyncio.run(self._run(data, until))
        shutil.rmtree(data)

    async def _run(self, data: Path, until: int) -> None:
        clock, model, ids = FakeClock(step=0.001), Model(), dict[str, CredentialId]()
        while self.done < until:
            chance = moments(f"{self.name} {self.done}")
            clock.time += timedelta(days=chance.randint(-400, 400))  # the clock is set, or lies, between two starts
            house = await _House.opened(data, clock)
            house.ids = ids
            try:
                for _ in range(min(RESTART_EVERY, until - self.done)):
                    play = _Play(house, model, moments(f"{self.name} {self.done}"), self.done)
                    model = await play.play()
                    self.seen.update(ended for _, ended, _ in play.ended)
                    self.done += 1
                report = await house.kc.audit.verify()
                if not report.intact:
                    raise BrokenPromiseError(f"interleaving {self.done}: {report.flaws[0].detail}")
            finally:
                await house.store.aclose()


class _House:
    """A Keycairn whose store is asked in the order of a play."""

    def __init__(self, store: Any, clock: FakeClock) -> None:
        self.store = store
        self.gate = _Gate(store)
        self.ids: dict[str, CredentialId] = {}
        self.kc = Keycairn(
            store=self.gate,
            opener=AesGcmKeysets(),
            registry=FakeRegistry([FakeProvider(plain_spec("openai"))]),
            http=NoHttp(),
            environment=FakeEnvironment(),
            clock=clock,
            ids=UlidIds(),
        )

    @classmethod
    async def opened(cls, data: Path, clock: FakeClock) -> "_House":
        house = cls(await open_surreal(f"surrealkv://{data}/db"), clock)
        if not await house.kc.vault.unlock(root_key(0)):
            raise BrokenPromiseError(f"it is sealed: {house.kc.vault.why_sealed}")
        return house


_chance: ContextVar[random.Random | None] = ContextVar("_chance", default=None)


class _Gate:
    """Passes calls on to a store, after a while."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        called: Callable[..., Any] = getattr(self._store, name)
        if name in {"snapshot", "trust", "unreadable"}:
            return called

        async def late(*args: Any, **named: Any) -> Any:
            if chance := _chance.get():
                for _ in range(chance.choice((0, 0, 1, 3, 10, 30))):
                    await asyncio.sleep(0)
                if chance.random() < 0.05:
                    await asyncio.sleep(chance.uniform(0, 0.004))
            return await called(*args, **named)

        return late


class _Play:
    """Some clients at once."""

    def __init__(self, house: _House, before: Model, chance: random.Random, number: int) -> None:
        self.house, self.before, self.chance, self.number = house, before, chance, number
        self.ended: list[tuple[Op, str, Any]] = []

    async def play(self) -> Model:
        """Let them go, and give what is there then. Raises BrokenPromiseError."""
        ops = [self._op(each) for each in range(self.chance.randint(2, 5))]
        clients = [self._client(op, random.Random(f"{self.number} {each}")) for each, op in enumerate(ops)]  # noqa: S311
        await asyncio.gather(*clients)
        found = await self._found()
        decided = [each for each in self.ended if each[1] != "conflict"]
        for order in permutations(decided):  # the first is that in which they ended
            after = deepcopy(self.before)
            if all(after.apply(*each) for each in order) and after.shown() == found.shown():
                return found
        raise BrokenPromiseError(
            f"interleaving {self.number}: from {self.before.shown()} by {self.ended} came {found.shown()}"
        )

    def _op(self, each: int) -> Op:
        accounts = sorted(self.before.accounts)
        fresh = f"c{self.number}x{each}"
        if len(accounts) < 3 or (len(accounts) < 6 and self.chance.random() < 0.1):
            return ("create", fresh, f"sk-{fresh}-0123456789")
        some, other = self.chance.sample(accounts, 2)
        ways: list[Op] = [("rename", some, f"{some} {self.number}"), ("rekey", some, f"sk-{fresh}-0123456789")] * 2
        ways += [("register", some, self.chance.choice(MODELS))] * 4
        ways += [("move", some, other), ("move", some, other), ("delete", some), ("assign",), ("assign",), ("rotate",)]
        ways += [("chat", some, self.chance.choice(MODELS))] * 2
        if self.chance.random() < 0.05:
            ways.append(("compact",))
        return self.chance.choice(ways)

    async def _client(self, op: Op, chance: random.Random) -> None:
        _chance.set(chance)
        told: list[ModelId] = []
        try:
            await self._carry_out(op, told)
        except ConflictError:
            ended = "conflict"
        except KeycairnError as error:
            if type(error) not in REFUSALS:
                raise BrokenPromiseError(f"interleaving {self.number}: {op} ended with {error!r}") from error
            ended = REFUSALS[type(error)]
        else:
            ended = "done"
        self.ended.append((op, ended, told[0] if told else None))

    async def _carry_out(self, op: Op, told: list[ModelId]) -> None:  # noqa: C901  # a case for each change
        kc, ids = self.house.kc, self.house.ids
        match op:
            case ("create", account, key):
                made = await kc.credentials.create("openai", name=account, secrets={"api_key": Secret(key)})
                ids[account] = made.credential.id
            case ("rename", account, name):
                await kc.credentials.update(ids[account], CredentialPatch(name=name))
            case ("rekey", account, key):
                await kc.credentials.update(ids[account], CredentialPatch(secrets={"api_key": Secret(key)}))
            case ("register", account, model):
                registered = await kc.probing.register(ids[account], [NewModel(model, Modality.LANGUAGE)])
                told += [each.id for each in registered.created]
            case ("delete", account):
                await kc.credentials.delete(ids[account])
            case ("move", account, target):
                await kc.credentials.delete(ids[account], migrate_to=ids[target])
            case ("chat", account, model):
                models = await self.house.store.models("default", credential=ids[account], name=model, limit=None)
                told += [each.id for each in models]
                await kc.models.set_defaults({Slot.CHAT: told[0] if told else ModelId("model:none")})
            case ("assign",):
                assigned = (await kc.models.auto_assign()).assigned
                told += [assigned[Slot.CHAT]] if Slot.CHAT in assigned else []
            case ("rotate",):
                await kc.rotation.rotate()
            case ("compact",):
                await self.house.store.compact()

    async def _found(self) -> Model:
        """What is there, each secret opened."""
        kc, found = self.house.kc, Model()
        accounts = {id: account for account, id in self.house.ids.items()}
        for listed in await kc.credentials.list():
            secrets = (await kc.credential_opener.open(listed.credential)).secrets
            key = secrets["api_key"].reveal()
            found.accounts[accounts[listed.credential.id]] = (listed.credential.name, key, {})
        for model in await kc.models.list(limit=None):
            home = accounts.get(model.credential or CredentialId(""), "")
            if home not in found.accounts:
                raise BrokenPromiseError(f"interleaving {self.number}: {model.name} dangles after {self.ended}")
            found.accounts[home][2][model.name] = model.id
        found.chat = (await kc.models.defaults()).slots.get(Slot.CHAT)
        return found
