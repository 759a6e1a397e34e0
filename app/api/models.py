"""Models and defaults over HTTP."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.params import JSONBody, QueryParameter

from keycairn.app.api.bodies import CreateModel, SetDefaults, UpdateModel
from keycairn.app.api.model_views import (
    AssignmentView,
    CountView,
    DefaultsView,
    DeletedModelView,
    ModelTestView,
    ModelView,
    defaults_view,
    model_view,
)
from keycairn.app.keycairn import Keycairn
from keycairn.app.web.auth import Touches, reaches
from keycairn.app.web.inputs import PathText, TheCaller, TheKeycairn, model_type
from keycairn.app.web.paging import Cursor, Cursors, Listing, PageLimit, next_link
from keycairn.domain.audit import Caller
from keycairn.domain.errors import CredentialNotFoundError, OutOfReachError
from keycairn.domain.ids import ModelId, credential_id, model_id
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model
from keycairn.domain.provider import canonical_name
from keycairn.domain.token import Scope

READ = {"scope": Scope.MODELS_READ}
WRITE = {"scope": Scope.MODELS_WRITE}
ONE = {"touches": Touches.MODEL}
CHOSEN = {"touches": Touches.CHOSEN}
PROVIDER = {"touches": Touches.PROVIDER}

TypeFilter = Annotated[str | None, QueryParameter(description=f"One of: {', '.join(Modality)}.")]


class ModelController(Controller):
    """Registered models, and which of them serve by default."""

    path = "/api/models"
    tags: Sequence[str] | None = ("Models",)

    @get("/", opt={**READ, **CHOSEN}, operation_id="list_models", summary="List models")
    async def listing(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        request: Request[Any, Any, Any],
        type: TypeFilter = None,
        limit: PageLimit = None,
        cursor: Cursor = None,
    ) -> Response[list[ModelView]]:
        """In the order they were registered."""
        return await self._page(keycairn, caller, request, limit, cursor, type=type)

    @get(
        "/by-provider/{provider:str}",
        opt={**READ, **CHOSEN},
        operation_id="list_provider_models",
        summary="List the models of a provider",
    )
    async def by_provider(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        request: Request[Any, Any, Any],
        provider: PathText,
        limit: PageLimit = None,
        cursor: Cursor = None,
    ) -> Response[list[ModelView]]:
        """In the order they were registered."""
        return await self._page(keycairn, caller, request, limit, cursor, provider=canonical_name(provider))

    @get(
        "/count/{provider:str}",
        opt={**READ, **PROVIDER},
        operation_id="count_provider_models",
        summary="Count the models of a provider",
    )
    async def count(self, keycairn: TheKeycairn, caller: TheCaller, provider: PathText) -> CountView:
        """By type; every type is there."""
        counts = await keycairn.models.count(provider, workspace=caller.workspace)
        return CountView(keycairn.registry.get(provider).spec.name, counts, sum(counts.values()))

    @get("/defaults", opt={**READ, **CHOSEN}, operation_id="get_defaults", summary="Get the default models")
    async def defaults(self, keycairn: TheKeycairn, caller: TheCaller) -> DefaultsView:
        """The slots as they are set; transformation, tools and large context fall back to chat where they are not.

        To a token that does not reach the model of a slot, the slot is empty.
        """
        return defaults_view(await keycairn.models.defaults(workspace=caller.workspace, reach=caller.reach))

    @put("/defaults", opt=WRITE, operation_id="update_defaults", summary="Set default models")
    async def set_defaults(self, keycairn: TheKeycairn, caller: TheCaller, data: JSONBody[SetDefaults]) -> DefaultsView:
        """All of the slots sent or none. Chat and embedding can be replaced, not cleared."""
        return defaults_view(await keycairn.models.set_defaults(data.wishes(), by=caller))

    @post(
        "/auto-assign",
        opt=WRITE,
        status_code=200,
        operation_id="assign_defaults",
        summary="Fill the empty chat and embedding slots",
    )
    async def auto_assign(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        *,
        every: Annotated[
            bool, QueryParameter(description="Fill the slots of speech too: all that chat does not stand in for.")
        ] = False,
    ) -> AssignmentView:
        """By the best registered model; a slot that has a model keeps it."""
        done = await keycairn.models.auto_assign(every=every, by=caller)
        assigned = {slot.value: id for slot, id in done.assigned.items()}
        return AssignmentView(assigned, [*done.skipped], [*done.missing])

    @post("/", opt={**WRITE, **CHOSEN}, status_code=200, operation_id="create_model", summary="Register a model")
    async def create(self, keycairn: TheKeycairn, caller: TheCaller, data: JSONBody[CreateModel]) -> ModelView:
        """Linked to `credential`, where one is named. Models of one name, given with `provider_model`, form a pool."""
        link = credential_id(data.credential) if data.credential else None
        if not caller.reach.holds(canonical_name(data.provider), link):
            raise OutOfReachError
        _check_named(caller, canonical_name(data.provider), data.name, data.provider_model)
        if link and not await reaches(keycairn, caller, link):
            raise CredentialNotFoundError
        model = await keycairn.models.create(
            data.name,
            provider=data.provider,
            type=model_type(data.type),
            provider_model=data.provider_model,
            credential=link,
            priority=data.priority,
            weight=data.weight,
            price=data.price,
            context_length=data.context_length,
            by=caller,
        )
        return model_view(model)

    @get("/{id:str}", opt={**READ, **ONE}, operation_id="get_model", summary="Get a model")
    async def read(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> ModelView:
        """One registered model."""
        return model_view(await keycairn.models.get(model_id(id), workspace=caller.workspace))

    @patch(
        "/{id:str}",
        opt={**WRITE, **ONE},
        operation_id="update_model",
        summary="Change what a model is called, costs, and when it serves",
    )
    async def change(
        self, keycairn: TheKeycairn, caller: TheCaller, id: PathText, data: JSONBody[UpdateModel]
    ) -> ModelView:
        """Among models of one name: the smallest priority first, equals in proportion to their weights.

        `credential` links it to that one.
        """
        model = await keycairn.models.get(model_id(id), workspace=caller.workspace)
        data.check_same(model)
        if caller.reach.models is not None and (data.name is not None or isinstance(data.provider_model, str)):
            own = data.provider_model if isinstance(data.provider_model, str) else model.own_name
            _check_named(caller, model.provider, data.name or model.name, own)
        patch = data.patch()
        if patch.credential and not await reaches(keycairn, caller, patch.credential):
            raise CredentialNotFoundError
        if patch.credential is None and not caller.reach.whole:
            raise OutOfReachError  # unlinked, it is anyone's
        return model_view(await keycairn.models.update(model_id(id), patch, by=caller))

    @delete("/{id:str}", opt={**WRITE, **ONE}, status_code=200, operation_id="delete_model", summary="Delete a model")
    async def remove(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> DeletedModelView:
        """The default slots it held become empty."""
        cleared = await keycairn.models.delete(model_id(id), by=caller)
        return DeletedModelView("Model deleted", [*cleared])

    @post("/{id:str}/test", opt={**WRITE, **ONE}, status_code=200, operation_id="test_model", summary="Test a model")
    async def test(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> ModelTestView:
        """One small real call of it. A failure is a result, not an error."""
        report = await keycairn.probing.try_model(model_id(id), by=caller)
        return ModelTestView(
            success=report.success, message=report.message, details=report.details or None, outcome=report.outcome
        )

    async def _page(
        self,
        keycairn: Keycairn,
        caller: Caller,
        request: Request[Any, Any, Any],
        limit: int | None,
        cursor: str | None,
        *,
        type: str | None = None,
        provider: str | None = None,
    ) -> Response[list[ModelView]]:
        reach = caller.reach
        kind = model_type(type) if type else None
        cursors = Cursors(keycairn.vault, caller, "models", type=kind, provider=provider)

        async def read(after: ModelId | None, limit: int) -> Sequence[Model]:
            return await keycairn.models.list(
                type=kind, provider=provider, after=after, limit=limit, workspace=caller.workspace
            )

        def link(last: ModelId) -> dict[str, str]:
            return next_link(request, cursors.write(last), type=type, limit=limit)

        listing = Listing(
            read,
            lambda model: model.id,
            lambda model: msgspec.json.encode(model_view(model)),
            None if reach.whole else reach.serves,
        )
        return await listing.answer(cursors.read(cursor, ModelId), limit, link)


def _check_named(caller: Caller, provider: str, *names: str | None) -> None:
    """Raise OutOfReachError where a token that may call certain models only would give their names to another one."""
    if not all(caller.reach.names(provider, name.strip()) for name in names if name is not None):
        raise OutOfReachError
