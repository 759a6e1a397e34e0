"""What the last calls said about each credential. In memory: after a restart everything is worth a try."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from keycairn.domain.credential import Credential
from keycairn.domain.retry_after import LONGEST_PATIENCE
from keycairn.domain.routing import FIRST_REST, REST_GROWTH, SHORT_REST, Serving


class _State(Struct):
    until: float
    bad: bool = False
    rest: float = FIRST_REST


class Health:
    """Orders credentials, the healthy first. What was learned of one version of a credential dies with it."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._states: dict[tuple[str, int], _State] = {}

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
        state = self._states.get(_key(credential))
        if state is None:
            return False, 0.0
        # A refused key comes last until it has been proven again, however long ago it was refused.
        return (True, state.until + LONGEST_PATIENCE) if state.bad else (state.until > now, max(state.until, now) - now)

    def good(self, credential: Credential) -> None:
        """The provider took the key and did the work."""
        if self._states:
            self._states.pop(_key(credential), None)

    def rest(self, credential: Credential, seconds: float | None = None) -> None:
        """Pass it over for a while: a rate limit, or a provider that fails."""
        state = self._states.get(_key(credential))
        if state is None or not state.bad:
            self._states[_key(credential)] = _State(self._monotonic() + (SHORT_REST if seconds is None else seconds))

    def refused(self, credential: Credential) -> None:
        """The provider refused the key. It is probed again after a while that grows."""
        state = self._states.get(_key(credential))
        rest = min(state.rest * REST_GROWTH, LONGEST_PATIENCE) if state and state.bad else FIRST_REST
        self._states[_key(credential)] = _State(self._monotonic() + rest, bad=True, rest=rest)

    def is_bad(self, credential: Credential) -> bool:
        """Whether its key was refused, and not proven since."""
        state = self._states.get(_key(credential))
        return state is not None and state.bad

    def due(self, credential: Credential) -> bool:
        """Whether a refused key has rested long enough to be probed. Answers yes once for each rest."""
        state = self._states.get(_key(credential))
        if state is None or not state.bad or state.until > self._monotonic():
            return False
        state.until = self._monotonic() + state.rest
        return True

    def states(self) -> dict[str, str]:
        """`bad` or `resting` for each credential that is not healthy."""
        now = self._monotonic()
        return {
            id: "bad" if state.bad else "resting"
            for (id, _), state in self._states.items()
            if state.bad or state.until > now
        }


def _key(credential: Credential) -> tuple[str, int]:
    return credential.id, credential.version
