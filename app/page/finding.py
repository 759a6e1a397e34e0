"""Finding the models of a credential: what its provider lists beside what is registered."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from keycairn.app.page.view import TheView, View
from keycairn.app.services.models import NewModel
from keycairn.app.web.auth import Options, Touches
from keycairn.domain.errors import EgressRefusedError, InvalidInputError, ProviderError, UndecryptableError
from keycairn.domain.ids import credential_id
from keycairn.domain.modality import Modality
from keycairn.domain.token import Scope

ONE: Options = {"scope": Scope.CREDENTIALS_READ, "touches": Touches.CREDENTIAL}
WRITE_ONE: Options = {"scope": Scope.MODELS_WRITE, "touches": Touches.CREDENTIAL}
LARGEST_FORM = 1024 * 1024
"""Bytes: a gateway provider lists thousands of models."""
_FAULTS = (ProviderError, UndecryptableError, InvalidInputError, EgressRefusedError)


@get("/credentials/{id:str}/models", opt=ONE, include_in_schema=False)
async def registered(view: TheView, id: FromPath[str]) -> Response[Any]:
    """What is registered, and a button that asks the provider."""
    return await _page(view, id)


@post("/credentials/{id:str}/models", opt=ONE, include_in_schema=False)
async def discover(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Ask the provider. Nothing is registered yet."""
    await view.form()
    try:
        discovery, drift = await view.keycairn.probing.drift(credential_id(id), by=view.caller)
    except _FAULTS as error:
        return await _page(view, id, why=str(error), status=502)
    return await _page(view, id, discovery=discovery, drift=drift)


@post(
    "/credentials/{id:str}/register",
    opt=WRITE_ONE,
    request_max_body_size=LARGEST_FORM,
    include_in_schema=False,
)
async def register(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Register what is ticked, and one that is named by hand."""
    form = await view.form()
    wanted = []
    for text in form.all("model"):
        kind, _, name = text.partition(":")
        if kind in set(Modality):
            wanted.append(NewModel(name, Modality(kind)))
    if name := form.text("name"):
        kind = form.text("type")
        wanted.append(NewModel(name, Modality(kind) if kind in set(Modality) else Modality.LANGUAGE))
    if not wanted:
        return await _page(view, id, why="Tick models, or name one.", status=422)
    try:
        await view.keycairn.probing.register(credential_id(id), wanted, by=view.caller)
    except InvalidInputError as error:
        return await _page(view, id, why=str(error), status=422)
    return view.seen(f"/credentials/{id}", "registered")


async def _page(
    view: View, id: str, *, why: str = "", status: int = 200, discovery: Any = None, drift: Any = None
) -> Response[Any]:
    key, caller = credential_id(id), view.caller
    listed = await view.keycairn.credentials.get(key, workspace=caller.workspace)
    models = await view.keycairn.credentials.linked_models(key, workspace=caller.workspace)
    here = {model.own_name for model in models}
    return view.page(
        "find_models.html",
        status=status,
        credential=listed.credential,
        models=[model for model in models if caller.reach.serves(model)],
        here=here,
        discovery=discovery,
        drift=drift,
        why=why,
        types=list(Modality),
    )
