"""Anthropic. Source: docs.anthropic.com/en/api (models-list, messages, errors, versioning)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.dialect import Dialect
from keycairn.domain.env_variable import TRUE, EnvSwitch
from keycairn.domain.errors import CannotConnectError, GarbledAnswerError, ProviderError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import DiscoveredModel, Discovery, Provenance, outcome_of
from keycairn.domain.provider import Account, FieldSpec, ProviderSpec, SecretForm
from keycairn.plugins.base import MOST_PAGES, Headers, ListedProvider, unique
from keycairn.plugins.failures import decode
from keycairn.plugins.fields import header_secret, own_url, required_header_secret, required_url, url_names
from keycairn.plugins.listing import context_of, page
from keycairn.plugins.managing.anthropic import MANAGEMENT, AnthropicKeys
from keycairn.plugins.openai_base import keyed_spec
from keycairn.plugins.payloads import ANSWER_TOKENS, GREETING
from keycairn.ports.http import Http, Request

VERSION = "2023-06-01"
PAGE = 100
NATIVE_OPERATIONS = (
    "POST messages",
    "POST messages/count_tokens",
    "POST chat/completions",
    "GET models",
    "GET models/*",
)
REQUEST_HEADERS = ("anthropic-version", "anthropic-beta")
FALLBACK = (
    "claude-opus-4-8",
    "claude-opus-4-7",
    "claude-opus-4-6",
    "claude-opus-4-5",
    "claude-sonnet-5",
    "claude-sonnet-4-6",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
)
"""Offered, marked as such, while the list cannot be reached."""


def auth_token(*env: str) -> FieldSpec:
    """A token that is sent as a bearer's, in place of a key."""
    return FieldSpec(
        name="auth_token", label="Bearer token", secret=True, env=env, form=SecretForm.KEY, help="In place of a key."
    )


class _Message(Struct):
    content: list[dict[str, Any]]


class Anthropic(AnthropicKeys, ListedProvider):
    """A provider that speaks Anthropic's API at `url`; "" where the account has to give one."""

    def __init__(
        self,
        spec: ProviderSpec,
        *,
        url: str = "",
        fallback: tuple[str, ...] = (),
        client_name: str = "anthropic",
    ) -> None:
        super().__init__(spec, client_name=client_name)
        self._url = url
        self._fallback = fallback

    def base_url(self, account: Account, type: Modality | None = None) -> str:  # noqa: ARG002  # the port's
        """The base URL, ending in `/v1` whether or not the account's does."""
        url = own_url(account, "base_url", strip=("/models", "/messages", "/v1")) or self._url.removesuffix("/v1")
        return required_url(account, url, "base_url") + "/v1"

    def anthropic_base_url(self, account: Account) -> str:
        """As `base_url`: this is Anthropic's API."""
        return self.base_url(account)

    def headers(self, account: Account, type: Modality | None = None) -> Headers:  # noqa: ARG002  # the port's
        """The key, else the token, and the version of the API."""
        token = None if account.secret() else header_secret(account, "auth_token", prefix="Bearer ")
        secret = {"x-api-key": required_header_secret(account)} if token is None else {"Authorization": token}
        return {**secret, "anthropic-version": VERSION}

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        """The key; and the version of the API, unless the caller asks for one."""
        ready = await super().authorize(account, request, http)
        asked = {name: value for name, value in request.headers.items() if name.lower() == "anthropic-version"}
        if not asked:
            return ready
        kept = {name: value for name, value in ready.headers.items() if name.lower() != "anthropic-version"}
        return Request(method=ready.method, url=ready.url, headers={**kept, **asked}, body=ready.body)

    async def discover(self, account: Account, http: Http) -> Discovery:
        """The list; where it cannot be reached, the models known from before, with the reason. A bad key is raised."""
        try:
            return await super().discover(account, http)
        except ProviderError as error:
            unreachable = isinstance(error, CannotConnectError) or (error.status or 0) >= 500
            if not unreachable or not self._fallback:
                raise
            models = [self.found(name, Modality.LANGUAGE, provenance=Provenance.FALLBACK) for name in self._fallback]
            return Discovery(models=tuple(models), failure=str(error), outcome=outcome_of(error))

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """Pages of at most 100, twenty of them."""
        headers = self.headers(account)
        query: Mapping[str, str | int] = {"limit": PAGE}
        models: list[DiscoveredModel] = []
        for _ in range(MOST_PAGES):
            url = f"{self.base_url(account)}/models?{urlencode(query)}"
            listed = page(await http.send(Request(url=url, headers=headers)), "data", "models")
            models += listed.models(self._model)
            last = listed.more.get("last_id")
            if listed.more.get("has_more") is not True or not isinstance(last, str) or not last:
                break
            query = {"limit": PAGE, "after_id": last}
        return unique(models)

    def _model(self, name: str, item: Mapping[str, Any]) -> DiscoveredModel:
        label = item.get("display_name")
        text = label if isinstance(label, str) else ""
        return self.found(name, Modality.LANGUAGE, description=text, context_length=context_of(item))

    async def try_language(self, account: Account, name: str, http: Http) -> str:
        """A message."""
        body = {"model": name, "max_tokens": ANSWER_TOKENS, "messages": [{"role": "user", "content": GREETING}]}
        response = await self.post(http, f"{self.base_url(account)}/messages", body, self.headers(account))
        if not decode(response, _Message, of_model=True).content:
            raise GarbledAnswerError(status=response.status)
        return "It answered a greeting."


_KEYED = keyed_spec(
    "anthropic",
    "Anthropic",
    Modality.LANGUAGE,
    docs_url="https://console.anthropic.com/settings/keys",
    url_env=(*url_names("ANTHROPIC"), "ANTHROPIC_API_URL", "ANTHROPIC_REVERSE_PROXY"),
    more_fields=(auth_token("ANTHROPIC_AUTH_TOKEN"),),
    hosts=("api.anthropic.com",),
    key_prefixes=("sk-ant-",),
    any_of=(("api_key", "auth_token"),),
    dialect=Dialect.ANTHROPIC,
    elsewhere="anthropic_compatible",
    env_switches=tuple(
        EnvSwitch(name=f"CLAUDE_CODE_USE_{cloud}", values=TRUE, why=f"Claude is called at {label} then", asks=True)
        for cloud, label in (("BEDROCK", "Bedrock"), ("VERTEX", "Vertex AI"), ("FOUNDRY", "Azure"))
    ),
    native_operations=NATIVE_OPERATIONS,
    request_headers=REQUEST_HEADERS,
    preferred_models=("claude-sonnet", "claude-opus", "claude-haiku"),
)
SPEC = replace(
    _KEYED, key_management=MANAGEMENT, fields=tuple(replace(field, required=False) for field in _KEYED.fields)
)
PROVIDER = Anthropic(SPEC, url="https://api.anthropic.com/v1", fallback=FALLBACK)
