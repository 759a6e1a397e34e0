"""The kit for those who test against Keycairn: authors of plugins and of stores, and suites that need a service.

It comes with the extra `keycairn[testing]`. It is no pytest plugin: nothing of it loads before it is imported.
"""

from typing import TYPE_CHECKING

import pytest

pytest.register_assert_rewrite(
    "keycairn.testing.conformance",
    "keycairn.testing.binding",
    "keycairn.testing.key_conformance",
    "keycairn.testing.stores",
)

from keycairn.testing.case import OUTCOMES, Matching, ProviderCase, Sent, Try, openai_case, openai_tries  # noqa: E402
from keycairn.testing.conformance import ProviderConformance  # noqa: E402
from keycairn.testing.key_conformance import KeyCase, KeyManagementConformance  # noqa: E402
from keycairn.testing.key_server import ADMIN, KeyServer, ServedKey, not_there  # noqa: E402
from keycairn.testing.openai_server import OpenAIServer  # noqa: E402
from keycairn.testing.running import NotStartedError, RunningKeycairn, running_keycairn  # noqa: E402
from keycairn.testing.server import KEY, Answer, LocalServer, Recorded, as_json, sse  # noqa: E402
from keycairn.testing.stores import StoreConformance  # noqa: E402

if TYPE_CHECKING:
    from keycairn.testing.container import KeycairnContainer, SurrealContainer

__all__ = [
    "ADMIN",
    "KEY",
    "OUTCOMES",
    "Answer",
    "KeyCase",
    "KeyManagementConformance",
    "KeyServer",
    "KeycairnContainer",
    "LocalServer",
    "Matching",
    "NotStartedError",
    "OpenAIServer",
    "ProviderCase",
    "ProviderConformance",
    "Recorded",
    "RunningKeycairn",
    "Sent",
    "ServedKey",
    "StoreConformance",
    "SurrealContainer",
    "Try",
    "as_json",
    "not_there",
    "openai_case",
    "openai_tries",
    "running_keycairn",
    "sse",
]


def __getattr__(name: str) -> object:
    """The containers, imported when they are asked for: they bring a client of Docker along."""
    if name in {"KeycairnContainer", "SurrealContainer"}:
        from keycairn.testing import container  # noqa: PLC0415

        return getattr(container, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
