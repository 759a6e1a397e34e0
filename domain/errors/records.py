"""What is stored is not there, or not as the caller last saw it."""

from collections.abc import Sequence

from keycairn.domain.errors.root import KeycairnError


class NotFoundError(KeycairnError):
    """The record does not exist in the caller's workspace."""

    code = "not_found"
    remedy = "Look the record up in its list; it may have been deleted, or belong to another workspace."


class CredentialNotFoundError(NotFoundError):
    """No such credential in the caller's workspace."""

    code = "credential_not_found"
    remedy = "Look it up with `GET /api/credentials`."

    def __init__(self) -> None:
        super().__init__("There is no such credential.")


class RecordNotRefusedError(NotFoundError):
    """No refused or unreadable record of that name, which alone may be discarded unseen."""

    code = "record_not_refused"
    remedy = "Take the name as `GET /api/checkup` gives it."

    def __init__(self) -> None:
        super().__init__("No record of that name is refused or unreadable. GET /api/checkup names those that are.")


class ModelNotFoundError(NotFoundError):
    """No such model in the caller's workspace, or for one whose token is `bounded`, within its reach."""

    code = "model_not_found"
    remedy = "Look it up with `GET /api/models`."

    def __init__(self, *, bounded: bool = False) -> None:
        super().__init__(
            "There is no such model, or this token may not call it: GET /v1/models lists those it may."
            if bounded
            else "There is no such model."
        )


class TokenNotFoundError(NotFoundError):
    """No such token in the caller's workspace."""

    code = "token_not_found"
    remedy = "Look it up with `GET /api/tokens`."

    def __init__(self) -> None:
        super().__init__("There is no such token.")


class UnlinkedModelError(NotFoundError):
    """The model has no credential, so nothing can be called with it."""

    code = "model_unlinked"
    remedy = "Register the model with a credential."

    def __init__(self) -> None:
        super().__init__("This model is linked to no credential. Register it with one.")


class NoDefaultError(NotFoundError):
    """The slot has no model, and nothing to fall back to; or for a token that is `bounded`, none within its reach."""

    code = "no_default_model"
    remedy = "Assign a model to the slot: `PUT /api/models/defaults`."

    def __init__(self, slot: str, *, bounded: bool = False) -> None:
        super().__init__(
            f"default:{slot} is not set, or its model is not among those this token may call."
            if bounded
            else f"default:{slot} is not set. Assign a model to it."
        )


class ConflictError(KeycairnError):
    """Somebody else changed the data in between; nothing of this change was kept."""

    code = "conflict"
    remedy = "Read again and repeat."

    def __init__(
        self, message: str = "The data changed in between. Nothing was written; read again and repeat."
    ) -> None:
        super().__init__(message)


class StaleVersionError(ConflictError):
    """The record is not of the expected version any more, or is gone."""

    code = "stale_version"
    remedy = "Read the record again and repeat."


class KeysetMovedError(StaleVersionError):
    """Another instance changed the keyset: what this one would write with its own could not be proven any more."""

    code = "keyset_moved"
    remedy = "Repeat; the instance reads the keyset again by itself."


class KeyInUseError(ConflictError):
    """A data key cannot be retired, because it still seals a secret."""

    code = "key_in_use"
    remedy = "Rotate first: `keycairn rotate`."

    def __init__(self, kid: int) -> None:
        super().__init__(f"Data key {kid} still seals secrets, so it stays. Rotate first.")


class KeyNeededError(ConflictError):
    """A retired data key cannot be forgotten, because secrets do not open without it, or do not open at all."""

    code = "key_needed"
    remedy = "Seal the named records anew with `keycairn doctor --fix`, or send their keys again."

    def __init__(self, kid: int, records: Sequence[str]) -> None:
        shown = ", ".join(records[:5]) + (", ..." if len(records) > 5 else "")
        super().__init__(
            f"Data key {kid} may still be needed: {len(records)} records hold secrets that do not open without it, or "
            f"do not open at all: {shown}. Seal them anew (keycairn doctor --fix), or send their keys again or delete "
            "them. Nothing was changed."
        )


class DuplicateError(ConflictError):
    """A record with this id, or with these unique fields, exists already."""

    code = "duplicate"
    remedy = "Use the record that is there, or take another id."


class PreconditionFailedError(KeycairnError):
    """`If-Match` names a version that is not the current one."""

    code = "precondition_failed"
    remedy = "Read the record again, and repeat with its new `ETag`."

    def __init__(self) -> None:
        super().__init__("The record is not of the version in If-Match any more. Read it again and repeat.")
