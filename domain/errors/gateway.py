"""What the gateway itself refuses."""

from collections.abc import Iterable

from keycairn.domain.errors.input import InvalidInputError
from keycairn.domain.errors.records import NotFoundError
from keycairn.domain.errors.root import KeycairnError


class RequestRefusedError(InvalidInputError):
    """The call itself cannot be understood: no model in it, a malformed body."""

    code = "invalid_request"
    remedy = "Mend the call as the sentence says."


class ModelNameError(RequestRefusedError):
    """What stands for the model can be no name."""

    remedy = "Send the model's name as `GET /v1/models` lists it."

    def __init__(self, most: int) -> None:
        super().__init__(f'"model" must be 1 to {most} printable characters.')


class BodyTooLargeError(InvalidInputError):
    """More bytes than the gateway takes before it knows the model."""

    code = "body_too_large"
    remedy = "Send less."


class BodyTooSlowError(InvalidInputError):
    """The client took too long to send its body."""

    code = "body_too_slow"
    remedy = "Send the body faster."

    def __init__(self) -> None:
        super().__init__("The request's body did not arrive in time.")


class NoRouteError(NotFoundError):
    """The gateway has nothing at this path."""

    code = "not_found"
    remedy = "See docs/gateway.md for the paths there are."

    def __init__(self, message: str = "The gateway has nothing at this path.") -> None:
        super().__init__(message)


class ResourceNotFoundError(NotFoundError):
    """A response, file or batch of that id was not made with the caller's token."""

    code = "resource_not_found"
    remedy = "Use the id as it was given, with the token it was given to."

    def __init__(self) -> None:
        super().__init__("There is nothing of that id, or it was made with another token.")


class MethodError(InvalidInputError):
    """The path is there, but takes another method; `allowed` are those it takes, where they are known."""

    code = "method_not_allowed"
    remedy = "Use the method that the `Allow` header or the API's description names."

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        super().__init__("This path does not take that method.")
        self.allowed: tuple[str, ...] = tuple(sorted(allowed))


class OverloadedError(KeycairnError):
    """The gateway holds as much as it may. Try again shortly."""

    code = "overloaded"
    remedy = "Try again shortly."

    def __init__(self) -> None:
        super().__init__("The gateway holds as many calls as it may. Try again shortly.")
        self.retry_after: float = 1.0


class LimitReachedError(KeycairnError):
    """A limit of Keycairn's own, on a token or a credential. `retry_after` is in seconds."""

    code = "limit_reached"
    remedy = "Wait as `Retry-After` says, or raise the limit of the token or the credential."

    def __init__(self, what: str, retry_after: float) -> None:
        super().__init__(f"Keycairn's own limit is reached: {what}.")
        self.retry_after = retry_after


class SpoolError(KeycairnError):
    """The disk took no bytes that a call needed once more, or did not give them back."""

    code = "spool_failed"
    remedy = "Make room in the data folder."

    def __init__(self) -> None:
        super().__init__("The request's body could not be kept on disk. Look at the room left in the data folder.")
