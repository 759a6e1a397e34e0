"""The HTTP side: controllers by subject, and what they share."""

from litestar.types import ControllerRouterHandler

from keycairn.app.api.administration import AuditController, TokenController
from keycairn.app.api.backup import BackupController
from keycairn.app.api.catalog import CatalogController
from keycairn.app.api.checkup import CheckupController
from keycairn.app.api.credentials import CredentialController
from keycairn.app.api.encryption import EncryptionController
from keycairn.app.api.environment import EnvironmentController
from keycairn.app.api.health import HealthController
from keycairn.app.api.imports import ImportController
from keycairn.app.api.key_rotations import KeyRotationController
from keycairn.app.api.models import ModelController
from keycairn.app.api.probing import ProbingController
from keycairn.app.api.usage import UsageController

HANDLERS: tuple[ControllerRouterHandler, ...] = (
    CredentialController,
    EnvironmentController,
    ProbingController,
    ImportController,
    ModelController,
    CatalogController,
    TokenController,
    AuditController,
    UsageController,
    EncryptionController,
    BackupController,
    CheckupController,
    KeyRotationController,
    HealthController,
)
"""Every controller that stands under the plugin's path."""
