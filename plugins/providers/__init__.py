"""The built-in providers, handed over by the same hooks as anyone's, in the order they are shown in."""

from collections.abc import Iterable

from keycairn.plugins.hookspecs import hookimpl
from keycairn.plugins.providers import anthropic, azure, google, ollama, openai, openai_compatible
from keycairn.ports.provider import Provider


@hookimpl
def keycairn_providers() -> Iterable[Provider]:
    """Every built-in provider."""
    return (
        openai.PROVIDER,
        anthropic.PROVIDER,
        google.PROVIDER,
        ollama.PROVIDER,
        azure.PROVIDER,
        openai_compatible.PROVIDER,
    )
