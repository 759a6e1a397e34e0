"""Reading values that stand in paths, queries and bodies alike."""

from keycairn.app.api.problems import InvalidModelTypeError
from keycairn.domain.modality import Modality


def model_type(text: str) -> Modality:
    """`text` as a model's type. Raises InvalidModelTypeError, which does not repeat it."""
    if text not in set(Modality):
        message = f"A model's type is one of: {', '.join(Modality)}."
        raise InvalidModelTypeError(message, {"type": f"must be one of: {', '.join(Modality)}"})
    return Modality(text)
