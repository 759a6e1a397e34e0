"""OpenAI. Source: platform.openai.com/docs/api-reference."""

from keycairn.domain.env_variable import EnvSwitch
from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account, FieldSpec
from keycairn.plugins.base import Headers
from keycairn.plugins.fields import header_setting, url_names
from keycairn.plugins.managing.openai import MANAGEMENT, OpenAIKeys
from keycairn.plugins.openai_base import MAX_COMPLETION_TOKENS, OpenAICompatible, keyed_spec

_PAYERS = {"OpenAI-Organization": "organization", "OpenAI-Project": "project"}


class OpenAI(OpenAIKeys, OpenAICompatible):
    """OpenAI itself, whose newer models refuse `max_tokens`. The account says which organization and project pay."""

    token_limit = MAX_COMPLETION_TOKENS

    def headers(self, account: Account, type: Modality | None = None) -> Headers:
        """A bearer token, and whose account it is used for."""
        said = {header: header_setting(account, name) for header, name in _PAYERS.items()}
        return {**super().headers(account, type), **{header: text for header, text in said.items() if text}}


PROVIDER = OpenAI(
    keyed_spec(
        "openai",
        "OpenAI",
        docs_url="https://platform.openai.com/api-keys",
        url_env=(*url_names("OPENAI"), "OPENAI_REVERSE_PROXY"),
        hosts=("api.openai.com", "*.api.openai.com"),
        env_switches=(
            EnvSwitch(
                name="OPENAI_API_TYPE",
                values=("azure", "azure_ad", "azuread"),
                why="OPENAI_API_KEY is a key of Azure OpenAI then. Set AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT",
            ),
        ),
        more_fields=(
            FieldSpec(
                name="organization",
                label="Organization",
                env=("OPENAI_ORG_ID", "OPENAI_ORGANIZATION"),
                help="Such as org-..., where the key belongs to several.",
            ),
            FieldSpec(
                name="project",
                label="Project",
                env=("OPENAI_PROJECT_ID",),
                help="Such as proj_..., where the key belongs to several.",
            ),
        ),
        request_headers=("openai-beta", "x-client-request-id"),
        preferred_models=("gpt-5", "gpt-4.1", "gpt-4o", "text-embedding-3-small", "text-embedding-3-large"),
        elsewhere="openai_compatible",
        key_management=MANAGEMENT,
    ),
    url="https://api.openai.com/v1",
)
