"""What LiteLLM calls providers, and whose a model of its is."""

import re
from collections.abc import Mapping
from typing import Any

_PROVIDERS: Mapping[str, str] = {
    "anthropic": "anthropic",
    "anthropic_text": "anthropic",
    "azure": "azure",
    "azure_text": "azure",
    "bedrock": "bedrock",
    "bedrock_converse": "bedrock",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "custom_openai": "openai_compatible",
    "dashscope": "dashscope",
    "deepgram": "deepgram",
    "deepseek": "deepseek",
    "elevenlabs": "elevenlabs",
    "gemini": "google",
    "groq": "groq",
    "huggingface": "huggingface",
    "hosted_vllm": "openai_compatible",
    "litellm_proxy": "openai_compatible",
    "llamafile": "openai_compatible",
    "lm_studio": "openai_compatible",
    "minimax": "minimax",
    "mistral": "mistral",
    "novita": "novita",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "openai": "openai",
    "openai_like": "openai_compatible",
    "openrouter": "openrouter",
    "text-completion-openai": "openai",
    "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
    "voyage": "voyage",
    "xai": "xai",
}
"""LiteLLM's providers and ours. A name that is not here is passed on: a plugin may supply it."""

_BY_MODEL = (
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"(?:gpt-|chatgpt-|o[1-9](?:-|$)|text-embedding-|whisper-|tts-|ft:)"), "openai"),
    (re.compile(r"(?:command-|embed-)"), "cohere"),
    (re.compile(r"deepseek-"), "deepseek"),
)
"""Whose a model without a provider before its slash is, as LiteLLM decides it."""


def our_name(name: str) -> str:
    """Our name of one of LiteLLM's providers; one that is not known is passed on: a plugin may supply it."""
    return _PROVIDERS.get(name.lower(), name)


def names_of(provider: str) -> list[str]:
    """What LiteLLM calls a provider of ours, in its variables too."""
    return [name for name, ours in _PROVIDERS.items() if ours == provider]


def provider_of(values: Mapping[str, Any]) -> tuple[str | None, str]:
    """Our provider and the model's own name."""
    model = str(values["model"]).strip()
    said = values.get("custom_llm_provider")
    prefix, slash, rest = model.partition("/")
    if isinstance(said, str) and said:
        own = rest if slash and prefix == said else model
        return our_name(said), own
    if slash and rest:
        return our_name(prefix), rest
    return next((provider for start, provider in _BY_MODEL if start.match(model)), None), model
