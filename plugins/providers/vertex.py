"""Google Vertex AI. A signed assertion of a service account buys a token for an hour.

Source: cloud.google.com/vertex-ai/docs/reference/rest, developers.google.com/identity/protocols/oauth2/service-account.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from msgspec import Struct

from keycairn.domain.dialect import Dialect
from keycairn.domain.errors import ClientConfigError, GarbledAnswerError, InvalidAuthError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, DiscoveredModel, Outcome, Provenance
from keycairn.domain.provider import Account, FieldKind, FieldSpec, ProviderSpec, SecretForm
from keycairn.domain.secret import Secret
from keycairn.plugins.base import Headers, ListedProvider, authorized, dimensions
from keycairn.plugins.failures import decode
from keycairn.plugins.fields import host_label, own_url, url_field
from keycairn.plugins.managing.assertions import GRANT, LIFE, TOKEN_URL, UNUSABLE, assertion
from keycairn.plugins.managing.google_accounts import MANAGEMENT, GoogleAccountKeys
from keycairn.plugins.payloads import ANSWER_TOKENS, GREETING
from keycairn.ports.http import Http, Request, Response
from keycairn.ports.token_cache import BoughtToken

KNOWN = {
    "gemini-3.5-flash": Modality.LANGUAGE,
    "gemini-2.5-flash": Modality.LANGUAGE,
    "gemini-2.5-flash-lite": Modality.LANGUAGE,
    "text-embedding-005": Modality.EMBEDDING,
}
LARGEST_FILE = 64 * 1024
VOICE = "Kore"
_VERBS = (
    "generateContent",
    "streamGenerateContent",
    "countTokens",
    "embedContent",
    "predict",
    "rawPredict",
    "streamRawPredict",
)

_NO_PROJECT = (
    "For this type of model esperanto takes the project from its own process, and not from this account. Call the "
    "model through the gateway."
)
_NO_PATH = (
    "esperanto takes a service account from a file only, and without one acts as whoever its process is. Set the "
    "account's credentials_path in place of the stored service account, or call the model through the gateway."
)
_FILE_STAYS = "A service account from a file goes to Google only. Store its JSON to use a base URL or a token URL."


class _Token(Struct):
    access_token: str
    expires_in: int = LIFE


class _Generated(Struct):
    candidates: list[dict[str, Any]]


class _Values(Struct):
    values: list[float]


class _Prediction(Struct):
    embeddings: _Values


class _Predicted(Struct):
    predictions: list[_Prediction]


class Vertex(GoogleAccountKeys, ListedProvider):
    """Google's models inside a project."""

    def base_url(self, account: Account, type: Modality | None = None) -> str:  # noqa: ARG002  # the port's
        """The location's place in the project, on the location's own host."""
        location = host_label(account, "location")
        host = "aiplatform.googleapis.com" if location == "global" else f"{location}-aiplatform.googleapis.com"
        root = own_url(account, "base_url", strip=("/v1",)) or f"https://{host}"
        return f"{root}/v1/projects/{quote(account.text('project'), safe='')}/locations/{location}"

    def openai_base_url(self, account: Account, type: Modality | None = None) -> str:
        """Its OpenAI-compatible API.

        Source: cloud.google.com/vertex-ai/generative-ai/docs/migrate/openai/overview.
        """
        return f"{self.base_url(account, type)}/endpoints/openapi"

    def openai_model_name(self, name: str) -> str:
        """The name with its publisher, Google where it has none."""
        return name if "/" in name else f"google/{name}"

    def headers(self, account: Account, type: Modality | None = None) -> Headers:  # noqa: ARG002  # the port's
        """None without a token; see `authorize`."""
        return {}

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:  # noqa: ARG002  # the base's
        """The models known here; a project has no list of Google's."""
        return tuple(self.found(name, type, provenance=Provenance.STATIC) for name, type in KNOWN.items())

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        """Buy a token."""
        await self._token(account, http, fresh=True)
        return ConnectionReport(outcome=Outcome.OK, message="The service account works.")

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        """A bearer token."""
        return authorized(request, await self._bearer(account, http))

    async def try_language(self, account: Account, name: str, http: Http) -> str:
        """A greeting."""
        await self._generate(account, name, GREETING, {"maxOutputTokens": ANSWER_TOKENS}, http)
        return "It answered a greeting."

    async def try_speaking(self, account: Account, name: str, http: Http) -> str:
        """A short speech."""
        voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": VOICE}}}
        await self._generate(
            account, name, f"Say: {GREETING}", {"responseModalities": ["AUDIO"], "speechConfig": voice}, http
        )
        return "It spoke a greeting."

    async def try_embedding(self, account: Account, name: str, http: Http) -> str:
        """One embedding; its dimensions."""
        response = await self._call(account, name, "predict", {"instances": [{"content": GREETING}]}, http)
        predictions = decode(response, _Predicted, of_model=True).predictions
        if not predictions:
            raise GarbledAnswerError(status=response.status)
        return dimensions(predictions[0].embeddings.values, response.status)

    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, Any]:
        """The project, the location and the path of the service account, which esperanto's class for chats takes.

        Raises ClientConfigError for anything else: esperanto would go on as whoever its process is.
        """
        path = account.text("credentials_path")
        if type not in {None, Modality.LANGUAGE}:
            raise ClientConfigError(_NO_PROJECT)
        if account.secret("service_account") is not None or not path:
            raise ClientConfigError(_NO_PATH)
        settings = {"vertex_project": account.text("project"), "vertex_location": account.text("location")}
        return {**settings, "credentials_path": path}

    async def _generate(self, account: Account, name: str, text: str, config: Mapping[str, Any], http: Http) -> None:
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": config}
        response = await self._call(account, name, "generateContent", body, http)
        if not decode(response, _Generated, of_model=True).candidates:
            raise GarbledAnswerError(status=response.status)

    async def _call(self, account: Account, name: str, method: str, body: object, http: Http) -> Response:
        url = f"{self.base_url(account)}/publishers/google/models/{quote(name, safe='')}:{method}"
        return await self.post(http, url, body, await self._bearer(account, http))

    async def _bearer(self, account: Account, http: Http) -> Headers:
        return {"Authorization": Secret(f"Bearer {(await self._token(account, http)).reveal()}")}

    async def _token(self, account: Account, http: Http, *, fresh: bool = False) -> Secret:
        signer = _service_account(account)

        async def buy(account: Account) -> BoughtToken:
            url = account.text("token_url")
            form = urlencode({"grant_type": GRANT, "assertion": assertion(signer, url)}).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            request = Request(method="POST", url=url, headers=headers, body=form, secret_body=True)
            bought = decode(await http.send(request), _Token)
            return BoughtToken(token=Secret(bought.access_token), expires_in=bought.expires_in)

        # A file may hold another account by now than the one the token was bought with.
        return await http.tokens.get(account, buy, purpose=sha256(signer).hexdigest(), fresh=fresh)


def _service_account(account: Account) -> bytes:
    """The JSON that signs, read at each use. Raises InvalidAuthError, for a file also where it may not go."""
    stored = account.secret("service_account")
    if stored is not None:
        return stored.reveal().encode()
    if account.text("base_url") or account.text("token_url") != TOKEN_URL:
        # a file is no stored secret, so nothing binds it to an address: whoever may edit the account could send its
        # token anywhere
        raise InvalidAuthError(_FILE_STAYS)
    try:
        path = Path(account.text("credentials_path"))
        if path.is_file():  # a pipe would hold up everything until somebody writes to it
            with path.open("rb") as file:
                return file.read(LARGEST_FILE)
    except (OSError, ValueError):
        pass
    raise InvalidAuthError(UNUSABLE)


PROVIDER = Vertex(
    ProviderSpec(
        name="vertex",
        label="Google Vertex AI",
        modalities=(Modality.LANGUAGE, Modality.EMBEDDING, Modality.TEXT_TO_SPEECH),
        fields=(
            FieldSpec(
                name="project",
                label="Project",
                required=True,
                env=("VERTEX_PROJECT", "VERTEXAI_PROJECT", "GOOGLE_VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"),
            ),
            FieldSpec(
                name="location",
                label="Location",
                required=True,
                env=("VERTEX_LOCATION", "VERTEXAI_LOCATION", "GOOGLE_VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"),
                help="Such as us-central1.",
                names_host=True,
            ),
            FieldSpec(
                name="service_account",
                label="Service account (JSON)",
                secret=True,
                env=("VERTEX_SERVICE_ACCOUNT", "VERTEXAI_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS_JSON"),
                form=SecretForm.SERVICE_ACCOUNT,
                help="The whole key file. Stored sealed.",
                multi_line=True,
            ),
            FieldSpec(
                name="credentials_path",
                label="Path of a service account file",
                kind=FieldKind.PATH,
                env=("GOOGLE_APPLICATION_CREDENTIALS",),
                help="Instead of storing it; read by the service at each use, for Google's own addresses only.",
            ),
            url_field(env=("GOOGLE_VERTEX_BASE_URL", "VERTEXAI_API_BASE")),
            url_field("token_url", "Token URL", default=TOKEN_URL),
        ),
        env_families=("VERTEX", "VERTEXAI", "GOOGLE_VERTEX", "GOOGLE_CLOUD"),
        docs_url="https://console.cloud.google.com/iam-admin/serviceaccounts",
        preferred_models=("gemini-2.5-flash", "text-embedding"),
        dialect=Dialect.GOOGLE,
        key_management=MANAGEMENT,
        native_operations=(
            *(f"POST publishers/*/models/*:{verb}" for verb in _VERBS),
            "POST endpoints/openapi/chat/completions",
            "POST endpoints/openapi/embeddings",
            "GET publishers/*/models",
            "GET publishers/*/models/*",
        ),
        request_headers=("anthropic-beta",),  # of Anthropic's models there
    )
)
