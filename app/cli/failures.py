"""How commands end when something is wrong: in words of a command line, with an exit code of one."""

from collections.abc import Mapping
from typing import Any

from keycairn.domain.errors import KeycairnError, MissingDatabaseError, RedoLogError, RequestFailedError, SettingsError

FAILED, WRONG_USE = 1, 2
REFUSED_STARTS = (SettingsError, MissingDatabaseError, RedoLogError)
"""What the operator has to put right before anything can be done; exit code 2."""

_NOT_LET_IN = "The service does not take this token."
_HINTS: Mapping[str, str] = {
    "unauthenticated": "Set KEYCAIRN_TOKEN, name a file with --token-file, or log in again: keycairn login URL",
    "forbidden": "Use a token with that scope: keycairn token create NAME --scope ...",
    "unknown_provider": "keycairn provider list",
    "credential_not_found": "keycairn credential list",
    "model_not_found": "keycairn model list",
    "token_not_found": "keycairn token list",
    "invalid_id": "Names are taken too: keycairn credential list, keycairn model list, keycairn token list",
    "no_default_model": "keycairn default set SLOT MODEL",
    "key_rotation_not_found": (
        "For a new key by hand: keycairn credential set-key NAME. To have it rotated: keycairn credential policy NAME"
    ),
    "model_unlinked": "keycairn model edit MODEL --credential CREDENTIAL",
    "secret_reentry_required": "keycairn credential edit NAME --set FIELD=VALUE --key -",
    "missing_field": "keycairn provider show PROVIDER",
    "undeclared_field": "keycairn provider show PROVIDER",
    "not_proven": "Add --anyway to store it untested.",
    "sealed": "keycairn doctor",
    "undecryptable": "keycairn credential set-key NAME",
    "stale_version": "It was changed meanwhile; try again.",
    "conflict": "It was changed meanwhile; try again.",
}
"""What to do next, by the code of an error, where a command does it."""
_INSTEAD: Mapping[str, str] = {
    "unauthenticated": _NOT_LET_IN,
    "unknown_provider": "There is no such provider.",
}
"""Sentences in place of those that speak to clients of the API."""


def code_of(error: KeycairnError) -> str:
    """The code of the error, the service's own where it answered with one."""
    return str(error.problem.get("code") or error.code) if isinstance(error, RequestFailedError) else error.code


def lines_of(error: KeycairnError) -> list[str]:
    """What a person is told of it."""
    hint = _HINTS.get(code_of(error))
    return [
        f"keycairn: {sentence_of(error)}",
        *(f"  {name}: {why}" for name, why in _faults(error).items()),
        *([f"  Try: {hint}" if hint.startswith("keycairn") else f"  {hint}"] if hint else []),
    ]


def document_of(error: KeycairnError) -> dict[str, Any]:
    """What a program is told of it."""
    code = code_of(error)
    told: dict[str, Any] = {"code": code, "detail": sentence_of(error)}
    if hint := _HINTS.get(code):
        told["hint"] = hint
    if faults := _faults(error):
        told["errors"] = dict(faults)
    return {"error": told}


def sentence_of(error: KeycairnError) -> str:
    """The sentence that says what is wrong."""
    return _INSTEAD.get(code_of(error), str(error))


def exit_code(error: KeycairnError) -> int:
    """2 for what has to be put right before anything can be done, else 1."""
    return WRONG_USE if isinstance(error, REFUSED_STARTS) else FAILED


def _faults(error: KeycairnError) -> Mapping[str, Any]:
    """What is wrong with each field, where the sentence does not say it."""
    if code_of(error) == "not_proven":
        return {}
    return error.faults if isinstance(error, RequestFailedError) else {}
