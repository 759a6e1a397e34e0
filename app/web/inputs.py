"""What handlers take: the marked types Litestar fills in, and values that paths, queries and bodies share."""

from litestar.di import NamedDependency
from litestar.params import FromPath

from keycairn.app.keycairn import Keycairn
from keycairn.domain.audit import Caller
from keycairn.domain.errors import InvalidModelTypeError
from keycairn.domain.modality import Modality

TheKeycairn = NamedDependency[Keycairn]
TheCaller = NamedDependency[Caller]
PathText = FromPath[str]


def model_type(text: str) -> Modality:
    """`text` as a model's type. Raises InvalidModelTypeError, which does not repeat it."""
    if text not in set(Modality):
        message = f"A model's type is one of: {', '.join(Modality)}."
        raise InvalidModelTypeError(message, {"type": f"must be one of: {', '.join(Modality)}"})
    return Modality(text)
