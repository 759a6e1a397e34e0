"""A provider's side of managing keys, on fakes: what keys there are, and a process that ends at any moment."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from tests.fakes import FakeClock, FakeIds
from tests.house import FakeProvider, FakeRegistry, House, plain_spec

from keycairn.adapters.memory import MemoryStore
from keycairn.domain.change import Changeset
from keycairn.domain.errors import InvalidAuthError, ProviderDownError, UnknownProviderError
from keycairn.domain.field import FieldKind, FieldSpec
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_management import KeyCreation, KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.key_rotation.record import KeyRotation, Policy, rotation_id
from keycairn.domain.outcome import ConnectionReport
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.ports.http import Http
from keycairn.ports.provider import LoadedProvider
from keycairn.ports.store import Finish

ADMIN = "admin-key-canary-77f2"
FIRST = "sk-first-0123456789"
_T = TypeVar("_T")


class Killed(BaseException):
    """The process ended here."""


class Fate:
    """Ends the process at its nth operation, before or after it; `at` None: never."""

    def __init__(self, at: int | None = None, *, after: bool = False) -> None:
        self.at = at
        self.after = after
        self.done = 0

    async def through(self, operation: Callable[[], Awaitable[_T]]) -> _T:
        self.done += 1
        if self.done == self.at and not self.after:
            raise Killed
        result = await operation()
        if self.done == self.at:
            raise Killed
        return result


class Key:
    """A key at the provider. It works from `born` on."""

    def __init__(self, secret: str, tag: str, born: datetime) -> None:
        self.secret = secret
        self.tag = tag
        self.born = born
        self.ends: datetime | None = None


class KeyCloud(FakeProvider):
    """A provider that manages keys. `slow` is how many seconds a new key takes, `failing` names methods that fail."""

    def __init__(
        self, creation: KeyCreation, clock: FakeClock, *, tagged: bool = True, revokes: bool | None = None
    ) -> None:
        by_person = creation is KeyCreation.BY_PERSON
        spec = plain_spec(
            "openai",
            key_management=KeyManagement(
                creation=creation,
                tagged=tagged,
                lists=creation is not KeyCreation.UNLISTED,
                revokes=not by_person if revokes is None else revokes,
                page="https://openai.example/keys",
                fields=(
                    FieldSpec(name="admin_key", label="Admin key", secret=True, required=True),
                    FieldSpec(
                        name="admin_url", label="URL", kind=FieldKind.URL, default="https://admin.openai.example"
                    ),
                ),
            ),
        )
        super().__init__(spec)
        self.spec = spec
        self.creation = creation
        self.clock = clock
        self.slow = 0.0
        self.failing: set[str] = set()
        self.error: Exception | None = None
        self.keys_there: dict[str, Key] = {"key-0": Key(FIRST, "made by hand", clock.time)}
        if creation is KeyCreation.REPLACING:
            self.keys_there["key-other"] = Key("sk-other-0123456789", "", clock.time)
        self.admins: list[str] = []
        self._numbers = count(1)
        self.most_alive = len(self.keys_there)

    @property
    def living(self) -> list[str]:
        return [key.secret for key in self.keys_there.values()]

    def _asked(self, method: str, manager: Account) -> None:
        secret = manager.secret("admin_key")
        self.admins.append(secret.reveal() if secret else "")
        if method in self.failing:
            raise ProviderDownError("The provider failed (500).", status=500)
        if self.creation is not KeyCreation.UNLISTED and self.admins[-1] != ADMIN:
            raise InvalidAuthError

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        secret = account.secret()
        text = secret.reveal() if secret else ""
        if "check" in self.failing:
            raise ProviderDownError("The provider failed (500).", status=500)
        key = next((key for key in self.keys_there.values() if key.secret == text), None)
        if key is None or key.born > self.clock.time:
            raise InvalidAuthError
        return self.report

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        self._asked("create_key", manager)
        number = next(self._numbers)
        secret = order.secret.reveal() if order.secret else f"sk-made-{number:012}"
        born = self.clock.time + timedelta(seconds=self.slow)
        id = f"key-{number}"
        if self.creation is KeyCreation.REPLACING:
            own = manager.secret()
            id = next(name for name, key in self.keys_there.items() if own is not None and key.secret != own.reveal())
        self.keys_there[id] = Key(secret, order.tag, born)
        self.most_alive = max(self.most_alive, len(self.keys_there))
        if "create_answer" in self.failing:
            raise ProviderDownError("The provider failed (500).", status=500)
        return MadeKey(id="" if self.creation is KeyCreation.UNLISTED else id, secrets={"api_key": Secret(secret)})

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        self._asked("revoke_key", manager)
        if self.creation is KeyCreation.REPLACING:
            self.keys_there[key.id] = Key(f"sk-anew-{next(self._numbers):012}", "", self.clock.time)
        elif self.creation is KeyCreation.UNLISTED:
            dead = key.secrets["api_key"].reveal()
            self.keys_there = {id: one for id, one in self.keys_there.items() if one.secret != dead}
        else:
            self.keys_there.pop(key.id, None)

    async def list_keys(self, manager: Account, http: Http) -> Sequence[ListedKey]:
        self._asked("list_keys", manager)
        own = manager.secret()
        return [
            ListedKey(
                id=id,
                tag=key.tag if self.spec.key_management and self.spec.key_management.tagged else "",
                current=own is not None and own.reveal() == key.secret,
                secret=Secret(key.secret) if self.creation is KeyCreation.REPLACING else None,
                created=key.born,
                expires=key.ends,
            )
            for id, key in self.keys_there.items()
        ]


class MortalStore(MemoryStore):
    """A memory store whose process may end at a commit."""

    def __init__(self) -> None:
        super().__init__()
        self.fate = Fate()

    async def commit(self, changes: Changeset, finish: Finish | None = None) -> None:
        await self.fate.through(lambda: super(MortalStore, self).commit(changes, finish))


class _MortalProvider:
    """A loaded provider whose calls may be the process's last."""

    def __init__(self, inner: LoadedProvider, store: MortalStore) -> None:
        self._inner = inner
        self._store = store

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in {"check", "create_key", "revoke_key", "list_keys"}:
            return found

        async def call(*args: Any) -> Any:
            return await self._store.fate.through(lambda: found(*args))

        return call


class MortalRegistry(FakeRegistry):
    """A registry of such providers."""

    def __init__(self, providers: Sequence[FakeProvider], store: MortalStore) -> None:
        super().__init__(providers)
        self.store = store

    def get(self, name: str) -> LoadedProvider:
        if name not in self.providers:
            raise UnknownProviderError
        return _MortalProvider(self.providers[name], self.store)


class CloudHouse(House):
    """A Keycairn whose provider is a `KeyCloud`; `again` is the next process on the same store."""

    def __init__(
        self, cloud: KeyCloud, store: MortalStore, clock: FakeClock, ids: FakeIds, *, admin_token: str | None = None
    ) -> None:
        self.cloud = cloud
        self.mortal = store
        registry = MortalRegistry([cloud], store)
        super().__init__(store=store, ids=ids, clock=clock, registry=registry, admin_token=admin_token)

    @classmethod
    async def new(cls, creation: KeyCreation, *, tagged: bool = True, revokes: bool | None = None) -> "CloudHouse":
        clock = FakeClock(step=0.001)
        house = cls(KeyCloud(creation, clock, tagged=tagged, revokes=revokes), MortalStore(), clock, FakeIds())
        await house.open()
        return house

    async def again(self) -> "CloudHouse":
        self.mortal.fate = Fate()
        house = CloudHouse(self.cloud, self.mortal, self.clock, self.ids)
        await house.open()
        return house

    async def account(self, key: str = FIRST, *, name: str = "main", **policy: Any) -> CredentialId:
        """A credential whose key is rotated."""
        made = await self.keycairn.credentials.create("openai", name=name, secrets={"api_key": Secret(key)})
        id = made.credential.id
        await self.keycairn.key_rotations.set_up(id, policy=Policy(**policy), secrets={"admin_key": Secret(ADMIN)})
        return id

    async def rotation(self, id: CredentialId) -> KeyRotation:
        found = await self.store.key_rotation(rotation_id(id))
        assert found is not None
        return found

    async def drive(self, id: CredentialId, *, until: Callable[[KeyRotation], bool] | None = None) -> KeyRotation:
        """Work until the rotation has ended, waits for a person, or is as `until` says; time passes as it has to."""
        for _ in range(300):
            now = await self.rotation(id)
            if (now.run is None or now.run.held) if until is None else until(now):
                return now
            if now.run is not None and now.run.due > self.clock.time:
                self.clock.tick((now.run.due - self.clock.time).total_seconds())
            await self.keycairn.key_rotations.work()
        raise AssertionError(f"the rotation does not end: {(await self.rotation(id)).run}")
