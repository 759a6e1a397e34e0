"""Holding tokens and credentials to their limits, in the memory of this process."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta

from msgspec import Struct

from keycairn.domain.errors import LimitReachedError
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.clock import Clock

MOST = 10_000
"""Tokens and credentials that are remembered; then those that have nothing under way are forgotten."""

NANOS = 1000
"""In a millionth."""

UsageOf = Callable[[str, date, date], Awaitable[Mapping[UsageKey, Usage]]]
"""Gives what a workspace used from one day to another, all that this process has counted included."""

FamilyOf = Callable[[str, str], Awaitable[frozenset[str]]]
"""Gives the ids of a token, and of all tokens of its workspace that were made with it, and with those."""


class Subject(Struct, frozen=True):
    """Who is held to limits: a `token` or a `credential`, by its id."""

    kind: str
    id: str
    workspace: str
    limits: Limits


class Charge(Struct, frozen=True):
    """What a call used: model tokens, and billionths of the currency of the models' prices."""

    tokens: int = 0
    nanos: int = 0


FREE = Charge()


class _State(Struct):
    room: float
    """How many requests may begin now; it refills steadily up to a minute's worth."""
    at: float
    under_way: int = 0
    day: date | None = None
    limits: Limits = NO_LIMITS
    """What the sums were read for: others may need those of the month, too."""
    used: int = 0
    """Model tokens of the day."""
    spent: int = 0
    """Billionths of the day, and of the month."""
    spent_in_month: int = 0


class Limiter:
    """Counts what each subject does. Requests are a bucket that refills, so that a minute's worth may come at once."""

    def __init__(self, usage_of: UsageOf, clock: Clock, family_of: FamilyOf) -> None:
        self._usage_of = usage_of
        self._clock = clock
        self._family_of = family_of
        self._states: dict[str, _State] = {}

    async def prepare(self, subject: Subject) -> None:
        """Learn what the subject used today, and this month, where that matters and is not known yet."""
        if not subject.limits.counts_use:
            return
        state, today = self._state(subject), self._clock.now().date()
        if state.day != today or state.limits != subject.limits:
            state.used = state.spent = state.spent_in_month = 0  # what ends from here on is counted as it ends
            since = today if subject.limits.micros_per_month is None else today.replace(day=1)
            sums = await self._usage_of(subject.workspace, since, today)
            ids = await self._counted(subject)
            if state.day != today or state.limits != subject.limits:  # otherwise another call was faster
                state.day, state.limits = today, subject.limits
                for key, one in sums.items():
                    if id_in(key, subject) in ids:
                        state.spent_in_month += one.nanos
                        if key.day == today:
                            state.spent += one.nanos
                            state.used += one.input_tokens + one.output_tokens

    def ready(self, *subjects: Subject) -> bool:
        """Whether `begin` can judge these by what is known; else `prepare` comes first, again."""
        today = self._clock.now().date()
        return all(
            not one.limits.counts_use or ((state := self._state(one)).day, state.limits) == (today, one.limits)
            for one in subjects
        )

    async def run(self) -> None:
        """Do what has to be done beside calls, until cancelled."""

    async def aclose(self) -> None:
        """End orderly."""

    def refusal(self, subject: Subject) -> LimitReachedError | None:
        """Why a call must not begin now, None where it may. Counts nothing; `prepare` comes first."""
        limits = subject.limits
        if limits == NO_LIMITS:
            return None
        state = self._state(subject)
        if limits.concurrent is not None and state.under_way >= limits.concurrent:
            return self.too_many_calls(subject)
        if limits.counts_use and (used_up := self._used_up(subject, state)):
            return used_up
        if limits.requests_per_minute is not None:
            room, rate = self._room(state, limits.requests_per_minute), limits.requests_per_minute / 60
            if room < 1:
                return self.too_many_requests(subject, (1 - room) / rate)
        return None

    def _used_up(self, subject: Subject, state: _State) -> LimitReachedError | None:
        limits = subject.limits
        if limits.tokens_per_day is not None and state.used >= limits.tokens_per_day:
            return self.tokens_used_up(subject)
        if limits.micros_per_day is not None and state.spent >= limits.micros_per_day * NANOS:
            return self.spent_today(subject)
        if limits.micros_per_month is not None and state.spent_in_month >= limits.micros_per_month * NANOS:
            return self.spent_this_month(subject)
        return None

    def too_many_calls(self, subject: Subject) -> LimitReachedError:
        """As many are under way as may be."""
        return LimitReachedError(f"{subject.limits.concurrent} calls of this {subject.kind} at one time", 1.0)

    def too_many_requests(self, subject: Subject, wait: float) -> LimitReachedError:
        """As many began as may in a minute; another one may in `wait` seconds."""
        what = f"{subject.limits.requests_per_minute} requests of this {subject.kind} in a minute"
        return LimitReachedError(what, wait)

    def tokens_used_up(self, subject: Subject) -> LimitReachedError:
        """The model tokens of the day are used up."""
        what = f"{subject.limits.tokens_per_day} model tokens of this {subject.kind} in a day (UTC)"
        return LimitReachedError(what, self._until_tomorrow())

    def spent_today(self, subject: Subject) -> LimitReachedError:
        """What may be spent in a day is."""
        what = f"{(subject.limits.micros_per_day or 0) / 10**6:g} spent with this {subject.kind} in a day (UTC)"
        return LimitReachedError(what, self._until_tomorrow())

    def spent_this_month(self, subject: Subject) -> LimitReachedError:
        """What may be spent in a month is."""
        what = f"{(subject.limits.micros_per_month or 0) / 10**6:g} spent with this {subject.kind} in a month (UTC)"
        return LimitReachedError(what, self._until_next_month())

    async def used_up(self, subject: Subject) -> LimitReachedError | None:
        """Why a call that is under way must not go on, None where it may: what may be used in a day, or a month."""
        if not subject.limits.counts_use:
            return None
        await self.prepare(subject)
        return self._used_up(subject, self._state(subject))

    def charge(self, subject: Subject, charge: Charge) -> None:
        """Count what a call has used that is still under way."""
        if subject.limits != NO_LIMITS:
            self._add(self._state(subject), charge)

    def begin(self, *subjects: Subject) -> None:
        """Count a call that begins, for each. Raises LimitReachedError, counting nothing; `prepare` comes first."""
        limited = [subject for subject in subjects if subject.limits != NO_LIMITS]
        for subject in limited:
            if refused := self.refusal(subject):
                raise refused
        for subject in limited:
            state = self._state(subject)
            state.under_way += 1
            if subject.limits.requests_per_minute is not None:
                state.room -= 1

    def end(self, subject: Subject, charge: Charge) -> None:
        """Count a call that began as over, and what it used."""
        if subject.limits == NO_LIMITS:
            if (known := self._states.get(subject.id)) is not None:
                known.day = None  # limits that come back find the sums anew, with what was used without them
            return
        state = self._state(subject)
        state.under_way -= 1
        self._add(state, charge)

    @staticmethod
    def _add(state: _State, charge: Charge) -> None:
        state.used += charge.tokens
        state.spent += charge.nanos
        state.spent_in_month += charge.nanos

    def _until_tomorrow(self) -> float:
        now = self._clock.now()
        return (_midnight(now) + timedelta(days=1) - now).total_seconds()

    def _until_next_month(self) -> float:
        now = self._clock.now()
        return ((_midnight(now).replace(day=1) + timedelta(days=32)).replace(day=1) - now).total_seconds()

    async def _counted(self, subject: Subject) -> frozenset[str]:
        """Whose use counts: its own, and that of all tokens made with it."""
        return (
            await self._family_of(subject.id, subject.workspace) if subject.kind == "token" else frozenset({subject.id})
        )

    def _room(self, state: _State, per_minute: int) -> float:
        now = self._clock.monotonic()
        state.room = min(state.room + (now - state.at) * per_minute / 60, per_minute)
        state.at = now
        return state.room

    def _state(self, subject: Subject) -> _State:
        state = self._states.get(subject.id)
        if state is None:
            if len(self._states) >= MOST:
                self._states = {id: one for id, one in self._states.items() if one.under_way}
            room = subject.limits.requests_per_minute or 0
            state = self._states[subject.id] = _State(room, self._clock.monotonic())
        return state


def _midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


def id_in(key: UsageKey, subject: Subject) -> str:
    """Whose use it is: that of a token, or of a credential, as the subject is one."""
    return key.token if subject.kind == "token" else key.credential
