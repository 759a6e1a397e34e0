"""The built-in providers, handed over by the same hooks as anyone's, in the order they are shown in."""

from collections.abc import Iterable

from keycairn.plugins.hookspecs import hookimpl
from keycairn.plugins.providers import (
    anthropic,
    anthropic_compatible,
    azure,
    bedrock,
    cohere,
    dashscope,
    deepgram,
    deepseek,
    elevenlabs,
    google,
    groq,
    huggingface,
    minimax,
    mistral,
    novita,
    ollama,
    omlx,
    openai,
    openai_compatible,
    openrouter,
    ppq,
    vertex,
    voyage,
    xai,
)
from keycairn.ports.provider import Provider


@hookimpl
def keycairn_providers() -> Iterable[Provider]:
    """Every built-in provider."""
    return (
        openai.PROVIDER,
        anthropic.PROVIDER,
        google.PROVIDER,
        groq.PROVIDER,
        mistral.PROVIDER,
        deepseek.PROVIDER,
        xai.PROVIDER,
        openrouter.PROVIDER,
        dashscope.PROVIDER,
        minimax.PROVIDER,
        novita.PROVIDER,
        ppq.PROVIDER,
        huggingface.PROVIDER,
        cohere.PROVIDER,
        voyage.PROVIDER,
        elevenlabs.PROVIDER,
        deepgram.PROVIDER,
        ollama.PROVIDER,
        omlx.PROVIDER,
        azure.PROVIDER,
        vertex.PROVIDER,
        bedrock.PROVIDER,
        openai_compatible.PROVIDER,
        anthropic_compatible.PROVIDER,
    )
