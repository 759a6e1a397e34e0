"""The HTTP side: controllers by subject, and what they share."""

from litestar.types import ControllerRouterHandler

from keycairn.app.api.credentials import CredentialController
from keycairn.app.api.health import HealthController

HANDLERS: tuple[ControllerRouterHandler, ...] = (
    CredentialController,
    HealthController,
)
"""Every controller that stands under the plugin's path."""
