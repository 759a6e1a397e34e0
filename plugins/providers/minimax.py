"""MiniMax. Source: platform.minimax.io/docs (OpenAI compatible API)."""

from keycairn.domain.modality import Modality
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec(
        "minimax",
        "MiniMax",
        Modality.LANGUAGE,
        docs_url="https://platform.minimax.io/user-center/basic-information/interface-key",
        preferred_models=("MiniMax-M",),
    ),
    url="https://api.minimax.io/v1",
)
