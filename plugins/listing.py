"""Reading a provider's list of models, so that one item that is none does not spoil the rest."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keycairn.domain.errors import GarbledAnswerError
from keycairn.domain.outcome import DiscoveredModel
from keycairn.plugins.failures import decode
from keycairn.ports.http import Response

NAMES = ("id", "name", "model", "model_id", "canonical_name")
"""What servers call a model's name in a list, the first that is text counts."""

Item = Mapping[str, Any]


_CONTEXT = (
    "context_length",  # OpenRouter, Together, Cohere
    "context_window",  # Groq
    "max_context_length",  # Mistral, LM Studio
    "context_size",  # Novita
    "max_model_len",  # vLLM
    "inputTokenLimit",  # Google
    "max_input_tokens",  # Anthropic
)
"""What servers call the tokens a model can be given, in a list."""


def context_of(item: Item) -> int | None:
    """The context length that an item of a list tells, in tokens."""
    for name in _CONTEXT:
        length = item.get(name)
        if isinstance(length, int) and not isinstance(length, bool) and length > 0:
            return length
    return None


class Page:
    """A page of a list. `more` is the object around the list, empty for a bare array."""

    def __init__(self, more: Item, items: list[Any], status: int) -> None:
        self.more = more
        self._items = items
        self._status = status

    def models(
        self, make: Callable[[str, Item], DiscoveredModel | None], names: Iterable[str] = NAMES
    ) -> list[DiscoveredModel]:
        """What `make` makes of each item's name and of the item; None leaves it out.

        Items without a name are passed over. Raises GarbledAnswerError where no item has one.
        """
        keys = tuple(names)
        named = [(name, item) for one in self._items for name, item in _named(one, keys)]
        if self._items and not named:
            raise GarbledAnswerError(status=self._status)
        return [model for name, item in named if (model := make(name, item)) is not None]


def page(response: Response, *members: str, optional: bool = False) -> Page:
    """The list in an answer: a bare array, or what stands under the first of `members` that is there.

    `optional`: an empty object is an empty list. Raises as `decode`.
    """
    decoded: Any = decode(response, object)
    if isinstance(decoded, list):
        return Page({}, decoded, response.status)
    if isinstance(decoded, dict):
        present = [decoded[name] for name in members if name in decoded]
        lists = [one for one in present if isinstance(one, list)]
        if lists:
            return Page(decoded, lists[0], response.status)
        if None in present or (optional and not decoded):
            return Page(decoded, [], response.status)
    raise GarbledAnswerError(status=response.status)


def _named(item: object, keys: tuple[str, ...]) -> Iterable[tuple[str, Item]]:
    if isinstance(item, str):
        item = {keys[0]: item}
    if isinstance(item, dict):
        name = next((name for key in keys if isinstance(name := item.get(key), str) and name.strip()), None)
        if name is not None:
            yield name, item
