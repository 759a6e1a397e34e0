"""Who asks is not known, or may not."""

from collections.abc import Sequence

from keycairn.domain.errors.root import KeycairnError


class AuthenticationError(KeycairnError):
    """No token, or one that is unknown, expired or revoked. One message for all: it tells an attacker nothing."""

    code = "unauthenticated"
    remedy = "Send `Authorization: Bearer kc_...` with a token that is neither expired nor revoked."

    def __init__(self) -> None:
        super().__init__("A valid token is needed: Authorization: Bearer kc_...")


class TooManyAttemptsError(KeycairnError):
    """Too many failed attempts from one address. `retry_after` is in seconds."""

    code = "too_many_attempts"
    remedy = "Wait as `Retry-After` says, and use a good token."

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many failed attempts from this address. Wait a minute.")
        self.retry_after = retry_after


class TooManyProofsError(TooManyAttemptsError):
    """Too many wrong proofs of the root key, or too many at one time. `retry_after` is in seconds."""

    code = "too_many_proofs"
    remedy = "Wait as `Retry-After` says."

    def __init__(self, retry_after: int) -> None:
        KeycairnError.__init__(self, "Too many attempts to prove the root key. Wait a minute, and nothing is changed.")
        self.retry_after = retry_after


class ForbiddenError(KeycairnError):
    """The token is good, but does not carry the scope."""

    code = "forbidden"
    remedy = "Use a token with the scope that the sentence names."

    def __init__(self, scope: str) -> None:
        super().__init__(f"This token does not carry the scope {scope}.")


class BeyondMakerError(ForbiddenError):
    """A token was asked to make one that may more than itself. `bounds` are the fields that are too wide."""

    code = "beyond_maker"
    remedy = "Ask for less, or use a token that may more."

    def __init__(self, bounds: Sequence[str]) -> None:
        KeycairnError.__init__(
            self, f"No token makes one that may more, or works longer, than itself. Too wide: {', '.join(bounds)}."
        )


class OutOfReachError(ForbiddenError):
    """The token reaches certain credentials or models only."""

    code = "out_of_reach"
    remedy = "Ask for less, or use a token that reaches it."

    def __init__(self) -> None:
        KeycairnError.__init__(
            self, "This token reaches certain credentials or models only, and this request asks for more."
        )


class ListedModelsError(ForbiddenError):
    """The token may call certain models only; which ones a provider's own call, or a batch, names is not looked at."""

    code = "listed_models_only"
    remedy = "Call the model through /v1 or /anthropic, or use a token that may call every model of the provider."

    def __init__(self) -> None:
        KeycairnError.__init__(
            self,
            "This token may call certain models only. What a provider's own API, or a batch, names is not looked at.",
        )


class OwnLimitError(ForbiddenError):
    """The token has a limit of money, which is counted by what the request would change."""

    code = "own_limit"
    remedy = "Use a token without a limit of money."

    def __init__(self) -> None:
        KeycairnError.__init__(
            self,
            "This token has a limit of money, so it does not change which models there are, what they stand for and "
            "what they cost: its own limit is counted by that.",
        )


class InstallationOnlyError(ForbiddenError):
    """The request concerns every workspace."""

    code = "installation_only"
    remedy = "Use a token of the default workspace."

    def __init__(self) -> None:
        KeycairnError.__init__(self, "This concerns every workspace. It needs a token of the default workspace.")
