"""Holding a token to its limits, in the memory of this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

from msgspec import Struct

from keycairn.app.gateway.errors import LimitReachedError
from keycairn.domain.limits import Limits
from keycairn.ports.clock import Clock
from keycairn.ports.store import Store

MOST = 10_000
"""Tokens that are remembered; then those that have nothing under way are forgotten."""


class _State(Struct):
    room: float
    """How many requests may begin now; it refills steadily up to a minute's worth."""
    at: float
    under_way: int = 0
    day: date | None = None
    used: int = 0


class Limiter:
    """Counts what each token does. Requests are a bucket that refills, so that a minute's worth may come at once."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._states: dict[str, _State] = {}

    async def check(self, actor: str, workspace: str, limits: Limits) -> None:
        """Count one request. Raises LimitReachedError."""
        state = self._state(actor, limits)
        if limits.tokens_per_day is not None:
            await self._check_day(actor, workspace, limits.tokens_per_day, state)
        if limits.requests_per_minute is not None:
            now = self._clock.monotonic()
            rate = limits.requests_per_minute / 60
            state.room = min(state.room + (now - state.at) * rate, limits.requests_per_minute)
            state.at = now
            if state.room < 1:
                raise LimitReachedError(
                    f"{limits.requests_per_minute} requests of this token in a minute", (1 - state.room) / rate
                )
            state.room -= 1

    @contextmanager
    def under_way(self, actor: str, limits: Limits) -> Iterator[Callable[[int], None]]:
        """Count a call as under way. What it gives takes the tokens the call used. Raises LimitReachedError."""
        state = self._state(actor, limits)
        if limits.concurrent is not None and state.under_way >= limits.concurrent:
            raise LimitReachedError(f"{limits.concurrent} calls of this token at one time", 1.0)
        state.under_way += 1

        def used(tokens: int) -> None:
            state.used += tokens

        try:
            yield used
        finally:
            state.under_way -= 1

    async def _check_day(self, actor: str, workspace: str, most: int, state: _State) -> None:
        now = self._clock.now()
        if state.day != now.date():
            stored = await self._store.usage(workspace, since=now.date(), until=now.date())
            used = (one.input_tokens + one.output_tokens for key, one in stored.items() if key.token == actor)
            state.day, state.used = now.date(), sum(used)
        if state.used >= most:
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            raise LimitReachedError(
                f"{most} model tokens of this token in a day (UTC)", (midnight - now).total_seconds()
            )

    def _state(self, actor: str, limits: Limits) -> _State:
        state = self._states.get(actor)
        if state is None:
            if len(self._states) >= MOST:
                self._states = {name: one for name, one in self._states.items() if one.under_way}
            state = self._states[actor] = _State(limits.requests_per_minute or 0, self._clock.monotonic())
        return state
