"""Giving models their names, and bringing them into the pools of those names."""

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from keycairn.app.contested import contested
from keycairn.app.lookup import linked
from keycairn.domain.change import ReplaceModel
from keycairn.domain.errors import InvalidInputError, ModelExistsError, OutOfReachError
from keycairn.domain.ids import CredentialId
from keycairn.domain.model import LONGEST_MODEL_NAME, Model, is_model_name, is_public_name
from keycairn.domain.model_index import unique_place
from keycairn.domain.pools import joining
from keycairn.domain.price import Price
from keycairn.domain.reach import Reach
from keycairn.domain.secretlike import check_no_key
from keycairn.ports.store import Store


class ModelPatch(Struct, frozen=True, kw_only=True):
    """A change of a model: what is not given stays.

    A new `name` leaves alone what its provider is sent. `provider_model` None takes the model out of its pool: it has
    its provider's own name again, or `name` where that is given too. `credential` None unlinks it: the oldest one of
    its provider serves it then.
    """

    name: str | None = None
    provider_model: str | UnsetType | None = UNSET
    priority: int | None = None
    weight: int | None = None
    price: Price | UnsetType | None = UNSET
    context_length: int | UnsetType | None = UNSET
    credential: CredentialId | UnsetType | None = UNSET


def patched(model: Model, patch: ModelPatch) -> Model:
    """The model with the change made; times and version stay. Raises InvalidInputError."""
    name, own = model.name, model.provider_model
    wished = None if patch.name is None else checked_model_name(patch.name)
    if patch.provider_model is None:
        name, own = wished or model.own_name, None
    elif patch.provider_model is not UNSET:
        name, own = wished or name, checked_model_name(patch.provider_model, "provider_model")
    elif wished is not None and wished != name:
        name, own = wished, model.own_name
    if own is not None:
        check_public_name(name)
    return replace(
        model,
        name=name,
        provider_model=own,
        priority=model.priority if patch.priority is None else patch.priority,
        weight=model.weight if patch.weight is None else patch.weight,
        price=model.price if patch.price is UNSET else patch.price,
        context_length=model.context_length if patch.context_length is UNSET else patch.context_length,
        credential=model.credential if patch.credential is UNSET else patch.credential,
    )


async def entered(store: Store, model: Model, reach: Reach, *, by_hand: bool) -> tuple[Model, list[ReplaceModel]]:
    """A model with a new name as it enters the store, and what comes into the pool of that name beside it.

    One that is registered `by_hand` joins the pool its name has. Raises ModelExistsError; OutOfReachError as
    `check_uncontested`.
    """
    named = await store.models(model.workspace, name=model.name, limit=None)
    others = [row for row in named if row.id != model.id]
    if any(unique_place(row) == unique_place(model) for row in others) or await _alike(store, model):
        raise ModelExistsError
    if not model.pooled:
        pool = any(row.pooled and row.type is model.type for row in others)
        joins = by_hand and pool and all(map(reach.serves, others))
        entering = replace(model, provider_model=model.name) if joins else model
        await check_uncontested(store, entering, reach)
        return entering, []
    await check_uncontested(store, model, reach)
    return model, joining(model, others, await linked(store, others))


async def _alike(store: Store, model: Model) -> bool:
    """Whether its account, or nobody's, has a model that only differs in upper and lower case."""
    if model.credential is None:
        own = await store.unlinked_models(model.workspace, model.provider)
    else:
        own = await store.models(model.workspace, credential=model.credential, limit=None)
    return any(row.id != model.id and row.alike == model.alike for row in own)


async def check_uncontested(store: Store, model: Model, reach: Reach) -> None:
    """Raise OutOfReachError where what serves one of the model's names is out of reach: it would take its calls."""
    if await contested(store, [model], reach):
        raise OutOfReachError


def cost_of(model: Model) -> tuple[object, ...]:
    """What of a model says what its calls cost, and which calls those are."""
    return model.name, model.provider_model, model.credential, model.price


def takes_more(before: Model, after: Model) -> bool:
    """Whether a change may give a model calls of a name that others had: by its account, or its share of the name."""
    share = after.priority < before.priority or after.weight > before.weight
    return share or after.credential != before.credential


def checked_model_name(name: str, field: str = "name") -> str:
    """`name`, trimmed; raises InvalidInputError."""
    text = name.strip()
    if not is_model_name(text):
        message = f"A model's name is 1 to {LONGEST_MODEL_NAME} printable characters."
        raise InvalidInputError(message, {field: f"must be 1 to {LONGEST_MODEL_NAME} printable characters"})
    check_no_key({field: text})
    return text


def check_public_name(name: str) -> None:
    """Raise InvalidInputError for what a call cannot mean a model's name by."""
    if not is_public_name(name):
        message = "A name that is given to a model must not begin as a slot (default:) or an id (model:) does."
        raise InvalidInputError(message, {"name": "must not begin with default: or model:"})
