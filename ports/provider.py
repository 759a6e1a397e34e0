"""A provider plugin's behaviour, and the registry of those that are loaded."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from keycairn.domain.key_management import KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, Discovery, ModelReport
from keycairn.domain.provider import Account, ProviderSpec
from keycairn.ports.http import Http, Request


class Provider(Protocol):
    """What Keycairn asks of a provider. Implementations keep no account: each call gets it, uses it and forgets it.

    Failures are raised as the subclasses of `keycairn.domain.errors.ProviderError`; their text must be the plugin's
    own, never the provider's answer. All traffic goes through the `http` passed in.
    """

    @property
    def spec(self) -> ProviderSpec:
        """The provider as data."""
        ...

    async def discover(self, account: Account, http: Http) -> Discovery:
        """The models the account can use. Raises ProviderError; an empty list means that there are none."""
        ...

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        """Prove the key with the cheapest call that proves it.

        Raises ProviderError; the caller maps it to an outcome.
        """
        ...

    async def try_model(self, account: Account, name: str, type: Modality, http: Http) -> ModelReport:
        """One small real call of the model. Raises ProviderError."""
        ...

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        """`request` with the account's authorization: a header, a signature, a token fetched through `http`.

        `Request` says of which body the plugin sees how much.
        """
        ...

    def base_url(self, account: Account, type: Modality | None = None) -> str:
        """The base URL of the provider's API for calls of that type, without a trailing slash."""
        ...

    @property
    def client_name(self) -> str:
        """The provider's name for in-process clients (esperanto), which may spell it differently."""
        ...

    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, Any]:
        """The plain config an in-process client (esperanto's `AIFactory.create_*`) takes: text, numbers, mappings.

        It holds the secret: hand it to nothing else.
        """
        ...


class SpeaksOpenAI(Protocol):
    """What a provider may add when its OpenAI-compatible API is not simply at `base_url`. Looked up by name."""

    def openai_base_url(self, account: Account, type: Modality | None = None) -> str:
        """What the gateway appends `/chat/completions` and the like to, without a trailing slash."""
        ...


class NamesModels(Protocol):
    """What a provider adds when its OpenAI-compatible API names models in another way. Looked up by name."""

    def openai_model_name(self, name: str) -> str:
        """The name to send for the registered `name`."""
        ...


class SpeaksAnthropic(Protocol):
    """What a provider adds when it speaks Anthropic's API. Looked up by name."""

    def anthropic_base_url(self, account: Account) -> str:
        """What the gateway appends `/messages` to, without a trailing slash."""
        ...


class NamesClients(Protocol):
    """What a provider adds whose name for in-process clients depends on the type of model. Looked up by name."""

    def client_name_for(self, type: Modality | None = None) -> str:
        """The provider's name for clients of models of that type."""
        ...


class TellsRefusals(Protocol):
    """What a provider adds that may refuse a key with another status than 401. Looked up by name."""

    def refuses_key(self, status: int, body: bytes) -> bool:
        """Whether a call's refusal, 400 or 403, says that the key is bad. `body` is its beginning, 64 KiB or more."""
        ...


class ManagesKeys(Protocol):
    """What a provider has whose spec declares `key_management`. Looked up by name.

    `manager` has the settings and secrets that the declaration asks for, and those of the account's own that are its
    key; its requests reach the origins of the declared URLs only. Failures are raised as everywhere: a failure to
    connect, a timeout, a garbled answer or a 5xx of a creation means that it is not known whether there is a key.
    """

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        """A new key, named `order.tag`, which may do what the account's key may. Ask for it once, in one request."""
        ...

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """Revoke a key for good. One that is not there any more is a no-op."""
        ...

    async def list_keys(self, manager: Account, http: Http) -> Sequence[ListedKey]:
        """All keys there are, of every page, disabled ones too; empty where `lists` is False."""
        ...


class LoadedProvider(Provider, Protocol):
    """A provider as the registry hands it out, with every capability: what its plugin leaves out has a default.

    Whatever the plugin does, a method gives what it declares, fit to be kept and shown and without the secrets of the
    call, or raises ProviderError, InvalidInputError or EgressRefusedError; PluginFailedError for what a plugin should
    not do.
    """

    @property
    def speaks_anthropic(self) -> bool:
        """Whether it has an `anthropic_base_url`."""
        ...

    def openai_base_url(self, account: Account, type: Modality | None = None) -> str:
        """See `SpeaksOpenAI`; `base_url` where the plugin does not say."""
        ...

    def openai_model_name(self, name: str) -> str:
        """See `NamesModels`; `name` where the plugin does not say."""
        ...

    def anthropic_base_url(self, account: Account) -> str:
        """See `SpeaksAnthropic`. Raises PluginFailedError where it does not."""
        ...

    def client_name_for(self, type: Modality | None = None) -> str:
        """See `NamesClients`; `client_name` where the plugin does not say."""
        ...

    def refuses_key(self, status: int, body: bytes) -> bool:
        """See `TellsRefusals`; False where the plugin does not say, or fails. Raises nothing."""
        ...

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        """See `ManagesKeys`. Raises PluginFailedError where the provider does not."""
        ...

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """See `ManagesKeys`. Raises PluginFailedError where the provider does not."""
        ...

    async def list_keys(self, manager: Account, http: Http) -> Sequence[ListedKey]:
        """See `ManagesKeys`. Raises PluginFailedError where the provider does not."""
        ...


class PluginStatus(Struct, frozen=True, kw_only=True):
    """One plugin as it was found at start. `failure` says why it is not in use, None when it is."""

    name: str
    origin: str
    providers: tuple[str, ...] = ()
    api_version: int | None = None
    failure: str | None = None


class ProviderRegistry(Protocol):
    """The providers of all loaded plugins."""

    def get(self, name: str) -> LoadedProvider:
        """The provider of that name, hyphens and underscores, upper and lower case alike.

        Raises UnknownProviderError.
        """
        ...

    def all(self) -> Sequence[LoadedProvider]:
        """Every provider, built-in ones first, in declaration order."""
        ...

    def plugins(self) -> Sequence[PluginStatus]:
        """Every plugin that was found, those that failed to load included."""
        ...
