"""How commands end when something is wrong."""

from collections.abc import Mapping
from typing import Any

from keycairn.domain.errors import KeycairnError, MissingDatabaseError, RedoLogError, SettingsError

FAILED, WRONG_USE = 1, 2
REFUSED_STARTS = (SettingsError, MissingDatabaseError, RedoLogError)
"""What the operator has to put right before anything can be done; exit code 2."""


class RequestFailedError(KeycairnError):
    """Keycairn refused or failed a request; the text is its own sentence."""

    code = "request_failed"

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or f"Keycairn answered with status {status}."))
        self.status = status
        self.problem = problem

    @property
    def faults(self) -> Mapping[str, Any]:
        """What is wrong with each field of the request, where that was said."""
        faults = self.problem.get("errors")
        return faults if isinstance(faults, dict) else {}


def lines_of(error: KeycairnError) -> list[str]:
    """What a person is told of it."""
    faults = error.faults if isinstance(error, RequestFailedError) else {}
    return [f"keycairn: {error}", *(f"  {name}: {why}" for name, why in faults.items())]


def exit_code(error: KeycairnError) -> int:
    """2 for what has to be put right before anything can be done, else 1."""
    return WRONG_USE if isinstance(error, REFUSED_STARTS) else FAILED
