"""LiteLLM's model groups: the entries of one `model_name`, which share the calls of that name.

Source: https://docs.litellm.ai/docs/routing
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.incoming import IncomingModel
from keycairn.domain.model import HIGHEST_SHARE, LONGEST_CONTEXT

FINEST = 1000
"""What the largest weight of a group becomes where its weights are no whole numbers."""
_SHARES = ("weight", "rpm", "tpm")
"""By what LiteLLM draws among the entries of a group: the first of these that its first entry has."""


class GroupEntry(Struct):
    """An entry of the file: the model, its share of the calls, and the name the file gives it (`said`)."""

    model: IncomingModel
    shares: Mapping[str, float]
    said: str


def entry_of(
    provider: str, own: str, type: str, where: str, entry: Mapping[str, Any], params: Mapping[str, Any]
) -> GroupEntry:
    """An entry of `model_list`. `own` is what its provider calls the model."""
    said = entry.get("model_name")
    public = said.strip() if isinstance(said, str) and said.strip() else own
    order = params.get("order")
    info = entry.get("model_info")
    length = info.get("max_input_tokens") if isinstance(info, Mapping) else None
    told = isinstance(length, int) and not isinstance(length, bool) and 1 <= length <= LONGEST_CONTEXT
    model = IncomingModel(
        name=public,
        provider_model=own,
        provider=provider,
        type=type,
        where=where,
        context_length=length if told else None,
        priority=order if isinstance(order, int) and 0 < order <= HIGHEST_SHARE else 0,
    )
    return GroupEntry(model, {name: params[name] for name in _SHARES if _number(params.get(name))}, public)


def settle(entries: Iterable[GroupEntry]) -> None:
    """Give each entry its share, and those that are their providers' models by their own names no other name."""
    groups: dict[str, list[GroupEntry]] = defaultdict(list)
    for entry in entries:
        groups[entry.model.name].append(entry)
    for name, group in groups.items():
        weights = _weights(group)
        offers = {(entry.model.provider, entry.model.provider_model) for entry in group}
        provider, own = next(iter(offers))
        plain = len(offers) == 1 and name in {own, f"{provider}/{own}"}
        for entry, weight in zip(group, weights, strict=True):
            entry.model = replace(entry.model, weight=weight)
            if plain:
                entry.model = replace(entry.model, name=own, provider_model=None)


def _weights(group: Sequence[GroupEntry]) -> Sequence[int]:
    by = next((share for share in _SHARES if share in group[0].shares), None)
    if by is None:
        return [1] * len(group)
    given = [entry.shares.get(by, 0) for entry in group]
    highest = max(given)
    if highest <= HIGHEST_SHARE and all(float(share).is_integer() for share in given):
        return [int(share) for share in given]
    return [max(1, round(share / highest * FINEST)) if share else 0 for share in given]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
