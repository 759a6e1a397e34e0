"""A model: something a provider offers, registered here and linked to the credential that pays for it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import InvalidDefaultError, InvalidInputError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.price import Price


class Model(Struct, frozen=True, kw_only=True, gc=False):  # no circles, and there are many
    """A registered model. Unique by workspace, provider, credential, both of its names and type.

    Applications call it by `name`. `provider_model` is what its provider calls it, where somebody gave it its name on
    purpose: the models that were given one name form a pool, whosever they are. None: it has its provider's own name.

    `credential` is None for a model nobody has linked yet. `missing_since` is when discovery first did not see it.
    Where several models serve one name, the smallest `priority` goes first; those of one priority share the calls
    in proportion to `weight`, as the SRV records of RFC 2782 do. A weight of 0 serves when the others cannot. `proof`
    is the MAC of all the rest; see `keycairn.domain.proof`. Without a `price` what it is used for costs nothing.
    `context_length` is in tokens, None where nobody told it.
    """

    id: ModelId
    workspace: str = DEFAULT_WORKSPACE
    provider: str
    name: str
    type: Modality
    credential: CredentialId | None = None
    missing_since: datetime | None = None
    priority: int = 0
    weight: int = 1
    created: datetime
    updated: datetime
    version: int = 1
    proof: str = ""
    provider_model: str | None = None
    price: Price | None = None
    context_length: int | None = None

    @property
    def own_name(self) -> str:
        """What its provider calls it."""
        return self.name if self.provider_model is None else self.provider_model

    @property
    def pooled(self) -> bool:
        """Whether it was given its name on purpose."""
        return self.provider_model is not None

    @property
    def offer(self) -> tuple[str, str, Modality]:
        """What tells it from the other models of its account: its name, its provider's, and its type."""
        return self.name, self.own_name, self.type

    @property
    def alike(self) -> tuple[str, str, Modality]:
        """What no other model of its account may have: the offer, without regard to case."""
        return self.name.casefold(), self.own_name.casefold(), self.type


LONGEST_MODEL_NAME = 300
"""Characters."""


def is_model_name(name: str) -> bool:
    """Whether a model may be registered under `name` as it is."""
    return 0 < len(name) <= LONGEST_MODEL_NAME and name.isprintable() and name == name.strip()


def is_public_name(name: str) -> bool:
    """Whether a model may be given `name` on purpose: calls by a slot or an id never mean a name."""
    return is_model_name(name) and not name.startswith(("default:", "model:"))


FALLS_BACK, MANDATORY = "falls back", "mandatory"
LONGEST_CONTEXT = 2**40
"""Tokens."""

HIGHEST_SHARE = 1_000_000

LONGEST_CALLED_NAME = 512
"""Characters of what a call may name a model by: `provider/name`, an id or a slot."""


def check_share(priority: int, weight: int) -> None:
    """Raise InvalidInputError for a priority or a weight that is out of bounds."""
    given = {"priority": priority, "weight": weight}
    wrong = [name for name, value in given.items() if not 0 <= value <= HIGHEST_SHARE]
    if wrong:
        message = f"A whole number from 0 to {HIGHEST_SHARE} is needed: {', '.join(wrong)}."
        raise InvalidInputError(message, dict.fromkeys(wrong, f"must be from 0 to {HIGHEST_SHARE}"))


def check_context(length: int | None) -> None:
    """Raise InvalidInputError for a context length that is none."""
    if length is not None and not 1 <= length <= LONGEST_CONTEXT:
        message = "A context length is a number of tokens."
        raise InvalidInputError(message, {"context_length": f"must be from 1 to {LONGEST_CONTEXT}"})


class Slot(StrEnum):
    """A task that has a default model: one line makes one, here and for everything that is done with slots.

    Each is its name in the API, its name after `default:` in a call, the type of its model, and `FALLS_BACK` where chat
    stands in for it, or `MANDATORY` where a client cannot clear it: it is empty only before the first assignment or
    after its model was deleted.
    """

    called: str
    type: Modality
    rule: str

    def __new__(cls, value: str, called: str, type: Modality, rule: str = "") -> Self:
        """A member of its name in the API."""
        slot = str.__new__(cls, value)
        slot._value_ = value
        slot.called, slot.type, slot.rule = called, type, rule
        return slot

    CHAT = "default_chat_model", "chat", Modality.LANGUAGE, MANDATORY
    TRANSFORMATION = "default_transformation_model", "transformation", Modality.LANGUAGE, FALLS_BACK
    LARGE_CONTEXT = "large_context_model", "large_context", Modality.LANGUAGE, FALLS_BACK
    TEXT_TO_SPEECH = "default_text_to_speech_model", "text_to_speech", Modality.TEXT_TO_SPEECH
    SPEECH_TO_TEXT = "default_speech_to_text_model", "speech_to_text", Modality.SPEECH_TO_TEXT
    EMBEDDING = "default_embedding_model", "embedding", Modality.EMBEDDING, MANDATORY
    TOOLS = "default_tools_model", "tools", Modality.LANGUAGE, FALLS_BACK
    VISION = "default_vision_model", "vision", Modality.LANGUAGE, FALLS_BACK

    @property
    def mandatory(self) -> bool:
        """Whether a client cannot clear it."""
        return self.rule == MANDATORY

    @property
    def falls_back(self) -> bool:
        """Whether the model of chat does its task where it has none."""
        return self.rule == FALLS_BACK


SLOTS: Mapping[str, Slot] = {slot.value: slot for slot in Slot}


class Defaults(Struct, frozen=True, kw_only=True):
    """The model of each task slot of a workspace. `version` 0 means that nothing was ever stored.

    `proof` is as a model's.
    """

    workspace: str = DEFAULT_WORKSPACE
    slots: Mapping[Slot, ModelId] = {}
    version: int = 0
    proof: str = ""

    def model_for(self, slot: Slot) -> ModelId | None:
        """The model that does the slot's task, falling back to chat where that can do it too."""
        own = self.slots.get(slot)
        return own if own or not slot.falls_back else self.slots.get(Slot.CHAT)

    def without(
        self, models: frozenset[ModelId] | set[ModelId], moved: Mapping[ModelId, ModelId] | None = None
    ) -> "Defaults":
        """These defaults after `models` are gone; a slot whose model is in `moved` follows it. Version unchanged."""
        kept: dict[Slot, ModelId] = {}
        for slot, model in self.slots.items():
            successor = (moved or {}).get(model, model)
            if successor not in models:
                kept[slot] = successor
        return replace(self, slots=kept)

    def assigned(self, wishes: Mapping[Slot, ModelId | None], types: Mapping[ModelId, Modality]) -> "Defaults":
        """These defaults with `wishes` applied, None clearing a slot. `types` are those of the models wished for.

        Raises InvalidDefaultError for an unknown model, one of the wrong type, or clearing a mandatory slot.
        """
        slots = dict(self.slots)
        for slot, model in wishes.items():
            if model is None:
                if slot.mandatory and slot in slots:
                    message = f"{slot} cannot be cleared; set another model instead."
                    raise InvalidDefaultError(message, {slot: "cannot be cleared"})
                slots.pop(slot, None)
                continue
            if types.get(model) is not slot.type:
                message = f"{slot} needs a registered model of type {slot.type}."
                raise InvalidDefaultError(message, {slot: f"must be the id of a {slot.type} model"})
            slots[slot] = model
        return replace(self, slots=slots)
