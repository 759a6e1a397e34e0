"""Choosing a default model where none is set."""

from collections.abc import Mapping, Sequence

from keycairn.domain.modality import Modality
from keycairn.domain.model import Model

PROVIDER_ORDER = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "groq",
    "deepseek",
    "xai",
    "openrouter",
    "ollama",
    "azure",
    "openai_compatible",
    "dashscope",
    "minimax",
)
"""Providers in the order auto-assignment favours them; all others follow by name."""


def best_model(models: Sequence[Model], type: Modality, preferred: Mapping[str, Sequence[str]]) -> Model | None:
    """The model of `type` that should serve by default, or None.

    The provider's rank decides first, then the first of the provider's `preferred` name beginnings that matches, then
    age. Models without a credential, or that discovery misses, are passed over.
    """
    usable = [m for m in models if m.type is type and m.credential is not None and m.missing_since is None]
    return min(usable, key=lambda model: _rank(model, preferred.get(model.provider, ())), default=None)


def _rank(model: Model, preferred: Sequence[str]) -> tuple[int, str, int, str]:
    known = PROVIDER_ORDER.index(model.provider) if model.provider in PROVIDER_ORDER else len(PROVIDER_ORDER)
    wish = next((rank for rank, start in enumerate(preferred) if model.own_name.startswith(start)), len(preferred))
    return known, model.provider, wish, model.id
