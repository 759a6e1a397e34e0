"""Credentials at their providers: whether they work, and what models they can use."""

from collections.abc import Sequence

from litestar import Controller, Response, post
from litestar.params import JSONBody

from keycairn.app.api.bodies import RegisterModels
from keycairn.app.api.probing_views import DiscoveryView, RegisteredView, TestView, found_view
from keycairn.app.services.models import NewModel
from keycairn.app.web.auth import Touches
from keycairn.app.web.inputs import PathText, TheCaller, TheKeycairn, model_type
from keycairn.domain.errors import InvalidInputError
from keycairn.domain.ids import credential_id
from keycairn.domain.provider import canonical_name
from keycairn.domain.token import Scope

READ = {"scope": Scope.CREDENTIALS_READ}
WRITE = {"scope": Scope.CREDENTIALS_WRITE}
ONE = {"touches": Touches.CREDENTIAL}
LARGEST_REGISTRATION = 1024 * 1024
"""Bytes: a gateway provider lists thousands of models."""


class ProbingController(Controller):
    """The providers' answers."""

    path = "/api/credentials"
    tags: Sequence[str] | None = ("Credentials",)

    @post(
        "/{id:str}/test",
        opt={**WRITE, **ONE},
        status_code=200,
        operation_id="test_credential",
        summary="Test a credential",
    )
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
            version=listed.credential.version,
        )

    @post(
        "/{id:str}/discover",
        opt={**READ, **ONE},
        status_code=200,
        operation_id="discover_credential_models",
        summary="List the models a credential can use",
    )
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
            outcome=discovery.outcome,
            failure=discovery.failure,
            provenance=discovery.provenance,
            withheld=discovery.withheld,
            new=[model.name for model in drift.new],
            vanished=[model.own_name for model in drift.vanished],
            returned=[model.own_name for model in drift.returned],
            retyped=[model.own_name for model in drift.retyped],
        )

    @post(
        "/{id:str}/register-models",
        opt={"scope": Scope.MODELS_WRITE, **ONE},
        status_code=200,
        request_max_body_size=LARGEST_REGISTRATION,
        operation_id="register_credential_models",
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
        wanted = [NewModel(model.name, model_type(model.model_type), model.context_length) for model in data.models]
        given = {canonical_name(model.provider) for model in data.models if model.provider}
        if given - {listed.credential.provider}:
            message = "These models are said to be another provider's than the credential's."
            raise InvalidInputError(message, {"provider": "must be the credential's provider"})
        result = await keycairn.probing.register(key, wanted, by=caller)
        return Response(RegisteredView(created=len(result.created), existing=result.existing))
