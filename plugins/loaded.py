"""A provider as the registry hands it out: the plugin's own, behind the boundary."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from msgspec.structs import replace

from keycairn.domain.errors import KeycairnError, PluginFailedError
from keycairn.domain.key_management import KeyManagement, KeyOrder, KeyRef, ListedKey, MadeKey
from keycairn.domain.key_rotation.sealing import allowed_origins
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, Discovery, ModelReport
from keycairn.domain.provider import Account, ProviderSpec
from keycairn.domain.redaction import Redactor
from keycairn.domain.secret import Secret
from keycairn.plugins import answers
from keycairn.plugins.boundary import Boundary, at_once, ends_at_once
from keycairn.plugins.call_http import CallHttp, CallSecrets
from keycairn.plugins.declared import OPTIONAL, needed_to_manage, vetted
from keycairn.plugins.key_http import KeyHttp
from keycairn.ports.http import Http, Request
from keycairn.ports.provider import Provider

ASK_WITHIN = 600.0
"""Seconds a check, a discovery or a model that is tried may take; each request of it has a deadline of its own."""
AUTHORIZE_WITHIN = 120.0
"""Seconds a call may take to be authorized, with a token that is bought for it."""
MANAGE_WITHIN = 100.0
"""Seconds one step of managing keys may take: less than others wait before they take it for cut off."""
_T = TypeVar("_T")


class GuardedProvider:
    """A `keycairn.ports.provider.LoadedProvider`: `provider` with the vetted `spec` and `client_name`.

    What its plugin declares is read once, when it is loaded: a plugin that changes its object afterwards changes
    nothing. `ask_within` and `authorize_within` are in seconds.
    """

    def __init__(
        self,
        provider: Provider,
        spec: ProviderSpec,
        client_name: str,
        *,
        ask_within: float = ASK_WITHIN,
        authorize_within: float = AUTHORIZE_WITHIN,
    ) -> None:
        self.spec = spec
        self.client_name = client_name
        self._provider = provider
        self._ask_within, self._authorize_within = ask_within, authorize_within
        self._boundary = Boundary(spec.name)
        self._authorize = provider.authorize
        self._authorizes_at_once = ends_at_once(provider.authorize)
        capabilities = {name: cast("Callable[..., object] | None", getattr(provider, name, None)) for name in OPTIONAL}
        self._openai_base_url = capabilities["openai_base_url"]
        self._openai_model_name = capabilities["openai_model_name"]
        self._anthropic_base_url = capabilities["anthropic_base_url"]
        self._refuses_key = capabilities["refuses_key"]
        self._client_name_for = capabilities["client_name_for"]

    def __repr__(self) -> str:
        return f"GuardedProvider({self.spec.name!r})"

    def with_spec(self, spec: ProviderSpec) -> "GuardedProvider":
        """The same provider with more in its spec, such as variables that another plugin adds."""
        return GuardedProvider(
            self._provider,
            spec,
            self.client_name,
            ask_within=self._ask_within,
            authorize_within=self._authorize_within,
        )

    @property
    def speaks_anthropic(self) -> bool:
        """See the port."""
        return self._anthropic_base_url is not None

    async def discover(self, account: Account, http: Http) -> Discovery:
        """See the port."""
        modalities = self.spec.modalities

        def read(given: object, redactor: Redactor) -> Awaitable[Discovery]:
            return answers.discovery(given, redactor, modalities)

        return await self._asked("discover", account, http, self._provider.discover, read)

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        """See the port."""
        return await self._asked("check", account, http, self._provider.check, answers.report)

    async def try_model(self, account: Account, name: str, type: Modality, http: Http) -> ModelReport:
        """See the port."""

        def ask(account: Account, http: Http) -> Awaitable[object]:
            return self._provider.try_model(account, name, type, http)

        return await self._asked("try_model", account, http, ask, answers.trial)

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        """See the port."""
        secrets, own = CallSecrets(account), _copied(account)
        guarded = CallHttp(http, secrets, self._boundary)
        if self._authorizes_at_once:  # as most do: a task would cost more than all they do
            return self._boundary.run(
                "authorize",
                lambda: answers.request(at_once(self._authorize(own, request, guarded))),
                secrets.redactor,
            )

        async def call() -> Request:
            return answers.request(await self._authorize(own, request, guarded))

        return await self._boundary.wait("authorize", call, secrets.redactor, within=self._authorize_within)

    async def create_key(self, manager: Account, order: KeyOrder, http: Http) -> MadeKey:
        """See the port."""
        create = self._managing("create_key")

        async def read(given: object, redactor: Redactor) -> MadeKey:
            return answers.made_key(given, redactor, self._management)

        anywhere = allowed_origins(self._management, manager.settings)  # it is nothing yet but what is asked for
        handed = [(order.secret, anywhere)] if order.secret is not None else []
        return await self._managed(
            "create_key", manager, http, handed, lambda own, guarded: create(own, order, guarded), read
        )

    async def revoke_key(self, manager: Account, key: KeyRef, http: Http) -> None:
        """See the port."""
        revoke = self._managing("revoke_key")

        async def read(given: object, redactor: Redactor) -> None:
            del given, redactor

        await self._managed(
            "revoke_key",
            manager,
            http,
            [(secret, key.origins) for secret in key.secrets.values()],
            lambda own, guarded: revoke(own, key, guarded),
            read,
        )

    async def list_keys(self, manager: Account, http: Http) -> Sequence[ListedKey]:
        """See the port."""
        ask = self._managing("list_keys")

        async def read(given: object, redactor: Redactor) -> Sequence[ListedKey]:
            return answers.listed_keys(given, redactor)

        return await self._managed("list_keys", manager, http, [], ask, read)

    def base_url(self, account: Account, type: Modality | None = None) -> str:
        """See the port."""
        return self._url("base_url", self._provider.base_url, account, type)

    def openai_base_url(self, account: Account, type: Modality | None = None) -> str:
        """See the port."""
        if self._openai_base_url is None:
            return self.base_url(account, type)
        return self._url("openai_base_url", self._openai_base_url, account, type)

    def anthropic_base_url(self, account: Account) -> str:
        """See the port."""
        if self._anthropic_base_url is None:
            raise PluginFailedError("it does not speak Anthropic's API")
        return self._url("anthropic_base_url", self._anthropic_base_url, account)

    def openai_model_name(self, name: str) -> str:
        """See the port."""
        naming = self._openai_model_name
        if naming is None:
            return name
        return self._boundary.run("openai_model_name", lambda: answers.model_name(naming(name)))

    def refuses_key(self, status: int, body: bytes) -> bool:
        """See the port."""
        refusing = self._refuses_key
        if refusing is None:
            return False
        try:
            return self._boundary.run("refuses_key", lambda: answers.truth(refusing(status, body)))
        except KeycairnError:
            return False

    def client_name_for(self, type: Modality | None = None) -> str:
        """See the port."""
        naming = self._client_name_for
        if naming is None:
            return self.client_name
        return self._boundary.run("client_name_for", lambda: answers.client_name(naming(type)))

    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, Any]:
        """See the port."""
        provider, secrets, own = self._provider, CallSecrets(account), _copied(account)
        return self._boundary.run(
            "client_config", lambda: answers.config(provider.client_config(own, type)), secrets.redactor
        )

    def _url(self, method: str, call: Callable[..., object], account: Account, *more: object) -> str:
        return self._boundary.run(
            method, lambda: answers.url(call(_copied(account), *more), method), CallSecrets(account).redactor
        )

    @property
    def _management(self) -> KeyManagement:
        if self.spec.key_management is None:
            raise PluginFailedError("it does not manage keys")
        return self.spec.key_management

    def _managing(self, method: str) -> Callable[..., Awaitable[object]]:
        """A method of `ManagesKeys`. Raises PluginFailedError where the spec says that there is none."""
        if method not in needed_to_manage(self.spec):
            raise PluginFailedError(f"it has no {method}")
        return cast("Callable[..., Awaitable[object]]", getattr(self._provider, method))

    async def _managed(
        self,
        method: str,
        manager: Account,
        http: Http,
        handed: Sequence[tuple[Secret, frozenset[str] | None]],
        ask: Callable[[Account, Http], Awaitable[object]],
        read: Callable[[object, Redactor], Awaitable[_T]],
    ) -> _T:
        """As `_asked`, within the origins that manage keys. `handed` are other secrets, as `KeyHttp` has them."""
        bound = KeyHttp(http, self.spec, self._management, manager, handed)
        known = {**manager.secrets, **{f"handed.{number}": one for number, (one, _) in enumerate(handed)}}
        secrets = CallSecrets(replace(manager, secrets=known))
        guarded = CallHttp(bound, secrets, self._boundary)

        async def call() -> _T:
            given = await ask(_copied(manager), guarded)
            return await read(given, secrets.redactor())

        return await self._boundary.wait(method, call, secrets.redactor, within=MANAGE_WITHIN)

    async def _asked(
        self,
        method: str,
        account: Account,
        http: Http,
        ask: Callable[[Account, Http], Awaitable[object]],
        read: Callable[[object, Redactor], Awaitable[_T]],
    ) -> _T:
        secrets = CallSecrets(account)
        guarded = CallHttp(http, secrets, self._boundary)

        async def call() -> _T:
            given = await ask(_copied(account), guarded)
            return await read(given, secrets.redactor())

        return await self._boundary.wait(method, call, secrets.redactor, within=self._ask_within)


def _copied(account: Account) -> Account:
    """The same account for a plugin to do with as it likes: others go on to use the one it is a copy of."""
    return replace(account, settings=dict(account.settings), secrets=dict(account.secrets))


def loaded(
    provider: Any, *, ask_within: float = ASK_WITHIN, authorize_within: float = AUTHORIZE_WITHIN
) -> GuardedProvider:
    """`provider` behind the boundary; itself where it is so already. Raises PluginError for one declared wrongly."""
    if isinstance(provider, GuardedProvider):
        return provider
    spec, sound = vetted(provider)
    return GuardedProvider(
        sound, spec, str.__str__(sound.client_name), ask_within=ask_within, authorize_within=authorize_within
    )
