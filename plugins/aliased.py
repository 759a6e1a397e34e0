"""A provider with more environment variables than its author gave it."""

from collections.abc import Mapping
from typing import Any

from keycairn.domain.modality import Modality
from keycairn.domain.outcome import ConnectionReport, Discovery, ModelReport
from keycairn.domain.provider import Account, ProviderSpec
from keycairn.ports.http import Http, Request
from keycairn.ports.provider import Provider


class AliasedProvider:
    """`provider` in everything but its spec."""

    def __init__(self, provider: Provider, spec: ProviderSpec) -> None:
        self._provider = provider
        self.spec = spec

    async def discover(self, account: Account, http: Http) -> Discovery:
        """As the provider."""
        return await self._provider.discover(account, http)

    async def check(self, account: Account, http: Http) -> ConnectionReport:
        """As the provider."""
        return await self._provider.check(account, http)

    async def try_model(self, account: Account, name: str, type: Modality, http: Http) -> ModelReport:
        """As the provider."""
        return await self._provider.try_model(account, name, type, http)

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        """As the provider."""
        return await self._provider.authorize(account, request, http)

    def base_url(self, account: Account, type: Modality | None = None) -> str:
        """As the provider."""
        return self._provider.base_url(account, type)

    def __getattr__(self, name: str) -> Any:
        """What a provider may have besides: other APIs it speaks, and how."""
        if name in {"openai_base_url", "openai_model_name", "anthropic_base_url", "refuses_key"}:
            return getattr(self._provider, name)
        raise AttributeError(name)

    @property
    def client_name(self) -> str:
        """As the provider."""
        return self._provider.client_name

    def client_config(self, account: Account, type: Modality | None = None) -> Mapping[str, Any]:
        """As the provider."""
        return self._provider.client_config(account, type)
