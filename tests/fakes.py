"""Hand-written stand-ins for the small ports: time, ids, environment, cipher."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from keycairn.domain.environment import Place
from keycairn.domain.errors import InvalidInputError, UndecryptableError
from keycairn.domain.ids import CredentialId, EventId, ModelId
from keycairn.domain.sealed import LONGEST_TEXT, SUITE, SealContext, SealedSecret, join, pad, split, unpad
from keycairn.domain.secret import Secret
from keycairn.domain.shares import PoolLeft, PoolPart, SharedPool, given, taken

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class FakeClock:
    """Stands still until told to `tick`, or advances by `step` seconds after each reading of `now`."""

    def __init__(self, time: datetime = NOON, *, step: float = 0.0) -> None:
        self.time = time
        self.step = step
        self._monotonic = 0.0

    def tick(self, seconds: float = 1.0) -> datetime:
        self.time += timedelta(seconds=seconds)
        self._monotonic += seconds
        return self.time

    def now(self) -> datetime:
        now = self.time
        self.tick(self.step)
        return now

    def monotonic(self) -> float:
        return self._monotonic


class FakeIds:
    """Counts. The nth id of all carries the ULID `ulid(n)`, from 1."""

    def __init__(self) -> None:
        self.count = 0

    @staticmethod
    def ulid(number: int) -> str:
        digits = ""
        for _ in range(18):
            number, digit = divmod(number, 32)
            digits = _CROCKFORD[digit] + digits
        return "01KDWE9G" + digits

    def _next(self) -> str:
        self.count += 1
        return self.ulid(self.count)

    def credential(self) -> CredentialId:
        return CredentialId(f"credential:{self._next()}")

    def model(self) -> ModelId:
        return ModelId(f"model:{self._next()}")

    def event(self) -> EventId:
        return EventId(f"event:{self._next()}")

    def token(self) -> tuple[str, bytes]:
        key = self._next()
        return key, sha256(key.encode()).digest()


class FakeEnvironment:
    """The variables it was given; change `values` to change them."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = dict(values or {})
        self.file: dict[str, str] = {}
        self.wrong: list[str] = []

    def faults(self) -> Sequence[str]:
        return self.wrong

    def variables(self) -> Mapping[str, Secret]:
        merged = {**self.file, **self.values}
        return {name: Secret(value) for name, value in merged.items()}

    def places(self) -> Sequence[Place]:
        both = (("the environment", self.values), (".env", self.file))
        return [Place(name, {key: Secret(text) for key, text in values.items()}) for name, values in both]


class FakeCipher:
    """Keeps every law of the cipher except secrecy: whoever knows the form can read and forge.

    Change `kid` to seal under another key, `kids` to forget one, `suite` to seal as an earlier version did.
    """

    def __init__(
        self,
        *,
        kid: int = 1,
        kids: frozenset[int] | None = None,
        install_id: str = "install",
        suite: int = SUITE,
    ) -> None:
        self.suite = suite
        self.kid = kid
        self.kids = kids or frozenset({kid})
        self.install_id = install_id
        self._sealed = 0

    def seal(self, secret: Secret, context: SealContext) -> SealedSecret:
        text = secret.reveal().encode("utf-8", "replace")
        if len(text) > LONGEST_TEXT or any("\ud800" <= character <= "\udfff" for character in secret.reveal()):
            message = "A secret is UTF-8 text of at most 65,535 bytes."
            raise InvalidInputError(message)
        self._sealed += 1
        head = bytes([self.suite]) + self.kid.to_bytes(4, "big") + self._sealed.to_bytes(32, "big") + bytes(32)
        frame = pad(text)
        return join(head + frame + self._check(head, frame, context))

    def open(self, sealed: SealedSecret, context: SealContext, *, retired: bool = False) -> Secret:
        if why := self.unreadable(sealed):
            raise UndecryptableError(why)
        parts = split(sealed)
        frame, check = parts.ciphertext[:-16], parts.ciphertext[-16:]
        if check != self._check(parts.header, frame, context):
            raise UndecryptableError("it is damaged, or belongs elsewhere")
        return Secret(unpad(frame).decode())

    def unreadable(self, sealed: SealedSecret) -> str | None:
        try:
            kid = split(sealed).kid
        except UndecryptableError as error:
            return error.reason
        return None if kid in self.kids else f"its data key {kid} is not in the keyset"

    def outdated(self, sealed: SealedSecret) -> bool:
        try:
            return split(sealed).suite != SUITE
        except UndecryptableError:
            return False

    def _check(self, head: bytes, frame: bytes, context: SealContext) -> bytes:
        return sha256(repr((self.install_id, head, frame, context.bound(head[0]))).encode()).digest()[:16]


class FakeShares:
    """The shares of one process of several, which are given the same `pools`: by key, what is left."""

    def __init__(self, who: str, there: set[str], pools: dict[str, PoolLeft], clock: FakeClock) -> None:
        self._who, self._there, self._pools, self._clock = who, there, pools, clock
        there.add(who)
        self.asked = 0
        """How often something was taken or given back."""

    async def take(self, pool: SharedPool, *, owed: float = 0.0) -> PoolPart:
        self.asked += 1
        await asyncio.sleep(0)
        got, self._pools[pool.key] = taken(
            self._pools.get(pool.key), pool, who=self._who, there=self._there, now=self._clock.now(), owed=owed
        )
        return got

    async def give(self, pool: SharedPool, amount: float) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        self._pools[pool.key] = given(
            self._pools.get(pool.key), pool, amount, who=self._who, there=self._there, now=self._clock.now()
        )
