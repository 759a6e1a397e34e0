"""Which credential serves a call: what a model's name may mean, whose turn it is, and what may be tried again."""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from hashlib import blake2b
from math import inf, log
from random import random

from msgspec import Struct

from keycairn.domain.credential import Credential
from keycairn.domain.ids import ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, Slot
from keycairn.domain.outcome import Outcome
from keycairn.domain.pools import serving
from keycairn.domain.provider import canonical_name
from keycairn.domain.provider_failure import Failure

SLOT_NAMES = {slot.called: slot for slot in Slot}
"""What may follow `default:` in place of a model's name."""

FIRST_REST, REST_GROWTH = 15.0, 2.0
"""Seconds until a refused credential is probed again, and how they grow with each probe that fails."""
LONGEST_HOLD = 30.0
"""Seconds a refused credential is not asked at all, at most, where there is no other."""
SHORT_REST = 5.0
"""Seconds a credential is passed over after its provider failed or could not be reached."""
QUOTA_REST = 60.0
"""Seconds a credential is passed over after its account had no credit left."""


_CLIENTS = frozenset({Outcome.OK, Outcome.BAD_REQUEST})
_RESTS = {Outcome.QUOTA: QUOTA_REST}


class Serving(Struct, frozen=True):
    """A credential that can do a call, and the model it is linked to; None where the call names no model of ours."""

    model: Model | None
    credential: Credential


def ordered(rows: Sequence[Model], type: Modality | None, providers: frozenset[str] | None = None) -> list[Model]:
    """The linked models among `rows`, which have one name, that serve it, in their order of precedence.

    They are the name's pool, or belong to one provider: see `keycairn.domain.pools.serving`. Models of the route's
    `type` win over others, which serve only where there are none; those discovery misses come last; then `priority`,
    then age decide. `providers` limits whose models are looked at.
    """
    usable = [row for row in rows if row.credential is not None and (providers is None or row.provider in providers)]
    fitting = [row for row in usable if type is None or row.type is type] or usable
    mine = sorted(serving(fitting), key=lambda row: (row.missing_since is not None, row.priority, row.id))
    first: dict[tuple[str | None, str], Model] = {}
    for row in mine:
        first.setdefault((row.credential, row.own_name), row)
    return list(first.values())


Draw = Callable[[Serving], float]
"""Gives a number from 0 up to 1 for a candidate."""


def by_chance(_: Serving) -> float:
    """A `Draw`: another one each time."""
    return random()  # noqa: S311  # no secret


def by_conversation(key: bytes) -> Draw:
    """A `Draw`: the same for the same key and candidate, so that what one account has cached is asked of it again.

    With the weights it is rendezvous hashing: a candidate that comes or goes moves no calls but its own.
    """

    def draw(one: Serving) -> float:
        place = f"{one.credential.id} {one.model.id if one.model else ''}".encode()
        return int.from_bytes(blake2b(place, key=key[:64], digest_size=6).digest()) / 2**48

    return draw


def weighted_order(candidates: Sequence[Serving], draw: Draw) -> Sequence[Serving]:
    """The `ordered` candidates of one call: those of the same priority in an order drawn by their weights.

    Where `draw` is even, the chance to come first is in proportion to the weight; weight 0 comes last.
    Source: Efraimidis and Spirakis, Weighted random sampling with a reservoir, 2006.
    """
    if len(candidates) < 2:
        return candidates
    return sorted(candidates, key=lambda one: _turn(one, draw))


def _turn(one: Serving, draw: Draw) -> tuple[bool, int, float]:
    model = one.model
    if model is None:
        return False, 0, 0.0
    late = -log(1.0 - draw(one)) / model.weight if model.weight else inf
    return model.missing_since is not None, model.priority, late


def qualified(name: str) -> tuple[str, str] | None:
    """`provider/name` as its two parts, None where there is no provider in front."""
    provider, slash, rest = name.partition("/")
    return (canonical_name(provider), rest) if slash and provider and rest else None


def unregistered(name: str, type: Modality | None, credential: Credential) -> Model:
    """What stands for a model of a provider that is called though it is not registered: it has no id."""
    return Model(
        id=ModelId(""),
        workspace=credential.workspace,
        provider=credential.provider,
        name=name,
        type=type or Modality.LANGUAGE,
        credential=credential.id,
        created=credential.created,
        updated=credential.updated,
    )


class Verdict(Enum):
    """What an attempt says about the call and the credential."""

    DONE = auto()
    """The answer is the client's, good or bad."""
    BAD_KEY = auto()
    """The provider refused the key: another credential may do."""
    NEXT = auto()
    """The call was not done, for a reason of the account or its provider: another credential may do it."""


def verdict(failure: Failure) -> Verdict:
    """What a failure stands for. A call that any account would refuse, or that names what is not there, is done."""
    if failure.kind is Outcome.INVALID_AUTH:
        return Verdict.BAD_KEY
    gone = failure.kind is Outcome.NOT_FOUND and failure.of_model
    return Verdict.DONE if failure.kind in _CLIENTS or gone else Verdict.NEXT


def rest_after(failure: Failure) -> float:
    """Seconds a credential is passed over after a failure that sent its call to the next."""
    if failure.retry_after is not None:
        return failure.retry_after
    return _RESTS.get(failure.kind, SHORT_REST)
