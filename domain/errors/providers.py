"""What became of a request to a provider."""

from keycairn.domain.errors.root import KeycairnError


class EgressRefusedError(KeycairnError):
    """The guarded client did not send a request, because its destination is forbidden. Nothing left the process."""

    code = "egress_refused"
    remedy = "Correct the credential's URL, or allow its host with `KEYCAIRN_EGRESS_ALLOW`."

    def __init__(self, why: str) -> None:
        super().__init__(f"This destination is refused: {why}.")
        self.why = why


class ProviderError(KeycairnError):
    """A provider did not do what was asked. Subclasses say which way; the provider's own text is never in it."""

    code = "provider_error"
    remedy = "Try again; see the provider's own status page."

    def __init__(self, message: str = "The provider answered with an error.", *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class InvalidAuthError(ProviderError):
    """The provider refused the key."""

    code = "provider_invalid_auth"
    remedy = "Send a good key for the credential."

    def __init__(self, message: str = "The provider refused the key.", *, status: int | None = None) -> None:
        super().__init__(message, status=status)


class KeyRestsError(InvalidAuthError):
    """The provider refused the key a moment ago, so it is not asked again yet. `retry_after` is in seconds."""

    remedy = "Send a good key for the credential: it is used at once."

    def __init__(self, retry_after: float) -> None:
        super().__init__("The provider refused the key a moment ago. It is asked again after a short rest.")
        self.retry_after = retry_after


class NoPermissionError(ProviderError):
    """The provider knows the key, but does not let it do this."""

    code = "provider_no_permission"
    remedy = "Give the key the permission at the provider, or use one that has it."

    def __init__(
        self, message: str = "The provider does not let this key do that.", *, status: int | None = None
    ) -> None:
        super().__init__(message, status=status)


class AddressNotFoundError(ProviderError):
    """Nothing of the provider's API is at this address (404, 405, 410)."""

    code = "provider_not_found"
    remedy = "Correct the credential's base URL; many end in /v1."

    def __init__(self, *, status: int | None = 404) -> None:
        shown = "" if status is None else f" ({status})"
        message = f"There is no such address at the provider{shown}. Check the URL; many a base URL ends in /v1."
        super().__init__(message, status=status)


class CallRefusedError(ProviderError):
    """The provider refused the call itself, such as 400 or 422. This tells nothing of the key."""

    code = "provider_bad_request"
    remedy = "Mend the call; for a test, see that the URL and the settings are those of this provider."


class ProviderDownError(ProviderError):
    """The provider failed or is overloaded."""

    code = "provider_down"
    remedy = "Try again later; see the provider's own status page."


class CannotConnectError(ProviderError):
    """The provider cannot be reached: name, route, connection, TLS."""

    code = "provider_unreachable"
    remedy = "See that the credential's URL is right and its host can be reached from here."

    def __init__(self, message: str = "The provider cannot be reached.", *, status: int | None = None) -> None:
        super().__init__(message, status=status)


class NotSentError(CannotConnectError):
    """No connection came about, so the provider has seen nothing of the request. Repeating it is safe."""

    remedy = "See that the credential's URL is right and its host can be reached from here."


class ProviderTimeoutError(CannotConnectError):
    """The provider did not answer within the deadline."""

    code = "provider_timeout"
    remedy = "Try again; the provider may have begun the work."

    def __init__(self, message: str = "The provider did not answer in time.", *, status: int | None = None) -> None:
        super().__init__(message, status=status)


class RateLimitedError(ProviderError):
    """The provider accepted the key and asks for patience. `retry_after` in seconds, where it said so."""

    code = "provider_rate_limited"
    remedy = "Wait as `Retry-After` says, or link the model to a second credential."

    def __init__(self, *, status: int | None = 429, retry_after: float | None = None) -> None:
        super().__init__("The provider accepted the key, but limits its rate right now.", status=status)
        self.retry_after = retry_after


class QuotaExhaustedError(ProviderError):
    """The provider accepted the key, but the account has no credit or quota left."""

    code = "provider_quota_exhausted"
    remedy = "Top the account up at the provider, or link the model to another credential."

    def __init__(self, *, status: int | None = None) -> None:
        super().__init__("The provider accepted the key, but the account has no quota left.", status=status)


class ModelGoneError(ProviderError):
    """The provider accepted the key, but does not know the model that was asked for."""

    code = "provider_model_not_found"
    remedy = "Discover the provider's models again, and register one that is there."

    def __init__(self, *, status: int | None = 404) -> None:
        super().__init__("The provider accepted the key, but does not have this model.", status=status)


class GarbledAnswerError(ProviderError):
    """The provider answered, but not in the format it should: HTML, truncated JSON, wrong shapes, too many bytes."""

    code = "provider_garbled"
    remedy = "See that the credential's URL leads to the provider's API and not to a page or a proxy."

    def __init__(
        self, message: str = "The provider's answer cannot be understood.", *, status: int | None = None
    ) -> None:
        super().__init__(message, status=status)


class ClientConfigError(ProviderError):
    """No in-process client can be configured to act as this account. `message` says why, and what to do."""

    code = "provider_client_config"
    remedy = "Call the model through the gateway, or change the account as the sentence says."


class PluginFailedError(ProviderError):
    """A provider's plugin raised something it should not have, or answered what is no answer. `why` is in our words."""

    code = "plugin_failed"
    remedy = "See the service's log, and tell the plugin's author."

    def __init__(self, why: str) -> None:
        super().__init__(f"The provider plugin failed ({why}).")
