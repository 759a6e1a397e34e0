"""A credential's options: timeouts of its calls, headers that go along, authorities it trusts."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.errors import InvalidInputError, SecretLikeFieldError
from keycairn.domain.pass_through import may_steer, own_header_fault
from keycairn.domain.secret import Secret
from keycairn.domain.secretlike import looks_secret

SHORTEST_TIME, LONGEST_TIME = 0.1, 3600.0
"""Seconds. A call ends after an hour, whatever its account says."""
MOST_HEADERS = 20
LONGEST_VALUE = 2048
"""Characters."""


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a credential says of its calls. All of it is the service's own way where nothing is said.

    `any_model`: `provider/name` is passed on to the account where no such model is registered. The times are in
    seconds: until the first byte of an answer, between two of its bytes, and for one attempt as a whole. `headers` go
    along with every request. `ca_certificates`, in PEM, are trusted besides the system's authorities.
    `closed` says why the account is closed for calls, "" where it is not; Keycairn itself closes one whose key leaked.
    """

    any_model: bool = False
    first_byte_timeout: float | None = None
    idle_timeout: float | None = None
    total_timeout: float | None = None
    headers: Mapping[str, str] = {}
    ca_certificates: str = ""
    closed: str = ""

    def added_to(self, headers: Mapping[str, str | Secret]) -> Mapping[str, str | Secret]:
        """Headers of a request with those of the account, in place of others of the same name that are no secret."""
        own = self.headers
        if not own:
            return headers
        kept = {name: one for name, one in headers.items() if isinstance(one, Secret) or name.lower() not in own}
        taken = {name.lower() for name in kept}
        return {**kept, **{name: value for name, value in own.items() if name not in taken}}


NO_OPTIONS = Options()


def steering_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those that a proxy may read as where to send a call on to: by a word of their name, or by what they hold."""
    return {name: value for name, value in headers.items() if may_steer(name, value)}


def checked_options(options: Options) -> Options:
    """The options as they are stored: headers by their names in lower case. Raises InvalidInputError."""
    times = {name: getattr(options, name) for name in ("first_byte_timeout", "idle_timeout", "total_timeout")}
    wrong = [name for name, time in times.items() if time is not None and not SHORTEST_TIME <= time <= LONGEST_TIME]
    if wrong:
        message = f"A timeout is from {SHORTEST_TIME} to {LONGEST_TIME} seconds: {', '.join(wrong)}."
        bounds = f"must be from {SHORTEST_TIME:g} to {LONGEST_TIME:g} seconds"
        raise InvalidInputError(message, {f"options.{name}": bounds for name in wrong})
    headers = {name.strip().lower(): value.strip() for name, value in options.headers.items()}
    if len(headers) > MOST_HEADERS or len(headers) < len(options.headers):
        message = f"At most {MOST_HEADERS} headers can be set, each once."
        raise InvalidInputError(message, {"options.headers": f"must be at most {MOST_HEADERS}, each once"})
    for name, value in headers.items():
        if why := own_header_fault(name):
            raise InvalidInputError(f"A header that an account sets {why}.", {"options.headers": why})
        if not 0 < len(value) <= LONGEST_VALUE or not value.isascii() or not value.isprintable():
            message = f"The header {name} holds 1 to {LONGEST_VALUE} printable ASCII characters."
            raise InvalidInputError(message, {"options.headers": "must be printable ASCII"})
        if looks_secret(value):
            raise SecretLikeFieldError("options.headers")
    return replace(options, headers=headers)
