"""Any server that speaks Anthropic's API. It runs as Anthropic, under its own base URL."""

from keycairn.domain.dialect import Dialect
from keycairn.domain.modality import Modality
from keycairn.domain.provider import ProviderSpec
from keycairn.plugins.fields import api_key, url_field
from keycairn.plugins.providers.anthropic import NATIVE_OPERATIONS, REQUEST_HEADERS, Anthropic, auth_token
from keycairn.plugins.unlisted import UnlistedProvider


class AnthropicCompatible(UnlistedProvider, Anthropic):
    """Such a server need not list its models."""


PROVIDER = AnthropicCompatible(
    ProviderSpec(
        name="anthropic_compatible",
        label="Anthropic Compatible",
        modalities=(Modality.LANGUAGE,),
        fields=(
            api_key("ANTHROPIC_COMPATIBLE_API_KEY", required=False),
            url_field(env=("ANTHROPIC_COMPATIBLE_BASE_URL",), help="Such as https://llm.example; /v1 is added."),
            auth_token("ANTHROPIC_COMPATIBLE_AUTH_TOKEN"),
        ),
        any_of=(("base_url",), ("api_key", "auth_token")),
        dialect=Dialect.ANTHROPIC,
        native_operations=NATIVE_OPERATIONS,
        request_headers=REQUEST_HEADERS,
    )
)
