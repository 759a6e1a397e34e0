"""Any server that speaks OpenAI's API, such as LM Studio, vLLM or LocalAI; also a server for each kind of work."""

from functools import lru_cache
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from keycairn.domain.errors import MissingFieldError
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import DiscoveredModel
from keycairn.domain.provider import Account, ProviderSpec
from keycairn.plugins.base import NO_MODEL, Headers, authorized, unique
from keycairn.plugins.fields import SUFFIXES, api_key, header_secret, own_url, required_url, url_field
from keycairn.plugins.openai_base import ALL_MODALITIES, OPENAI_OPERATIONS, OpenAICompatible
from keycairn.plugins.unlisted import UnlistedProvider
from keycairn.ports.http import Http, Request

ENV = "OPENAI_COMPATIBLE"
_TYPE_OF_PATH = {
    "/completions": Modality.LANGUAGE,
    "/responses": Modality.LANGUAGE,
    "/embeddings": Modality.EMBEDDING,
    "/audio/transcriptions": Modality.SPEECH_TO_TEXT,
    "/audio/translations": Modality.SPEECH_TO_TEXT,
    "/audio/speech": Modality.TEXT_TO_SPEECH,
}

_OF_ONE_KIND = ("endpoint_", "api_key_")


class _Server(Struct):
    """A place models are listed at. `only` is the one kind of work it serves, when it is dedicated to one."""

    url: str
    headers: Headers
    only: Modality | None


class Compatible(UnlistedProvider, OpenAICompatible):
    """One server for everything, or one for each kind of work, with a key for all, one for each, or none."""

    def base_url(self, account: Account, type: Modality | None = None) -> str:
        """The URL for that type, else the general one; without a type the general one, else the first there is."""
        names = [f"endpoint_{SUFFIXES[one]}" for one in ([type] if type else SUFFIXES)]
        names.insert(len(names) if type else 0, "base_url")
        return required_url(account, own_url(account, *names, strip=("/models",)), *names)

    def headers(self, account: Account, type: Modality | None = None) -> Headers:
        """The bearer token for that type, else the general one, else none.

        Without a type, the key of the server `base_url` names then.
        """
        if type is None and not account.text("base_url"):
            type = next((one for one, suffix in SUFFIXES.items() if account.text(f"endpoint_{suffix}")), None)
        key = header_secret(account, f"api_key_{SUFFIXES[type]}", prefix="Bearer ") if type else None
        key = key or header_secret(account, prefix="Bearer ")
        return {} if key is None else {"Authorization": key}

    async def list_models(self, account: Account, http: Http) -> tuple[DiscoveredModel, ...]:
        """The models of every server of the account. A server for one kind of work decides the type of its models."""
        models: list[DiscoveredModel] = []
        for server in self._servers(account):
            response = await http.send(Request(url=f"{server.url}/models", headers=server.headers))
            listed = self.read_list(response)
            models += [replace(one, type=server.only) for one in listed] if server.only else listed
        return unique(models)

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:  # noqa: ARG002  # the port's
        """The key for the kind of work the path stands for, where that is done by the server it goes to.

        Any other server gets the key of what it is there for.
        """
        type = _type_of(urlsplit(request.url).path)
        if not _has_several(account):
            return authorized(request, self.headers(account))
        if not _below(request.url, self._own(account, type)):
            served = (one for one in SUFFIXES if account.text(f"endpoint_{SUFFIXES[one]}"))
            asked = [one for one in served if _below(request.url, self._own(account, one))]
            general = _below(request.url, self._own(account, None))
            type = None if general or not asked else asked[0]
        return authorized(request, self.headers(account, type))

    def probe(self, account: Account) -> tuple[Modality, str]:
        """Of the first kind of work that the account has a server for."""
        return next((one for one in SUFFIXES if self._own(account, one)), Modality.LANGUAGE), NO_MODEL

    def _own(self, account: Account, type: Modality | None) -> str:
        """`base_url`, "" where the account has none."""
        try:
            return self.base_url(account, type)
        except MissingFieldError:
            return ""

    def client_config(self, account: Account, type: Modality | None = None) -> dict[str, str]:
        """The URL and the key for that type. Without a key esperanto sends a placeholder."""
        config = {"base_url": self.base_url(account, type)}
        names = ([f"api_key_{SUFFIXES[type]}"] if type else []) + ["api_key"]
        key = next((key for name in names if (key := account.secret(name))), None)
        return config if key is None else {"api_key": key.reveal(), **config}

    def _servers(self, account: Account) -> list[_Server]:
        general = own_url(account, "base_url", strip=("/models",))
        dedicated = {one for one, suffix in SUFFIXES.items() if account.text(f"endpoint_{suffix}")}
        if not general and not dedicated:
            self.base_url(account)
        servers: list[_Server] = []
        for type in SUFFIXES if general else sorted(dedicated):
            url, headers = self.base_url(account, type), self.headers(account, type)
            same = next((one for one in servers if (one.url, one.headers) == (url, headers)), None)
            if same is not None:
                same.only = None
            else:
                servers.append(_Server(url, headers, type if type in dedicated and url != general else None))
        return servers


def _has_several(account: Account) -> bool:
    """Whether the account has a server or a key for one kind of work alone."""
    return any(name.startswith(_OF_ONE_KIND) for names in (account.settings, account.secrets) for name in names)


@lru_cache(maxsize=256)
def _type_of(path: str) -> Modality | None:
    """The kind of work of an operation, None where it is not known."""
    return next((type for ending, type in _TYPE_OF_PATH.items() if path.endswith(ending)), None)


def _below(url: str, base: str) -> bool:
    return bool(base) and url.startswith(base + "/")


_PER_MODE = tuple(
    field
    for type, suffix in SUFFIXES.items()
    for field in (
        url_field(
            f"endpoint_{suffix}",
            f"Base URL, {type.replace('_', ' ')}",
            env=(f"{ENV}_BASE_URL_{suffix.upper()}",),
            help=f"Only where another server does {type.replace('_', ' ')}.",
        ),
        api_key(
            f"{ENV}_API_KEY_{suffix.upper()}",
            required=False,
            name=f"api_key_{suffix}",
            label=f"API key, {type.replace('_', ' ')}",
            sent_to=(f"endpoint_{suffix}", "base_url"),
        ),
    )
)
_FIELDS = (
    api_key(f"{ENV}_API_KEY", "OPENAI_LIKE_API_KEY", required=False),
    url_field(env=(f"{ENV}_BASE_URL", "OPENAI_LIKE_API_BASE"), help="Such as http://localhost:1234/v1."),
    *_PER_MODE,
)

PROVIDER = Compatible(
    ProviderSpec(
        name="openai_compatible",
        label="OpenAI Compatible",
        modalities=ALL_MODALITIES,
        fields=_FIELDS,
        any_of=(tuple(field.name for field in _FIELDS),),
        native_operations=OPENAI_OPERATIONS,
        request_headers=("openai-beta",),
        env_families=(ENV, "OPENAI_LIKE"),
    ),
    key_required=False,
)
