"""Finding the models of a credential: what its provider lists beside what is registered."""

from contextlib import suppress
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from keycairn.app.page.form_reader import FormReader
from keycairn.app.page.forms import PageForm
from keycairn.app.page.rendering import plain
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
        return await _page(view, id, errors={"": str(error)}, status=502)
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
    reader = FormReader(form)
    if form.ticked("list"):
        wanted, key = _ticked(reader), ""
    else:
        name, kind = reader.needed("name", "enter the name of a model"), reader.one_of("type", Modality)
        wanted, key = [NewModel(name, kind)] if kind else [], "name"
    try:
        reader.check()
        await view.keycairn.probing.register(credential_id(id), wanted, by=view.caller)
    except InvalidInputError as error:
        why = next(iter(error.fields.values()), str(error)) if key else str(error)
        return await _again(view, id, form, reader.wrong or {key: why})
    return view.seen(f"/credentials/{id}", "registered")


def _ticked(reader: FormReader) -> list[NewModel]:
    wanted = []
    for text in reader.form.all("model"):
        kind, _, name = text.partition(":")
        if kind in set(Modality) and name:
            wanted.append(NewModel(name, Modality(kind)))
        else:
            reader.wrong[""] = "What was ticked is no model of this list. Ask the provider again."
    if not wanted and not reader.wrong:
        raise InvalidInputError("Tick the models to register, or name one below.")
    return wanted


async def _again(view: View, id: str, form: PageForm, errors: dict[str, str]) -> Response[Any]:
    """The page as it was filled in. The list is asked for again where it was the list that was sent."""
    discovery = drift = None
    if form.ticked("list"):
        with suppress(*_FAULTS):
            discovery, drift = await view.keycairn.probing.drift(credential_id(id), by=view.caller)
    return await _page(view, id, errors=errors, status=422, discovery=discovery, drift=drift, form=form)


async def _page(
    view: View,
    id: str,
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
    discovery: Any = None,
    drift: Any = None,
    form: PageForm | None = None,
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
        errors=errors or {},
        ticked=form.all("model") if form else [],
        values=form.shown() if form else {},
        types=[(one.value, plain(one)) for one in Modality],
    )
