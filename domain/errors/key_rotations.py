"""Rotating the keys of accounts at their providers."""

from keycairn.domain.errors.providers import InvalidAuthError
from keycairn.domain.errors.records import NotFoundError
from keycairn.domain.errors.root import KeycairnError


class KeyRotationNotFoundError(NotFoundError):
    """No rotation is set up for this credential."""

    code = "key_rotation_not_found"
    remedy = "Set one up: `keycairn credential policy`."

    def __init__(self) -> None:
        super().__init__("No rotation is set up for this credential.")


class KeyRotationStateError(KeycairnError):
    """The rotation of this key is at a step that does not allow what was asked."""

    code = "key_rotation_state"
    remedy = "Look at the rotation: it says what it is doing, and what it waits for."


class AccountClosedError(InvalidAuthError):
    """The account is closed for calls, because its key leaked and nobody could replace it yet."""

    code = "account_closed"
    remedy = "Store a new key with the credential: it is used at once."

    def __init__(self) -> None:
        super().__init__("The account is closed: its key leaked. Store a new key with the credential.")
