"""One call: what the client asked for, and what is known of how it went."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from keycairn.app.gateway.limits import FREE, Charge
from keycairn.app.gateway.message_batch import MessageBatch
from keycairn.app.gateway.naming import Body, NamedJson
from keycairn.app.gateway.resource_ids import ResourceIds
from keycairn.app.gateway.stream_usage import APIS_THAT_ASK
from keycairn.app.gateway.usage_scanner import Counted
from keycairn.app.services.access import Principal
from keycairn.domain.dialect import Dialect
from keycairn.domain.modality import Modality
from keycairn.domain.price import Price
from keycairn.domain.routing import Serving
from keycairn.domain.secret import Secret
from keycairn.ports.websocket import SWITCHING

CONNECT_WITHIN = 10.0
"""Seconds for the name, the connection and TLS."""
ANSWER_WITHIN = 600.0
"""Seconds a provider may be silent, before the first byte and between two: models think long."""
HANDSHAKE_WITHIN = 30.0
"""Seconds a provider has to agree to a websocket."""
CALL_WITHIN = 3600.0
"""Seconds a call may take as a whole, however busy both sides are."""
MOST_ATTEMPTS = 4
MOST_WITH_ROTATIONS = 12
"""Attempts of a call whose keys were rotated while it used them: each such refusal allows one more."""


class Api(Struct, frozen=True):
    """One operation of an API. `path` is what follows the provider's base URL.

    `repeatable`: doing it twice does no harm, so that it is repeated even where the provider may have begun.
    """

    name: str
    path: str
    type: Modality | None = None
    repeatable: bool = False
    anthropic: bool = False
    native: bool = False
    version: str = ""
    """Of the provider's own API, in place of the one its base URL ends with."""
    keeps: bool = False
    """Whether what it makes lives on at the account."""
    counts: bool = True
    """Whether calls of it may use tokens."""
    websocket: bool = False
    speaks_first: bool = False
    """Over a websocket: whether the provider says something before it is asked."""

    @property
    def uses_tokens(self) -> bool:
        """Whether each call of it uses model tokens, whatever its answer tells."""
        return self.counts and self.type in {Modality.LANGUAGE, Modality.EMBEDDING}

    @property
    def answers(self) -> bool:
        """Whether its answer is made of model tokens."""
        return self.counts and self.type is Modality.LANGUAGE


class Call(Struct, kw_only=True):
    """A call that may be made. `model` is the name as the client gave it, None for a call that names none.

    `credential` is the only one that may serve it, by its id or its key, None where any of the model's may.
    `headers` are what the client sent, which is more than goes on.
    """

    api: Api
    method: str
    query: str
    headers: list[tuple[str, str]]
    caller: Principal
    token: Secret = Secret("")
    """The caller's own."""
    model: str | None = None
    credential: str | None = None
    body: Body | MessageBatch | None = None
    resources: ResourceIds | None = None
    """What seals the ids in the answer, where what they name lives on at the account."""
    results_below: str = ""
    """The URL below which the client finds the results of what lives at the account, "" where it has none."""
    referred: Mapping[bytes, bytes] = {}
    """The provider's own ids of what it refers to, each with the one that the client gave."""
    subprotocols: Sequence[str] = ()
    """Of a websocket: those offered to the provider."""
    candidates: Sequence[Serving] = ()
    """What it was resolved to when it began, in the order in which it is asked."""

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent once more."""
        return self.body is None or self.body.repeatable

    @property
    def asks_usage(self) -> bool:
        """Whether its answer is a stream that tells its usage only where it is asked to, which the client left out."""
        return self.api.name in APIS_THAT_ASK and isinstance(self.body, NamedJson) and self.body.silent

    @property
    def dialect(self) -> Dialect | None:
        """The API the client speaks, None for a provider's own."""
        if self.api.native:
            return None
        return Dialect.ANTHROPIC if self.api.anthropic else Dialect.OPENAI


class Report(Struct):
    """How a call went, for its accounting and its headers."""

    id: str = ""
    """What tells the call from others: in the log, in the header `x-keycairn-call`, in errors of ours."""
    caller: str = ""
    """The token, as in the audit log; "" while that is not known."""
    dialect: Dialect | None = None
    """The form of errors, where the path does not say it."""
    attempts: int = 0
    most: int = MOST_ATTEMPTS
    """Attempts it may take."""
    credential: str = ""
    provider: str = ""
    model: str = ""
    model_name: str = ""
    url: str = ""
    """Where the last attempt went, without its query."""
    status: int = 0
    begun: bool = False
    """Whether the client has the beginning of an answer."""
    code: str = ""
    first_byte: float | None = None
    sent: int = 0
    """Bytes of the body of the last attempt, where they are known."""
    used: Counted = Counted()
    """The tokens it is charged with."""
    booked: Counted = Counted()
    """Those among them that were written into the books while it was under way."""
    paid: Charge = FREE
    """What of its charge was counted against limits while it was under way."""
    closed: int | None = None
    """The code that a websocket was closed with."""
    sound: float | None = None
    """Seconds of sound that the provider heard, where it says so."""

    price: Price | None = None
    """Of the model of the last attempt."""

    @property
    def good(self) -> bool:
        """Whether the provider did what it was asked."""
        return 200 <= self.status < 400 or self.status == SWITCHING

    @property
    def charge(self) -> Charge:
        """What the call used so far. Of a call that was refused there is nothing to pay."""
        used = self.used
        if self.price is None or not (self.good or used.input or used.output):
            return Charge(used.input + used.output)
        nanos = self.price.nanos(input=used.input, cached=used.cached, output=used.output)
        return Charge(used.input + used.output, nanos)

    @property
    def due(self) -> Charge:
        """What of its charge was not counted yet."""
        charge, paid = self.charge, self.paid
        return charge if paid is FREE else Charge(charge.tokens - paid.tokens, charge.nanos - paid.nanos)
