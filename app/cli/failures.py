"""How commands end when something is wrong."""

from keycairn.domain.errors import KeycairnError, MissingDatabaseError, RedoLogError, RequestFailedError, SettingsError

FAILED, WRONG_USE = 1, 2
REFUSED_STARTS = (SettingsError, MissingDatabaseError, RedoLogError)
"""What the operator has to put right before anything can be done; exit code 2."""


def lines_of(error: KeycairnError) -> list[str]:
    """What a person is told of it."""
    faults = error.faults if isinstance(error, RequestFailedError) else {}
    return [f"keycairn: {error}", *(f"  {name}: {why}" for name, why in faults.items())]


def exit_code(error: KeycairnError) -> int:
    """2 for what has to be put right before anything can be done, else 1."""
    return WRONG_USE if isinstance(error, REFUSED_STARTS) else FAILED
