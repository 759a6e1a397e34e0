"""DeepSeek. Source: api-docs.deepseek.com."""

from keycairn.domain.modality import Modality
from keycairn.plugins.fields import url_names
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec(
        "deepseek",
        "DeepSeek",
        Modality.LANGUAGE,
        docs_url="https://platform.deepseek.com/api_keys",
        url_env=url_names("DEEPSEEK"),
        hosts=("api.deepseek.com",),
        preferred_models=("deepseek-chat",),
    ),
    url="https://api.deepseek.com",
)
