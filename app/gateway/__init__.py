"""The gateway: calls to models with a Keycairn token; the provider's key is added on the way out."""

from keycairn.app.gateway.admission import PRINCIPAL
from keycairn.app.gateway.gateway import Gateway
from keycairn.app.gateway.reading import PUBLIC_URL
from keycairn.app.gateway.routes import ANTHROPIC, NATIVE, OPENAI

GATEWAY_PATHS = (OPENAI, ANTHROPIC, NATIVE)
"""What the gateway serves, by the beginning of the path."""

__all__ = ["GATEWAY_PATHS", "PRINCIPAL", "PUBLIC_URL", "Gateway"]
