"""What a caller sent cannot be used."""

from collections.abc import Iterable, Mapping, Sequence

from keycairn.domain.errors.root import KeycairnError


class InvalidInputError(KeycairnError):
    """The caller sent something that cannot be used. `fields` maps a field's name to what is wrong with it."""

    code = "invalid_input"
    remedy = "Mend what the sentence, and each name under `errors`, points at, and send it again."

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields: dict[str, str] = dict(fields or {})


class InvalidIdError(InvalidInputError):
    """A record id that is not of the form `table:key`."""

    code = "invalid_id"
    remedy = "Take ids as answers of the API give them."

    def __init__(self, table: str) -> None:
        super().__init__(f"That is not a {table} id. Ids look like {table}:01J9ZK3V6Q8M2T4B7N5R0XWYCE.")


class UnknownProviderError(InvalidInputError):
    """No loaded plugin supplies the named provider."""

    code = "unknown_provider"
    remedy = "Choose one of `GET /api/providers`; install the plugin if it is not among them."

    def __init__(self) -> None:
        super().__init__("No loaded plugin supplies this provider. The list of providers names those there are.")


class NotProvenError(InvalidInputError):
    """An account was to be proven at its provider before it is stored, and was not. `why` is the check's sentence.

    `secrets` are those that were sent; `stored` says whether a former state of the account stays.
    """

    code = "not_proven"
    remedy = "Send another key, or the same without `test`, which stores it untested."

    def __init__(self, why: str, secrets: Iterable[str], *, stored: bool) -> None:
        kept = "Nothing was changed; what was stored stays." if stored else "Nothing was stored."
        super().__init__(f"{why} {kept}", dict.fromkeys(secrets, f"was not proven: {why}"))


class MissingFieldError(InvalidInputError):
    """A field the provider requires is absent. `groups`: one name of each inner sequence must be given."""

    code = "missing_field"
    remedy = "Send the fields that the answer names."

    def __init__(self, provider: str, groups: Sequence[Sequence[str]]) -> None:
        wanted = ", ".join(" or ".join(group) for group in groups)
        super().__init__(
            f"A {provider} credential needs: {wanted}.",
            {name: "required by the provider" for group in groups for name in group},
        )


class UndeclaredFieldError(InvalidInputError):
    """A setting or secret the provider does not declare. The name is not echoed: it may be a misplaced key."""

    code = "undeclared_field"
    remedy = "Send only fields that the provider declares; `GET /api/providers` lists them."

    def __init__(self, provider: str, declared: Sequence[str]) -> None:
        super().__init__(f"{provider} does not have one of these fields. It has: {', '.join(declared)}.")


class SecretInPlainFieldError(InvalidInputError):
    """The value of a secret also stands in a field that is stored and shown in the clear."""

    code = "secret_in_plain_field"
    remedy = "Take the secret out of the field that is shown to everyone."

    def __init__(self, field: str) -> None:
        super().__init__(
            f"The field {field} repeats the secret. Remove it there; that field is shown to everyone.",
            {field: "repeats the secret, and is shown to everyone"},
        )


class SecretLikeFieldError(InvalidInputError):
    """What is kept and shown in the clear holds what is a secret by its name or its looks. Neither is echoed."""

    code = "secret_like_field"
    remedy = "Leave it out, or send it as one of the provider's secrets."

    def __init__(self, field: str) -> None:
        super().__init__(
            f"The field {field}, which is shown to everyone, holds what looks like a secret. Leave that out, or send "
            "it as one of the provider's secrets.",
            {field: "holds what looks like a secret, and is shown to everyone"},
        )


class UrlRefusedError(InvalidInputError):
    """A URL that may not be used, because of its spelling or of where it leads. The URL is not echoed."""

    code = "url_refused"
    remedy = "Send a plain http or https URL of a host the egress policy allows; see `KEYCAIRN_EGRESS_ALLOW`."

    def __init__(self, why: str, field: str | None = None) -> None:
        super().__init__(f"This URL is refused: {why}.", {field: why} if field else None)
        self.why = why


class SecretReentryRequiredError(InvalidInputError):
    """The destination of a secret changed, so the secret has to be sent again."""

    code = "secret_reentry_required"
    remedy = "Send the named secrets again, in the same request as the new host."

    def __init__(self, secrets: Sequence[str]) -> None:
        super().__init__(
            "A secret is bound to the host it may be sent to, and this update changes the host, or who vouches for it. "
            f"Send it again in the same request: {', '.join(secrets)}.",
            dict.fromkeys(secrets, "send this secret again"),
        )


class InvalidMigrationTargetError(InvalidInputError):
    """The credential named in `migrate_to` cannot take the models over."""

    code = "invalid_migration_target"
    remedy = "Name another credential, one that is not deleted and takes these models."


class ModelExistsError(InvalidInputError):
    """The credential already has a model of this name and type."""

    code = "model_exists"
    remedy = "Use the model that is there, or give the new one another name or type."

    def __init__(self) -> None:
        super().__init__("This credential already has a model of that name and type.")


class InvalidDefaultError(InvalidInputError):
    """A default slot cannot hold what was sent for it."""

    code = "invalid_default"
    remedy = "Choose a model of the type the slot asks for."


class UnreadableSourceError(InvalidInputError):
    """What shall be imported is not in the form it should be. The message never quotes it."""

    code = "unreadable_source"
    remedy = "Name the format, or export the file again."


class UnusableKeyError(InvalidInputError):
    """What was sent as a secret is certainly none, or none that could be sent on. It is not echoed."""

    code = "unusable_key"
    remedy = "Send the key alone, as the provider's page shows it."

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"The field {field} holds no usable key: {why}.", {field: why})
        self.why = why
