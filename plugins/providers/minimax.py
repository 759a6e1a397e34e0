"""MiniMax. Source: platform.minimax.io/docs (OpenAI compatible API)."""

from keycairn.domain.env_variable import EnvVariable
from keycairn.domain.modality import Modality
from keycairn.plugins.fields import url_names
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec(
        "minimax",
        "MiniMax",
        Modality.LANGUAGE,
        docs_url="https://platform.minimax.io/user-center/basic-information/interface-key",
        url_env=(
            *url_names("MINIMAX"),
            *(EnvVariable(name="MINIMAX_API_HOST", ends="/v1/text/chatcompletion_v2", adds="/v1"),),
        ),
        hosts=("api.minimax.io", "api.minimaxi.com", "api.minimax.chat"),
        preferred_models=("MiniMax-M",),
    ),
    url="https://api.minimax.io/v1",
)
