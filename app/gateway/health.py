"""How healthy each credential is, by what its last calls said. In memory: after a restart everything is worth a try."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from keycairn.domain.credential import Credential
from keycairn.domain.retry_after import LONGEST_PATIENCE
from keycairn.domain.routing import FIRST_REST, LONGEST_HOLD, REST_GROWTH, SHORT_REST, Serving


class _State(Struct):
    version: int
    until: float
    bad: bool = False
    rest: float = FIRST_REST
    held: float = 0.0
    """Until when a refused key is not asked at all."""


class Health:
    """Orders credentials, the healthy first. What was learned of one version of a credential dies with it."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._states: dict[str, _State] = {}

    @property
    def clear(self) -> bool:
        """Whether nothing is known against any credential."""
        return not self._states

    def ordered(self, candidates: Sequence[Serving]) -> Sequence[Serving]:
        """The candidates, those that rest after the others, soonest usable first. None is ever left out."""
        if not self._states or len(candidates) == 1:
            return candidates
        now = self._monotonic()
        return sorted(candidates, key=lambda one: self._rank(one.credential, now))

    def _rank(self, credential: Credential, now: float) -> tuple[bool, float]:
        state = self._state(credential)
        if state is None:
            return False, 0.0
        # A refused key comes last until it has been proven again, however long ago it was refused.
        return (True, state.until + LONGEST_PATIENCE) if state.bad else (state.until > now, max(state.until, now) - now)

    def good(self, credential: Credential) -> None:
        """The provider took the key and did the work."""
        if self._states and self._state(credential) is not None:
            del self._states[credential.id]

    def rest(self, credential: Credential, seconds: float | None = None) -> None:
        """Pass it over for a while: a rate limit, an account without credit, a provider that fails."""
        state = self._state(credential)
        if state is None or not state.bad:
            self._keep(credential, self._monotonic() + (SHORT_REST if seconds is None else seconds))

    def refused(self, credential: Credential) -> None:
        """The provider refused the key. It is probed again after a while that grows."""
        state = self._state(credential)
        rest = min(state.rest * REST_GROWTH, LONGEST_PATIENCE) if state and state.bad else FIRST_REST
        now = self._monotonic()
        self._keep(credential, now + rest, bad=True, rest=rest, held=now + min(rest, LONGEST_HOLD))

    def held(self, credential: Credential) -> float:
        """Seconds for which a refused key is not asked at all: providers lock out who keeps asking. 0 for any other."""
        state = self._state(credential)
        return max(0.0, state.held - self._monotonic()) if state is not None else 0.0

    def is_bad(self, credential: Credential) -> bool:
        """Whether its key was refused, and not proven since."""
        state = self._state(credential)
        return state is not None and state.bad

    def due(self, credential: Credential) -> bool:
        """Whether a refused key has rested long enough to be probed. Answers yes once for each rest."""
        state = self._state(credential)
        if state is None or not state.bad or state.until > self._monotonic():
            return False
        state.until = self._monotonic() + state.rest
        return True

    def states(self) -> dict[str, str]:
        """`bad` or `resting` for each credential that is not healthy."""
        now = self._monotonic()
        return {
            id: "bad" if state.bad else "resting"
            for id, state in self._states.items()
            if state.bad or state.until > now
        }

    def _state(self, credential: Credential) -> _State | None:
        """What is known of this version; what is known of an older one is forgotten."""
        state = self._states.get(credential.id)
        if state is None or state.version == credential.version:
            return state
        if state.version < credential.version:
            del self._states[credential.id]
        return None

    def _keep(
        self, credential: Credential, until: float, *, bad: bool = False, rest: float = FIRST_REST, held: float = 0.0
    ) -> None:
        known = self._states.get(credential.id)
        if known is None or known.version <= credential.version:
            self._states[credential.id] = _State(credential.version, until, bad, rest, held)
