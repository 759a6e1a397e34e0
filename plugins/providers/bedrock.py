"""Amazon Bedrock, by a key of its own or by signed requests.

Source: docs.aws.amazon.com/bedrock/latest/APIReference (Converse, InvokeModel, ListFoundationModels,
ListInferenceProfiles), docs.aws.amazon.com/bedrock/latest/userguide (api-keys, inference-chat-completions).
"""

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from keycairn.domain.errors import GarbledAnswerError, InvalidAuthError, ProviderError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import DiscoveredModel
from keycairn.domain.provider import Account, FieldSpec, ProviderSpec, SecretForm
from keycairn.plugins.base import MODEL_DEADLINE, MOST_PAGES, Headers, ListedProvider, authorized, dimensions, unique
from keycairn.plugins.failures import decode
from keycairn.plugins.fields import api_key, header_secret, host_label, own_url, url_field
from keycairn.plugins.managing.aws import MANAGEMENT, IAMKeys
from keycairn.plugins.payloads import ANSWER_TOKENS, GREETING
from keycairn.plugins.sigv4 import EMPTY, Keys, signed_headers
from keycairn.ports.http import Http, Request, Response

SERVICE = "bedrock"
PAGE = 1000
_TYPES = {"TEXT": Modality.LANGUAGE, "EMBEDDING": Modality.EMBEDDING}
_CALLS = ("converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens")


class _Summary(Struct, rename="camel"):
    model_id: str
    model_name: str = ""
    output_modalities: tuple[str, ...] = ()
    inference_types_supported: tuple[str, ...] = ()


class _Models(Struct, rename="camel"):
    model_summaries: tuple[_Summary, ...]


class _Member(Struct, rename="camel"):
    model_arn: str = ""


class _Profile(Struct, rename="camel"):
    inference_profile_id: str
    inference_profile_name: str = ""
    models: tuple[_Member, ...] = ()


class _Profiles(Struct, rename="camel"):
    inference_profile_summaries: tuple[_Profile, ...]
    next_token: str | None = None


class _Conversed(Struct):
    output: dict[str, Any]


class _Embedded(Struct):
    embedding: list[float] = []
    embeddings: list[list[float]] = []


class Bedrock(IAMKeys, ListedProvider):
    """The models of a region. Calls go to its runtime, lists to its control plane."""

    def base_url(self, account: Account, type: Modality | None = None) -> str:  # noqa: ARG002  # the port's
        """The runtime's."""
        return own_url(account, "base_url", strip=("/openai/v1", "/models", "/model")) or _host(
            account, "bedrock-runtime"
        )

    def openai_base_url(self, account: Account, type: Modality | None = None) -> str:
        """Its API in OpenAI's form, for those of its models that have it."""
        return f"{self.base_url(account, type)}/openai/v1"

    def headers(self, account: Account, type: Modality | None = None) -> Headers:  # noqa: ARG002  # the port's
        """The key, where there is one; else requests are signed one by one: see `authorize`."""
        key = header_secret(account, prefix="Bearer ")
        return {} if key is None else {"Authorization": key}

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:  # noqa: ARG002  # the port's
        """A bearer token, or a signature over the request and the digest of its body."""
        return _authorized(account, request, request.body_sha256 or EMPTY, self.headers(account))

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """The models that are called by their own ids, and the profiles through which the others are."""
        root = own_url(account, "control_url", strip=("/foundation-models", "/models")) or _host(account, "bedrock")
        listed = decode(await self._get(account, f"{root}/foundation-models", http), _Models).model_summaries
        types = {one.model_id: _type(one) for one in listed}
        models = [
            self.found(one.model_id, types[one.model_id], description=one.model_name)
            for one in listed
            if "ON_DEMAND" in one.inference_types_supported or not one.inference_types_supported
        ]
        try:
            profiles = await self._profiles(account, root, http)
        except ProviderError:  # a permission of its own, which those who call no profile do not need
            profiles = []
        for profile in profiles:
            ids = [member.model_arn.rpartition("/")[2] for member in profile.models]
            type = next((types[id] for id in ids if id in types), None)
            models.append(self.found(profile.inference_profile_id, type, description=profile.inference_profile_name))
        return unique(models)

    async def try_language(self, account: Account, name: str, http: Http) -> str:
        """A greeting, in the form that all of its models share."""
        body = {
            "messages": [{"role": "user", "content": [{"text": GREETING}]}],
            "inferenceConfig": {"maxTokens": ANSWER_TOKENS},
        }
        if not decode(await self._call(account, name, "converse", body, http), _Conversed, of_model=True).output:
            raise GarbledAnswerError
        return "It answered a greeting."

    async def try_embedding(self, account: Account, name: str, http: Http) -> str:
        """One embedding, in its maker's form; its dimensions."""
        body: dict[str, Any] = {"inputText": GREETING}
        if "cohere." in name:
            body = {"texts": [GREETING], "input_type": "search_document"}
        response = await self._call(account, name, "invoke", body, http)
        found = decode(response, _Embedded, of_model=True)
        vector = found.embedding or (found.embeddings[0] if found.embeddings else [])
        if not vector:
            raise GarbledAnswerError(status=response.status)
        return dimensions(vector)

    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, Any]:
        """Its API in OpenAI's form, which takes the key and has chats only; for signed requests there is no client."""
        key = account.secret()
        if key is None:
            raise InvalidAuthError("Clients in the process need a Bedrock API key. Only the gateway signs calls.")
        return {"api_key": key.reveal(), "base_url": self.openai_base_url(account, type)}

    async def _profiles(self, account: Account, root: str, http: Http) -> list[_Profile]:
        found: list[_Profile] = []
        query = {"maxResults": str(PAGE)}
        for _ in range(MOST_PAGES):
            page = decode(await self._get(account, f"{root}/inference-profiles?{urlencode(query)}", http), _Profiles)
            found += page.inference_profile_summaries
            if not page.next_token:
                break
            query["nextToken"] = page.next_token
        return found

    async def _get(self, account: Account, url: str, http: Http) -> Response:
        return await http.send(_authorized(account, Request(url=url), EMPTY, self.headers(account)))

    async def _call(self, account: Account, name: str, call: str, body: object, http: Http) -> Response:
        text = msgspec.json.encode(body)
        request = Request(
            method="POST",
            url=f"{self.base_url(account)}/model/{quote(name, safe='')}/{call}",
            headers={"content-type": "application/json"},
            body=text,
        )
        ready = _authorized(account, request, sha256(text).hexdigest(), self.headers(account))
        return await http.send(ready, deadline=MODEL_DEADLINE)


def _authorized(account: Account, request: Request, body_sha256: str, bearer: Headers) -> Request:
    if bearer:
        return authorized(request, bearer)
    id, secret = account.secret("access_key_id"), account.secret("secret_access_key")
    if id is None or secret is None:
        raise InvalidAuthError(
            "This credential has neither an API key nor both parts of an access key. Nothing was sent."
        )
    for one in (id, secret):
        if not one.reveal().isascii() or not one.reveal().isprintable():
            raise InvalidAuthError("The access key holds characters no key has. Nothing was sent.")
    kind = {name: str(value) for name, value in request.headers.items() if name.lower() == "content-type"}
    signature = signed_headers(
        request.method,
        request.url,
        kind,
        body_sha256=body_sha256,
        keys=Keys(id, secret, header_secret(account, "session_token")),
        region=host_label(account, "region"),
        service=SERVICE,
        at=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
    )
    return authorized(request, signature)


def _host(account: Account, service: str) -> str:
    region = host_label(account, "region")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{service}.{region}.{domain}"


def _type(model: _Summary) -> Modality | None:
    return next((_TYPES[one] for one in model.output_modalities if one in _TYPES), None)


PROVIDER = Bedrock(
    ProviderSpec(
        name="bedrock",
        label="Amazon Bedrock",
        modalities=(Modality.LANGUAGE, Modality.EMBEDDING),
        fields=(
            FieldSpec(
                name="region",
                label="Region",
                required=True,
                env=("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME", "BEDROCK_AWS_DEFAULT_REGION"),
                help="Such as us-east-1.",
                names_host=True,
            ),
            api_key("AWS_BEARER_TOKEN_BEDROCK", required=False, label="Bedrock API key"),
            FieldSpec(
                name="access_key_id",
                label="Access key ID",
                secret=True,
                env=("AWS_ACCESS_KEY_ID", "BEDROCK_AWS_ACCESS_KEY_ID"),
                form=SecretForm.ANY,
                help="With the secret access key, in place of a Bedrock API key.",
            ),
            FieldSpec(
                name="secret_access_key",
                label="Secret access key",
                secret=True,
                env=("AWS_SECRET_ACCESS_KEY", "BEDROCK_AWS_SECRET_ACCESS_KEY"),
                form=SecretForm.ANY,
            ),
            FieldSpec(
                name="session_token",
                label="Session token",
                secret=True,
                env=("AWS_SESSION_TOKEN", "BEDROCK_AWS_SESSION_TOKEN"),
                form=SecretForm.ANY,
                help="Of keys that were lent for some hours.",
            ),
            url_field(
                label="Runtime endpoint",
                env=("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_BEDROCK_BASE_URL"),
                help="Only for an endpoint of a private network, or a proxy.",
            ),
            url_field(
                "control_url",
                "Control endpoint",
                env=("AWS_ENDPOINT_URL_BEDROCK",),
                help="Where models are listed; only for an endpoint of a private network.",
            ),
        ),
        any_of=(("api_key", "access_key_id"),),
        env_requires=(("api_key", "access_key_id"), ("region",)),
        env_families=("AWS", "BEDROCK"),
        env_besides=("AWS_ENDPOINT_URL_*", "AWS_CONTAINER_CREDENTIALS_*", "AWS_EC2_METADATA_*"),
        hosts=("*.amazonaws.com", "*.amazonaws.com.cn"),
        preferred_models=("us.anthropic.claude-sonnet", "anthropic.claude", "amazon.nova", "amazon.titan-embed"),
        docs_url="https://console.aws.amazon.com/bedrock/",
        key_management=MANAGEMENT,
        native_operations=(
            *(f"POST model/*/{call}" for call in _CALLS),
            "POST openai/v1/chat/completions",
        ),
        signs_body=True,
    ),
    client_name="openai-compatible",
)
