"""Every error Keycairn raises on purpose, under one root.

Each class owns its message, a sentence the reader can act on. A message never holds the value of a secret, a
provider's raw answer, or text the client sent in a field that might be a misplaced secret. `code` is stable: clients
match on it.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar


class KeycairnError(Exception):
    """The root. `code` is a stable machine-readable name; `str(error)` is safe to show."""

    code: ClassVar[str] = "internal_error"


class InvalidInputError(KeycairnError):
    """The caller sent something that cannot be used. `fields` maps a field's name to what is wrong with it."""

    code = "invalid_input"

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields: dict[str, str] = dict(fields or {})


class InvalidIdError(InvalidInputError):
    """A record id that is not of the form `table:key`."""

    code = "invalid_id"

    def __init__(self, table: str) -> None:
        super().__init__(f"That is not a {table} id. Ids look like {table}:01J9ZK3V6Q8M2T4B7N5R0XWYCE.")


class UnknownProviderError(InvalidInputError):
    """No loaded plugin supplies the named provider."""

    code = "unknown_provider"

    def __init__(self) -> None:
        super().__init__("No loaded plugin supplies this provider. GET /api/providers lists the known ones.")


class MissingFieldError(InvalidInputError):
    """A field the provider requires is absent. `groups`: one name of each inner sequence must be given."""

    code = "missing_field"

    def __init__(self, provider: str, groups: Sequence[Sequence[str]]) -> None:
        wanted = ", ".join(" or ".join(group) for group in groups)
        super().__init__(
            f"A {provider} credential needs: {wanted}.",
            {name: "required by the provider" for group in groups for name in group},
        )


class UndeclaredFieldError(InvalidInputError):
    """A setting or secret the provider does not declare. The name is not echoed: it may be a misplaced key."""

    code = "undeclared_field"

    def __init__(self, provider: str, declared: Sequence[str]) -> None:
        super().__init__(f"{provider} does not have one of these fields. It has: {', '.join(declared)}.")


class SecretInPlainFieldError(InvalidInputError):
    """The value of a secret also stands in a field that is stored and shown in the clear."""

    code = "secret_in_plain_field"

    def __init__(self, field: str) -> None:
        super().__init__(f"The field {field} repeats the secret. Remove it there; that field is shown to everyone.")


class SecretLikeFieldError(InvalidInputError):
    """What is kept and shown in the clear holds what is a secret by its name or its looks. Neither is echoed."""

    code = "secret_like_field"

    def __init__(self, field: str) -> None:
        super().__init__(
            f"The field {field}, which is shown to everyone, holds what looks like a secret. Leave that out, or send "
            "it as one of the provider's secrets."
        )


class UrlRefusedError(InvalidInputError):
    """A URL that may not be used, because of its spelling or of where it leads. The URL is not echoed."""

    code = "url_refused"

    def __init__(self, why: str, field: str | None = None) -> None:
        super().__init__(f"This URL is refused: {why}.", {field: why} if field else None)
        self.why = why


class SecretReentryRequiredError(InvalidInputError):
    """The destination of a secret changed, so the secret has to be sent again."""

    code = "secret_reentry_required"

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__(
            "A secret is bound to the host it may be sent to, and this update changes the host. "
            f"Send it again in the same request: {', '.join(secrets)}.",
            dict.fromkeys(secrets, "send this secret again"),
        )


class InvalidMigrationTargetError(InvalidInputError):
    """The credential named in `migrate_to` cannot take the models over."""

    code = "invalid_migration_target"


class ModelExistsError(InvalidInputError):
    """The credential already has a model of this name and type."""

    code = "model_exists"

    def __init__(self) -> None:
        super().__init__("This credential already has a model of that name and type.")


class InvalidDefaultError(InvalidInputError):
    """A default slot cannot hold what was sent for it."""

    code = "invalid_default"


class UnreadableSourceError(InvalidInputError):
    """What shall be imported is not in the form it should be. The message never quotes it."""

    code = "unreadable_source"


class NotFoundError(KeycairnError):
    """The record does not exist in the caller's workspace."""

    code = "not_found"


class CredentialNotFoundError(NotFoundError):
    """No such credential in the caller's workspace."""

    code = "credential_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such credential.")


class RecordNotRefusedError(NotFoundError):
    """No refused or unreadable record of that name, which alone may be discarded unseen."""

    code = "record_not_refused"

    def __init__(self) -> None:
        super().__init__("No record of that name is refused or unreadable. GET /api/checkup names those that are.")


class ModelNotFoundError(NotFoundError):
    """No such model in the caller's workspace."""

    code = "model_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such model.")


class TokenNotFoundError(NotFoundError):
    """No such token in the caller's workspace."""

    code = "token_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such token.")


class ConflictError(KeycairnError):
    """Somebody else changed the data in between; nothing of this change was kept."""

    code = "conflict"

    def __init__(
        self, message: str = "The data changed in between. Nothing was written; read again and repeat."
    ) -> None:
        super().__init__(message)


class StaleVersionError(ConflictError):
    """The record is not of the expected version any more, or is gone."""

    code = "stale_version"


class KeysetMovedError(StaleVersionError):
    """Another instance changed the keyset: what this one would write with its own could not be proven any more."""

    code = "keyset_moved"


class KeyInUseError(ConflictError):
    """A data key cannot be retired, because it still seals a secret."""

    code = "key_in_use"

    def __init__(self, kid: int) -> None:
        super().__init__(f"Data key {kid} still seals secrets, so it stays. Rotate first.")


class KeyNeededError(ConflictError):
    """A retired data key cannot be forgotten, because secrets do not open without it, or do not open at all."""

    code = "key_needed"

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


class PreconditionFailedError(KeycairnError):
    """`If-Match` names a version that is not the current one."""

    code = "precondition_failed"

    def __init__(self) -> None:
        super().__init__("The record is not of the version in If-Match any more. Read it again and repeat.")


class AuthenticationError(KeycairnError):
    """No token, or one that is unknown, expired or revoked. One message for all: it tells an attacker nothing."""

    code = "unauthenticated"

    def __init__(self) -> None:
        super().__init__("A valid token is needed: Authorization: Bearer kc_...")


class TooManyAttemptsError(KeycairnError):
    """Too many failed attempts from one address. `retry_after` is in seconds."""

    code = "too_many_attempts"

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many failed attempts from this address. Wait a minute.")
        self.retry_after = retry_after


class ForbiddenError(KeycairnError):
    """The token is good, but does not carry the scope."""

    code = "forbidden"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This token does not carry the scope {scope}.")


class BeyondMakerError(ForbiddenError):
    """A token was asked to make one that may more than itself. `bounds` are the fields that are too wide."""

    code = "beyond_maker"

    def __init__(self, bounds: Sequence[str]) -> None:
        KeycairnError.__init__(
            self, f"No token makes one that may more, or works longer, than itself. Too wide: {', '.join(bounds)}."
        )


class OutOfReachError(ForbiddenError):
    """The token reaches certain accounts only."""

    code = "out_of_reach"

    def __init__(self) -> None:
        KeycairnError.__init__(self, "This token reaches certain accounts only, and this request asks for more.")


class InstallationOnlyError(ForbiddenError):
    """The request concerns every workspace."""

    code = "installation_only"

    def __init__(self) -> None:
        KeycairnError.__init__(self, "This concerns every workspace. It needs a token of the default workspace.")


class RootKeyError(KeycairnError):
    """The root key setting cannot be used: malformed, too short, or a well-known example value."""

    code = "root_key_invalid"


class WrongRootKeyError(KeycairnError):
    """The root key is well-formed, but opens no slot of the keyset."""

    code = "root_key_wrong"

    def __init__(self, slots: Sequence[str]) -> None:
        super().__init__(
            f"The root key opens none of the keyset's slots ({', '.join(slots) or 'it has none'}). "
            "Set KEYCAIRN_ROOT_KEY to the key this database was created with. Nothing was changed."
        )


class DamagedKeysetError(WrongRootKeyError):
    """The keyset record was changed or damaged: what the root key opens does not fit it, or it is malformed (`why`)."""

    code = "keyset_damaged"

    def __init__(self, why: str | None = None) -> None:
        found = f"The keyset record cannot be one: {why}" if why else "The root key is right, but the record is not"
        KeycairnError.__init__(
            self, f"{found}. It was changed or damaged outside Keycairn. Restore it from a backup. Nothing was changed."
        )


class WrongRootKeyProofError(KeycairnError):
    """The present root key was asked for, and what was sent opens no slot of the keyset."""

    code = "wrong_root_key_proof"

    def __init__(self) -> None:
        super().__init__(
            "This asks for the present root key itself, and what was sent does not open the keyset. "
            "No token stands in for it. Nothing was changed."
        )


class SealedError(KeycairnError):
    """The service runs without a usable root key, so nothing can be opened or sealed. `why` is safe to show."""

    code = "sealed"

    def __init__(self, why: str) -> None:
        super().__init__(f"Keycairn is sealed. {why}")
        self.why = why


class UndecryptableError(KeycairnError):
    """A sealed secret does not open. `reason` is a short text for the record's `decryption_error`."""

    code = "undecryptable"

    def __init__(self, reason: str) -> None:
        super().__init__(f"The stored secret cannot be opened: {reason}. Send the key again to repair this credential.")
        self.reason = reason


class SpoolError(KeycairnError):
    """The disk took no bytes that a call needed once more, or did not give them back."""

    code = "spool_failed"

    def __init__(self) -> None:
        super().__init__("The request's body could not be kept on disk. Look at the room left in the data folder.")


class StoreError(KeycairnError):
    """The database refused or failed."""

    code = "store_error"

    def __init__(self, message: str = "The database could not do this. Nothing was written.") -> None:
        super().__init__(message)


class StoreUnavailableError(StoreError):
    """The database cannot be reached, or was closed."""

    code = "store_unavailable"

    def __init__(self, message: str = "The database cannot be reached. Try again shortly.") -> None:
        super().__init__(message)


class OutcomeUnknownError(StoreUnavailableError):
    """The database went away around a change: it may be there or not. `event` is the audit event that tells."""

    code = "outcome_unknown"

    def __init__(self, event: str | None = None) -> None:
        tell = f" The audit event {event} will be there if it was." if event else ""
        super().__init__(
            "The database broke off during a write, and it is unknown whether it was carried out. "
            "Read again before repeating it." + tell
        )
        self.event = event


class StoreLockedError(StoreError):
    """Another process holds the embedded database."""

    code = "store_locked"

    def __init__(self, path: str) -> None:
        super().__init__(f"Another Keycairn process is using the database at {path}. Stop it, or use its HTTP API.")


class StoreFullError(StoreError):
    """There is no room for a change on the disk. Nothing of it was kept."""

    code = "store_full"

    def __init__(self, where: str, why: str = "the disk is full") -> None:
        super().__init__(f"Nothing was written: {why} at {where}. Reading goes on; make room, and writing does too.")


class CommitPendingError(StoreError):
    """A change is kept for good, but the database has not taken it in yet. `event` is the audit event to look for."""

    code = "commit_pending"

    def __init__(self, event: str | None) -> None:
        where = f" Its audit event is {event}." if event else ""
        super().__init__(
            "The change is kept and will be there, but the database cannot show it yet. Read again before repeating it."
            + where
        )
        self.event = event


class UnreadableRecordError(StoreError):
    """A stored record is not one that Keycairn wrote. `kind` and `key` name it; `why` is a short clause, no value."""

    code = "unreadable_record"

    def __init__(self, kind: str, key: str, why: str) -> None:
        super().__init__(f"The stored {kind} {key} cannot be read: {why}.")
        self.kind, self.key, self.why = kind, key, why


class RefusedRecordError(UnreadableRecordError):
    """A stored record is not as it was left: its proof does not hold, or the audit log knows a later one."""

    code = "refused_record"

    def __init__(self, kind: str, key: str, why: str) -> None:
        StoreError.__init__(self, f"The stored {kind} {key} is refused: {why}.")
        self.kind, self.key, self.why = kind, key, why


class RecordsUnknownError(StoreError):
    """The records are not those that were left, and the audit log that would tell which ones are has gaps."""

    code = "records_unknown"

    def __init__(self) -> None:
        super().__init__(
            "The records in the database are not those that were left, and the audit log that would tell which has "
            "gaps: somebody else wrote to it, or it is damaged. Restore a backup. To go on with what is there, stop "
            "the service and use: keycairn doctor --accept-database"
        )


class RedoLogError(StoreError):
    """The redo log and the database do not belong together, or what lies between them is gone. Nothing was changed."""

    code = "redo_log"


class DataFolderLockedError(StoreLockedError):
    """Another process holds the data folder."""

    def __init__(self, path: str) -> None:
        StoreError.__init__(
            self, f"Another Keycairn process is using the data folder {path}. Stop it, or use its HTTP API."
        )


class StoreMovedError(StoreUnavailableError):
    """The folder of the embedded database was moved or replaced while it is open."""

    code = "store_moved"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"The folder {path} was moved or replaced while Keycairn uses it. Nothing was written. "
            "Put it back, or stop Keycairn and start it on the folder that is meant."
        )


class DamagedAnchorError(StoreError):
    """The file with the head of the audit chain is not what was written."""

    code = "anchor_damaged"

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} is damaged, so it cannot prove that the database has lost nothing.")


class StoreNotEmptyError(StoreError):
    """Something is stored already where a backup was to be restored."""

    code = "store_not_empty"

    def __init__(self) -> None:
        super().__init__(
            "The database is not empty, and a backup is restored into an empty one only. Nothing was changed. "
            "Give another KEYCAIRN_DATA_DIR or KEYCAIRN_DATABASE_URL, or move the present data away first."
        )


class RestoringError(StoreError):
    """A restore writes into the database, or was cut off within the last minute."""

    code = "store_restoring"

    def __init__(self) -> None:
        super().__init__(
            "A backup is being restored into this database. Wait until that is done; if it was cut off, "
            "the database is empty again in a minute."
        )


class DamagedBackupError(KeycairnError):
    """A file is not a backup, or not a whole one. `why` is a short clause."""

    code = "backup_damaged"

    def __init__(self, why: str) -> None:
        super().__init__(f"The backup cannot be used: {why}. Nothing was changed; take another copy of it.")


class BackupFileError(KeycairnError):
    """A backup's file or folder cannot be read or written. The message names it and says why."""

    code = "backup_file"


class RestoreMismatchError(KeycairnError):
    """Read back after a restore, the database holds something else than the backup."""

    code = "restore_mismatch"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The database does not hold what was restored into it: {what} differs. Do not use it. "
            "Remove it, check the disk, and restore again."
        )


class SettingsError(KeycairnError):
    """A setting cannot be used. One plain sentence, names the variable, never its value when it is a secret."""

    code = "bad_setting"


class DataFolderError(KeycairnError):
    """A file of the data folder cannot be written. Names it and says why."""

    code = "data_folder"

    def __init__(self, file: object, error: OSError) -> None:
        super().__init__(f"{file} cannot be written: {error.strerror}.")


class MissingDatabaseError(SettingsError):
    """There was a database, as `trace` shows, and there is none. It is not made anew in silence."""

    code = "database_missing"

    def __init__(self, where: str, trace: str) -> None:
        super().__init__(
            f"The database {where} is gone, although {trace} shows that there was one: mount it, bring it back, or "
            "restore a backup; to begin with an empty one on purpose, use `keycairn serve --new-database`."
        )


class PluginError(KeycairnError):
    """A provider plugin is not usable. Names the plugin."""

    code = "plugin_error"


class EgressRefusedError(KeycairnError):
    """The guarded client did not send a request, because its destination is forbidden. Nothing left the process."""

    code = "egress_refused"

    def __init__(self, why: str) -> None:
        super().__init__(f"This destination is refused: {why}.")
        self.why = why


class ProviderError(KeycairnError):
    """A provider did not do what was asked. Subclasses say which way; the provider's own text is never in it."""

    code = "provider_error"

    def __init__(self, message: str = "The provider answered with an error.", *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class InvalidAuthError(ProviderError):
    """The provider refused the key (401, 403)."""

    code = "provider_invalid_auth"

    def __init__(self, message: str = "The provider refused the key.", *, status: int | None = None) -> None:
        super().__init__(message, status=status)


class CannotConnectError(ProviderError):
    """The provider cannot be reached: name, route, connection, TLS."""

    code = "provider_unreachable"

    def __init__(self, message: str = "The provider cannot be reached.", *, status: int | None = None) -> None:
        super().__init__(message, status=status)


class NotSentError(CannotConnectError):
    """No connection came about, so the provider has seen nothing of the request. Repeating it is safe."""


class ProviderTimeoutError(CannotConnectError):
    """The provider did not answer within the deadline."""

    code = "provider_timeout"

    def __init__(self, message: str = "The provider did not answer in time.", *, status: int | None = None) -> None:
        super().__init__(message, status=status)


class RateLimitedError(ProviderError):
    """The provider accepted the key and asks for patience. `retry_after` in seconds, where it said so."""

    code = "provider_rate_limited"

    def __init__(self, *, status: int | None = 429, retry_after: float | None = None) -> None:
        super().__init__("The provider accepted the key, but limits its rate right now.", status=status)
        self.retry_after = retry_after


class QuotaExhaustedError(ProviderError):
    """The provider accepted the key, but the account has no credit or quota left."""

    code = "provider_quota_exhausted"

    def __init__(self, *, status: int | None = None) -> None:
        super().__init__("The provider accepted the key, but the account has no quota left.", status=status)


class ModelGoneError(ProviderError):
    """The provider accepted the key, but does not know the model that was asked for."""

    code = "provider_model_not_found"

    def __init__(self, *, status: int | None = 404) -> None:
        super().__init__("The provider accepted the key, but does not have this model.", status=status)


class GarbledAnswerError(ProviderError):
    """The provider answered, but not in the format it should: HTML, truncated JSON, wrong shapes, too many bytes."""

    code = "provider_garbled"

    def __init__(
        self, message: str = "The provider's answer cannot be understood.", *, status: int | None = None
    ) -> None:
        super().__init__(message, status=status)
