"""Groq. Source: console.groq.com/docs/api-reference."""

from keycairn.domain.env_variable import EnvVariable
from keycairn.domain.modality import Modality
from keycairn.plugins.fields import url_names
from keycairn.plugins.openai_base import OpenAICompatible, keyed_spec

PROVIDER = OpenAICompatible(
    keyed_spec(
        "groq",
        "Groq",
        Modality.LANGUAGE,
        Modality.SPEECH_TO_TEXT,
        docs_url="https://console.groq.com/keys",
        url_env=tuple(EnvVariable(name=name, adds="/openai/v1") for name in url_names("GROQ")),
        hosts=("api.groq.com",),
        key_prefixes=("gsk_",),
        preferred_models=("llama-3.3", "openai/gpt-oss"),
    ),
    url="https://api.groq.com/openai/v1",
    client_name="openai-compatible",  # esperanto's own class takes no base URL for chats
)
