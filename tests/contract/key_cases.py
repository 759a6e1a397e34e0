"""The built-in providers that manage keys, each with the server it is run against."""

from functools import partial

from tests.servers.google_key_api import MANAGER_EMAIL, GeminiKeyServer
from tests.servers.key_apis import (
    GOOGLE_OWN,
    AnthropicKeyServer,
    AzureKeyServer,
    DeepgramKeyServer,
    ElevenLabsKeyServer,
    GoogleKeyServer,
    HuggingFaceKeyServer,
    IAMKeyServer,
    MistralKeyServer,
    OpenAIKeyServer,
    OpenRouterKeyServer,
    XAIKeyServer,
    bedrock_key,
)
from tests.servers.vertex_api import service_account

from keycairn.domain.field import SettingValue
from keycairn.plugins.providers import (
    anthropic,
    azure,
    bedrock,
    deepgram,
    elevenlabs,
    google,
    huggingface,
    mistral,
    openai,
    openrouter,
    vertex,
    xai,
)
from keycairn.testing import ADMIN, KEY, KeyCase

MANAGER = service_account(MANAGER_EMAIL)
MANAGING_AWS = {"manager_access_key_id": "AKIAMANAGER", "manager_secret_access_key": ADMIN}


def iam_settings(url: str) -> dict[str, SettingValue]:
    return {"region": "us-east-1", "user_name": "bedrock-user", "iam_url": url, "base_url": url, "control_url": url}


def admin_key(name: str = "admin_key") -> dict[str, str]:
    return {name: ADMIN}


CASES = {
    "openrouter": KeyCase(
        provider=openrouter.PROVIDER,
        server=OpenRouterKeyServer,
        settings=lambda url: {"base_url": url, "management_url": url},
    ),
    "openai": KeyCase(
        provider=openai.PROVIDER,
        server=OpenAIKeyServer,
        settings=lambda url: {"base_url": url, "management_url": url, "project_id": "proj_1"},
        admins=admin_key(),
    ),
    "anthropic": KeyCase(
        provider=anthropic.PROVIDER,
        server=AnthropicKeyServer,
        settings=lambda url: {"base_url": url, "management_url": f"{url}/v1"},
        admins=admin_key(),
    ),
    "elevenlabs": KeyCase(
        provider=elevenlabs.PROVIDER,
        server=ElevenLabsKeyServer,
        settings=lambda url: {"base_url": url, "management_url": url, "service_account_id": "sa_1"},
        admins=admin_key(),
    ),
    "deepgram": KeyCase(
        provider=deepgram.PROVIDER,
        server=DeepgramKeyServer,
        settings=lambda url: {"base_url": url, "management_url": f"{url}/v1", "project_id": "p1"},
        admins=admin_key(),
    ),
    "xai": KeyCase(
        provider=xai.PROVIDER,
        server=XAIKeyServer,
        settings=lambda url: {"base_url": url, "management_url": url, "team_id": "t1"},
    ),
    "azure": KeyCase(
        provider=azure.PROVIDER,
        server=AzureKeyServer,
        settings=lambda url: {
            "endpoint": url,
            "management_url": url,
            "login_url": url,
            "tenant_id": "tenant",
            "client_id": "app",
            "subscription_id": "sub",
            "resource_group": "group",
            "account_name": "account",
        },
        admins={"client_secret": ADMIN},
        fixed=True,
    ),
    "vertex": KeyCase(
        provider=vertex.PROVIDER,
        server=GoogleKeyServer,
        settings=lambda url: {
            "project": "my-project",
            "location": "us-central1",
            "token_url": f"{url}/token",
            "base_url": url,
            "management_url": url,
            "management_token_url": f"{url}/manager-token",
        },
        secrets={"service_account": GOOGLE_OWN},
        admins={"manager": MANAGER},
    ),
    "google": KeyCase(
        provider=google.PROVIDER,
        server=GeminiKeyServer,
        settings=lambda url: {
            "base_url": url,
            "project_id": "my-project",
            "management_url": url,
            "management_token_url": f"{url}/manager-token",
        },
        admins={"manager": MANAGER},
    ),
    "mistral": KeyCase(
        provider=mistral.PROVIDER,
        server=MistralKeyServer,
        settings=lambda url: {
            "base_url": url,
            "management_url": f"{url.removesuffix('/v1')}/api/admin",
            "user_id": "u1",
            "workspace_uuid": "w1",
        },
        admins=admin_key(),
    ),
    "huggingface": KeyCase(
        provider=huggingface.PROVIDER,
        server=HuggingFaceKeyServer,
        settings=lambda url: {"base_url": url, "management_url": url.removesuffix("/v1")},
        admins={},
    ),
    "bedrock": KeyCase(
        provider=bedrock.PROVIDER,
        server=IAMKeyServer,
        settings=iam_settings,
        secrets={"api_key": bedrock_key("ACCAOWN")},
        admins=MANAGING_AWS,
    ),
    "bedrock, signed": KeyCase(
        provider=bedrock.PROVIDER,
        server=partial(IAMKeyServer, "AccessKey"),
        settings=iam_settings,
        secrets={"access_key_id": "AKIAOWNCANARY000", "secret_access_key": KEY},
        admins=MANAGING_AWS,
    ),
}
