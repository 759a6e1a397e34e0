"""Keycairn as an application of its own."""

from litestar import Litestar

from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.settings import Settings


def create_app(settings: Settings | None = None) -> Litestar:
    """A bare Litestar application with nothing but the plugin, at the root."""
    return Litestar(plugins=[KeycairnPlugin(settings)], openapi_config=None, logging_config=None)
