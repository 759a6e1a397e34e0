"""Litestar as Keycairn builds on it."""

import sys
from contextlib import suppress

from litestar import Litestar
from litestar.exceptions import MissingDependencyException
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin


class Application(Litestar):
    """Litestar without its support for pydantic, where nobody has loaded that: no handler can know its types then.

    It would be loaded wherever it is installed, in 0.3 s.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        if "pydantic" in sys.modules:
            return Litestar._get_default_plugins(plugins)  # noqa: SLF001  # the method of the base class
        plugins = [*plugins, MsgspecDIPlugin()]
        with suppress(MissingDependencyException):
            from litestar.plugins.attrs import AttrsSchemaPlugin  # noqa: PLC0415  # raises where there is no attrs

            plugins.append(AttrsSchemaPlugin())
        return plugins
