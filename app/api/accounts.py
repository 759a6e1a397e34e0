"""Credentials over HTTP: where they come from, whether they work, what they can use."""

from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.params import JSONBody, QueryParameter

from keycairn.app.api.auth import Touches
from keycairn.app.api.bodies import RegisterModels
from keycairn.app.api.inputs import PathText, TheCaller, TheKeycairn, model_type
from keycairn.app.api.views import (
    DiscoveryView,
    MigrationView,
    RegisteredView,
    StatusView,
    TestView,
    found_view,
    migration_view,
)
from keycairn.app.services.imports import Source
from keycairn.app.services.models import NewModel
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.ids import credential_id
from keycairn.domain.provider import canonical_name
from keycairn.domain.token import Scope

READ = {"scope": Scope.CREDENTIALS_READ}
WRITE = {"scope": Scope.CREDENTIALS_WRITE}
ONE = {"touches": Touches.CREDENTIAL}
LARGEST_REGISTRATION = 1024 * 1024
"""Bytes: a gateway provider lists thousands of models."""


class AccountController(Controller):
    """The environment, and the providers' answers."""

    path = "/api/credentials"
    tags = ("Credentials",)

    @get("/status", opt=READ, summary="Where each provider is configured")
    async def status(self, keycairn: TheKeycairn, caller: TheCaller) -> StatusView:
        """The database wins over the environment. `encryption_configured`: whether a root key opens the vault.

        `data_folder_kept` is false where the data folder goes with the container, or with the machine's memory.
        """
        sources = await keycairn.environment.sources(workspace=caller.workspace)
        return StatusView(
            configured={provider: source is not Source.NONE for provider, source in sources.items()},
            source=sources,
            encryption_configured=keycairn.vault.why_sealed is None,
            data_folder_kept=keycairn.data_folder_kept,
        )

    @get("/env-status", opt=READ, summary="Which providers the environment configures")
    async def env_status(self, keycairn: TheKeycairn, caller: TheCaller) -> dict[str, bool]:
        """A blank variable counts as unset."""
        return {account.provider: account.configured for account in keycairn.environment.found(caller.workspace)}

    @post("/migrate-from-env", opt=WRITE, status_code=200, summary="Move the environment's keys into the database")
    async def migrate(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        *,
        dry_run: Annotated[bool, QueryParameter(description="Only say what would happen.")] = False,
        again: Annotated[bool, QueryParameter(description="Also bring back what was deleted here.")] = False,
    ) -> MigrationView:
        """Each configured provider without a credential gets one. Running it again changes nothing."""
        return migration_view(await keycairn.environment.migrate(dry_run=dry_run, again=again, by=caller), caller.reach)

    @post("/{id:str}/test", opt={**WRITE, **ONE}, status_code=200, summary="Test a credential")
    async def test(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> TestView:
        """Ask the provider whether the key is good. A bad key is a result, not an error."""
        key = credential_id(id)
        listed = await keycairn.credentials.get(key, workspace=caller.workspace)
        report = await keycairn.probing.test(key, by=caller)
        return TestView(
            provider=listed.credential.provider,
            success=report.success,
            message=report.message,
            outcome=report.outcome,
            models=report.models,
        )

    @post("/{id:str}/discover", opt={**READ, **ONE}, status_code=200, summary="List the models a credential can use")
    async def discover(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> DiscoveryView:
        """Nothing is registered. The drift lists compare with the models registered for this credential."""
        key = credential_id(id)
        listed = await keycairn.credentials.get(key, workspace=caller.workspace)
        provider = listed.credential.provider
        discovery, drift = await keycairn.probing.drift(key, by=caller)
        return DiscoveryView(
            credential_id=key,
            provider=provider,
            discovered=[found_view(model, provider) for model in discovery.models],
            failure=discovery.failure,
            withheld=discovery.withheld,
            new=[model.name for model in drift.new],
            vanished=[model.name for model in drift.vanished],
            returned=[model.name for model in drift.returned],
            retyped=[model.name for model in drift.retyped],
        )

    @post(
        "/{id:str}/register-models",
        opt={"scope": Scope.MODELS_WRITE, **ONE},
        status_code=200,
        request_max_body_size=LARGEST_REGISTRATION,
        summary="Register models with a credential",
    )
    async def register(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        id: PathText,
        data: JSONBody[RegisterModels],
    ) -> Response[RegisteredView]:
        """All in one commit; those it has already are left alone."""
        key = credential_id(id)
        listed = await keycairn.credentials.get(key, workspace=caller.workspace)
        wanted = [NewModel(model.name, model_type(model.model_type)) for model in data.models]
        given = {canonical_name(model.provider) for model in data.models if model.provider}
        if given - {listed.credential.provider}:
            message = "These models are said to be another provider's than the credential's."
            raise InvalidInputError(message, {"provider": "must be the credential's provider"})
        result = await keycairn.probing.register(key, wanted, by=caller)
        return Response(RegisteredView(created=len(result.created), existing=result.existing))
