"""How the models a provider offers differ from those registered."""

from collections.abc import Sequence

from msgspec import Struct

from keycairn.domain.model import Model
from keycairn.domain.outcome import DiscoveredModel, Discovery, Provenance


class Drift(Struct, frozen=True, kw_only=True):
    """The difference. Registered models are compared, by the provider's names, with what one account offers.

    `new`: offered, of a known type, not registered. `known`: how many offered ones are registered. `vanished`:
    registered, no longer offered. `returned`: marked missing before, offered again. `retyped`: registered under other
    types than the provider now says.
    """

    new: tuple[DiscoveredModel, ...]
    known: int
    vanished: tuple[Model, ...]
    returned: tuple[Model, ...]
    retyped: tuple[Model, ...]


def compare(registered: Sequence[Model], discovery: Discovery) -> Drift:
    """The drift of `registered`, all models of one credential.

    Only a live list proves that something vanished: from a fallback nothing is concluded. Case makes no other name.
    """
    trusted = [model for model in discovery.models if model.provenance is not Provenance.FALLBACK]
    offered = {(model.name.casefold(), model.type) for model in trusted}
    names = {name for name, _ in offered}
    have = {(model.own_name.casefold(), model.type) for model in registered}
    owned = {name for name, _ in have}
    complete = discovery.failure is None and any(model.provenance is Provenance.LIVE for model in trusted)
    new = {(m.name, m.type): m for m in trusted if m.type is not None and m.name.casefold() not in owned}
    typed = {name for name, type in offered if type is not None}
    listed = tuple(model for model in registered if model.own_name.casefold() in names)
    gone = tuple(model for model in registered if model.own_name.casefold() not in names)
    return Drift(
        new=tuple(new.values()),
        known=len(offered & have),
        vanished=tuple(m for m in gone if complete and m.missing_since is None),
        returned=tuple(m for m in listed if m.missing_since is not None),
        retyped=tuple(
            m for m in listed if m.own_name.casefold() in typed and (m.own_name.casefold(), m.type) not in offered
        ),
    )
