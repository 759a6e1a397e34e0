"""Providers and plugins over HTTP, and what providers offer."""

from collections.abc import Sequence

from litestar import Controller, get, post

from keycairn.app.api.catalog_views import PluginView, ProviderView, plugin_view, provider_view
from keycairn.app.api.model_views import AvailabilityView, SyncAllView, SyncView, sync_view
from keycairn.app.api.probing_views import FoundModelView, found_view
from keycairn.app.keycairn import Keycairn
from keycairn.app.services.imports import Source
from keycairn.app.web.auth import Options, Touches
from keycairn.app.web.inputs import PathText, TheCaller, TheKeycairn
from keycairn.domain.audit import Caller
from keycairn.domain.token import Scope

CATALOG: Options = {"scope": Scope.CREDENTIALS_READ, "touches": Touches.NONE}
READ = {"scope": Scope.MODELS_READ}
WRITE = {"scope": Scope.MODELS_WRITE}
PROVIDER = {"touches": Touches.PROVIDER}


class CatalogController(Controller):
    """What there is to choose from."""

    path = "/api"
    tags: Sequence[str] | None = ("Providers",)

    @get("/providers", opt=CATALOG, operation_id="list_providers", summary="List providers")
    async def providers(self, keycairn: TheKeycairn, caller: TheCaller) -> list[ProviderView]:
        """Built-in ones first, in declaration order, each with the fields of its accounts."""
        configured = {account.provider for account in keycairn.environment.found(caller.workspace) if account.usable}
        return [
            provider_view(provider.spec, env_configured=provider.spec.name in configured)
            for provider in keycairn.registry.all()
        ]

    @get("/plugins", opt=CATALOG, operation_id="list_plugins", summary="List provider plugins")
    async def plugins(self, keycairn: TheKeycairn) -> list[PluginView]:
        """Those that failed to load included, with the reason."""
        return [plugin_view(status) for status in keycairn.registry.plugins()]

    @get(
        "/models/providers",
        opt=READ,
        operation_id="get_provider_availability",
        summary="Which providers are configured",
    )
    async def availability(self, keycairn: TheKeycairn, caller: TheCaller) -> AvailabilityView:
        """In the database or in the environment."""
        sources = await keycairn.environment.sources(workspace=caller.workspace)
        available = [name for name, source in sources.items() if source is not Source.NONE]
        return AvailabilityView(
            available,
            [name for name in sources if name not in available],
            {name: keycairn.registry.get(name).spec.modalities for name in available},
        )

    @get(
        "/models/discover/{provider:str}",
        opt={**READ, **PROVIDER},
        operation_id="discover_provider_models",
        summary="List the models a provider offers",
    )
    async def discover(self, keycairn: TheKeycairn, caller: TheCaller, provider: PathText) -> list[FoundModelView]:
        """Those of the four types, to any of its credentials, else to the environment's account. None is registered."""
        name = keycairn.registry.get(provider).spec.name
        discovery = await keycairn.probing.discover_provider(name, by=caller)
        return [found_view(model, name) for model in discovery.models if model.type is not None]

    @post(
        "/models/sync",
        opt=WRITE,
        status_code=200,
        operation_id="sync_providers",
        summary="Bring all providers up to date",
    )
    async def sync_all(self, keycairn: TheKeycairn, caller: TheCaller) -> SyncAllView:
        """Every provider that has a credential, or an account in the environment; each account has its own result."""
        sources = await keycairn.environment.sources(workspace=caller.workspace)
        used = [name for name, source in sources.items() if source is not Source.NONE]
        results = {name: await _sync(keycairn, caller, name) for name in used}
        return SyncAllView(
            results,
            sum(result.discovered for result in results.values()),
            sum(result.new for result in results.values()),
        )

    @post(
        "/models/sync/{provider:str}",
        opt={**WRITE, **PROVIDER},
        status_code=200,
        operation_id="sync_provider",
        summary="Bring a provider up to date",
    )
    async def sync(self, keycairn: TheKeycairn, caller: TheCaller, provider: PathText) -> SyncView:
        """New models are registered, vanished ones marked; nothing is deleted."""
        return await _sync(keycairn, caller, provider)


async def _sync(keycairn: Keycairn, caller: Caller, provider: str) -> SyncView:
    return sync_view(await keycairn.probing.sync(provider, by=caller))
