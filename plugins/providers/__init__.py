"""The built-in providers, handed over by the same hooks as anyone's, in the order they are shown in."""

from collections.abc import Iterable

from keycairn.plugins.hookspecs import hookimpl
from keycairn.plugins.providers import openai
from keycairn.ports.provider import Provider


@hookimpl
def keycairn_providers() -> Iterable[Provider]:
    """Every built-in provider."""
    return (openai.PROVIDER,)
