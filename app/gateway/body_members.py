"""Members of a JSON body that bear on a token's bounds, besides its model."""

from typing import Any

import msgspec
from msgspec import Struct


class _Members(Struct):
    background: Any = None
    models: Any = None
    fallbacks: Any = None
    tools: Any = None


_decode = msgspec.json.Decoder(_Members).decode


def in_background(body: bytes) -> bool:
    """Whether the body asks for work that goes on behind its answer. True where it is too deep to be sure."""
    found = _members(body)
    return found is None or bool(found.background)


def names_others(body: bytes) -> bool:
    """Whether the body names more models: to fall back to, as OpenRouter and LiteLLM take them, or of a tool.

    True where it is too deep to be sure.
    """
    found = _members(body)
    if found is None:
        return True
    tools = found.tools if isinstance(found.tools, list) else []
    return bool(found.models or found.fallbacks) or any(isinstance(one, dict) and "model" in one for one in tools)


def _members(body: bytes) -> _Members | None:
    try:
        return _decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
