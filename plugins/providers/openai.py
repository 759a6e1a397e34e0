"""OpenAI. Source: platform.openai.com/docs/api-reference."""

from keycairn.plugins.openai_base import MAX_COMPLETION_TOKENS, OpenAICompatible, keyed_spec


class OpenAI(OpenAICompatible):
    """OpenAI itself, whose newer models refuse `max_tokens`."""

    token_limit = MAX_COMPLETION_TOKENS


PROVIDER = OpenAI(
    keyed_spec(
        "openai",
        "OpenAI",
        docs_url="https://platform.openai.com/api-keys",
        url_env=("OPENAI_BASE_URL",),
        preferred_models=("gpt-5", "gpt-4.1", "gpt-4o", "text-embedding-3-small", "text-embedding-3-large"),
    ),
    url="https://api.openai.com/v1",
)
