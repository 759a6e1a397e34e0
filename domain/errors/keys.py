"""The root key, the keyset and what is sealed with them."""

from collections.abc import Sequence
from datetime import datetime

from keycairn.domain.errors.root import KeycairnError


class RootKeyError(KeycairnError):
    """The root key setting cannot be used: malformed, too short, or a well-known example value."""

    code = "root_key_invalid"
    remedy = "Set `KEYCAIRN_ROOT_KEY` to `base64:` and 32 random bytes, or `passphrase:` and a long sentence."


class WrongRootKeyError(KeycairnError):
    """The root key is well-formed, but opens no slot of the keyset."""

    code = "root_key_wrong"
    remedy = "Set `KEYCAIRN_ROOT_KEY` to the key this database was created with."

    def __init__(self, slots: Sequence[str]) -> None:
        super().__init__(
            f"The root key opens none of the keyset's slots ({', '.join(slots) or 'it has none'}). "
            "Set KEYCAIRN_ROOT_KEY to the key this database was created with. Nothing was changed."
        )


class BackupKeyError(WrongRootKeyError):
    """No root key at hand opens a backup: it needs the one that was in use when it was made."""

    code = "backup_key_wrong"
    remedy = "Give the root key of the backup's time: `keycairn restore FILE --root-key -`, or `@` and its file."

    def __init__(self, slots: Sequence[str], created: datetime) -> None:
        KeycairnError.__init__(
            self,
            f"The backup needs the root key that was in use on {created:%Y-%m-%d %H:%M} UTC "
            f"({' or '.join(slots) or 'it has none'}), and none at hand is that. Give it with --root-key, "
            "as - or @ and a file. Nothing was changed.",
        )


class DamagedKeysetError(WrongRootKeyError):
    """The keyset record was changed or damaged: what the root key opens does not fit it, or it is malformed (`why`)."""

    code = "keyset_damaged"
    remedy = "Restore a backup; the root key is not at fault."

    def __init__(self, why: str | None = None) -> None:
        found = f"The keyset record cannot be one: {why}" if why else "The root key is right, but the record is not"
        KeycairnError.__init__(
            self, f"{found}. It was changed or damaged outside Keycairn. Restore it from a backup. Nothing was changed."
        )


class WrongRootKeyProofError(KeycairnError):
    """The present root key was asked for, and what was sent opens no slot of the keyset."""

    code = "wrong_root_key_proof"
    remedy = "Send the present root key itself."

    def __init__(self) -> None:
        super().__init__(
            "This asks for the present root key itself, and what was sent does not open the keyset. "
            "No token stands in for it. Nothing was changed."
        )


class SealedError(KeycairnError):
    """The service runs without a usable root key, so nothing can be opened or sealed. `why` is safe to show."""

    code = "sealed"
    remedy = "Set the right root key and start again; the sentence says what is wrong with the present one."

    def __init__(self, why: str) -> None:
        super().__init__(f"Keycairn is sealed. {why}")
        self.why = why


class UndecryptableError(KeycairnError):
    """A sealed secret does not open. `reason` is a short text for the record's `decryption_error`."""

    code = "undecryptable"
    remedy = "Send the credential's key again."

    def __init__(self, reason: str) -> None:
        super().__init__(f"The stored secret cannot be opened: {reason}. Send the key again to repair this credential.")
        self.reason = reason


class NothingLostError(KeycairnError):
    """The root key that is set opens the keyset, or there is nothing it would have to open."""

    code = "nothing_lost"
    remedy = "Nothing; go on with the root key that is set."

    def __init__(self) -> None:
        super().__init__("The root key opens everything that is stored, so none is lost. Nothing was changed.")
