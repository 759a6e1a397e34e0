"""PayPerQ. Source: ppq.ai/api-docs."""

from keycairn.plugins.fields import url_names
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec(
        "ppq",
        "PayPerQ",
        docs_url="https://ppq.ai/api-docs",
        url_env=url_names("PPQ"),
        hosts=("api.ppq.ai",),
        preferred_models=("gpt-5", "gpt-4o"),
    ),
    url="https://api.ppq.ai/v1",
    list_path="/models?type=all",
    client_name="openai-compatible",
)
