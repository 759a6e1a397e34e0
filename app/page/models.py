"""Models: the list with the slots, one of them, and finding those of a credential."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from keycairn.app.page.forms import PageForm, whole_number
from keycairn.app.page.model_form import HINTS, LABELS, NO_ACCOUNT, PRICES, model_conflicts, model_patch, model_values
from keycairn.app.page.view import TheView, View
from keycairn.app.services.models import ModelPatch
from keycairn.app.web.auth import Options, Touches, reaches
from keycairn.app.web.paging import Cursors, shown_page
from keycairn.domain.errors import (
    CredentialNotFoundError,
    InvalidInputError,
    ModelExistsError,
    OutOfReachError,
    PreconditionFailedError,
)
from keycairn.domain.ids import ModelId, model_id
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model, Slot
from keycairn.domain.token import Scope
from keycairn.ports.store import MOST

READ_CHOSEN: Options = {"scope": Scope.MODELS_READ, "touches": Touches.CHOSEN}
READ_ONE: Options = {"scope": Scope.MODELS_READ, "touches": Touches.MODEL}
WRITE_ONE: Options = {"scope": Scope.MODELS_WRITE, "touches": Touches.MODEL}
WRITE = {"scope": Scope.MODELS_WRITE}
ROWS = 100
ACCOUNTS = 200
"""Credentials that are offered to serve a model."""


@get("/models", opt=READ_CHOSEN, include_in_schema=False)
async def listing(view: TheView) -> Response[Any]:
    """A hundred at a time, searched here, with the slots above."""
    keycairn, caller = view.keycairn, view.caller
    wanted, kind, provider = view.query("q").casefold(), view.choice("type", Modality), view.query("provider")
    gone = view.query("missing") == "1"

    async def read(after: ModelId | None, limit: int) -> Sequence[Model]:
        type = Modality(kind) if kind else None
        return await keycairn.models.list(
            type=type, provider=provider or None, after=after, limit=limit, workspace=caller.workspace
        )

    def shown(model: Model) -> bool:
        words = f"{model.name} {model.own_name} {model.provider}".casefold()
        return (
            caller.reach.serves(model)
            and (not gone or model.missing_since is not None)
            and all(part in words for part in wanted.split())
        )

    filtered = bool(wanted or gone or not caller.reach.whole)
    cursors = Cursors(keycairn.vault, caller, "page of models", q=wanted, type=kind, provider=provider, gone=gone)
    after = cursors.read(view.query("after") or None, ModelId)
    found = await shown_page(read, lambda model: model.id, shown if filtered else None, after, ROWS)
    names = Counter(model.name for model in found if model.pooled)
    slots = await _slots(view) if not after else []
    return view.page(
        "models.html",
        models=found,
        pools=names,
        credentials=await _names(view, found),
        slots=slots,
        q=view.query("q"),
        type=kind,
        types=list(Modality),
        provider=provider,
        providers=sorted((one.spec.name, one.spec.label) for one in keycairn.registry.all()),
        missing=gone,
        after=after,
        following=cursors.write(found[-1].id) if len(found) == ROWS else "",
    )


@get("/models/{id:str}", opt=READ_ONE, include_in_schema=False)
async def detail(view: TheView, id: FromPath[str]) -> Response[Any]:
    """One model: its names, its account, what it costs, and the slots it may take."""
    return await _detail(view, model_id(id))


@post("/models/{id:str}", opt=WRITE_ONE, include_in_schema=False)
async def change(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Change its names, share, price and account."""
    form = await view.form()
    key = model_id(id)
    try:
        patch = model_patch(form)
        model = await view.keycairn.models.get(key, workspace=view.caller.workspace)
        await _check_reach(view, model, patch)
        version = whole_number(form.text("version"))
        await view.keycairn.models.update(key, patch, if_match=version, by=view.caller)
    except CredentialNotFoundError:
        return await _detail(view, key, {"credential": NO_ACCOUNT}, form, status=422)
    except ModelExistsError as error:
        return await _detail(view, key, {"name": str(error)}, form, status=422)
    except InvalidInputError as error:
        return await _detail(view, key, dict(error.fields) or {"": str(error)}, form, status=422)
    except PreconditionFailedError:
        return await _detail(view, key, form=form, status=412)
    return view.seen(f"/models/{id}", "saved")


@post("/models/{id:str}/test", opt=WRITE_ONE, include_in_schema=False)
async def test(view: TheView, id: FromPath[str]) -> Response[Any]:
    """One small real call of it."""
    await view.form()
    report = await view.keycairn.probing.try_model(model_id(id), by=view.caller)
    return await _detail(view, model_id(id), report=report)


@post("/models/{id:str}/slot", opt=WRITE, include_in_schema=False)
async def assign(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Let it serve a slot."""
    form = await view.form()
    try:
        await view.keycairn.models.set_defaults({_slot(form.text("slot")): model_id(id)}, by=view.caller)
    except InvalidInputError as error:
        return await _detail(view, model_id(id), {"": str(error)}, status=422)
    return view.seen("/models", "saved")


@post("/models/{id:str}/delete", opt=WRITE_ONE, include_in_schema=False)
async def remove(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Delete it; the slots it held become empty."""
    await view.form()
    await view.keycairn.models.delete(model_id(id), by=view.caller)
    return view.seen("/models", "deleted")


@post("/models/slots", opt=WRITE, include_in_schema=False)
async def slots(view: TheView) -> Response[Any]:
    """Fill the empty slots by the best models, or clear one."""
    form = await view.form()
    if name := form.text("clear"):
        await view.keycairn.models.set_defaults({_slot(name): None}, by=view.caller)
    else:
        await view.keycairn.models.auto_assign(every=True, by=view.caller)
    return view.seen("/models", "saved")


async def _check_reach(view: View, model: Model, patch: ModelPatch) -> None:
    """Raise OutOfReachError or CredentialNotFoundError for a change that leads out of the token's reach."""
    reach = view.caller.reach
    for name in (patch.name, patch.provider_model):
        if isinstance(name, str) and not reach.names(model.provider, name):
            raise OutOfReachError
    if isinstance(patch.credential, str) and not await reaches(view.keycairn, view.caller, patch.credential):
        raise CredentialNotFoundError
    if patch.credential is None and not reach.whole:
        raise OutOfReachError


def _slot(name: str) -> Slot:
    """The slot of that name. Raises InvalidInputError."""
    found = next((slot for slot in Slot if slot == name), None)
    if found is None:
        raise InvalidInputError("There is no such slot.", {"slot": "is none of the slots"})
    return found


async def _detail(
    view: View,
    key: ModelId,
    errors: dict[str, str] | None = None,
    form: PageForm | None = None,
    *,
    status: int = 200,
    report: Any = None,
) -> Response[Any]:
    keycairn, caller = view.keycairn, view.caller
    model = await keycairn.models.get(key, workspace=caller.workspace)
    defaults = await keycairn.models.defaults(workspace=caller.workspace, reach=caller.reach)
    named = await keycairn.store.models(caller.workspace, name=model.name, limit=None)
    accounts = await keycairn.store.credentials(caller.workspace, provider=model.provider, limit=MOST)
    reached = [one for one in accounts if caller.reach.holds(one.provider, one.id)]
    reached = [one for number, one in enumerate(reached) if number < ACCOUNTS or one.id == model.credential]
    changed = status == 412 and form is not None
    values = model_values(model)
    return view.page(
        "model.html",
        status=status,
        model=model,
        pool=[one for one in named if one.type is model.type and caller.reach.serves(one)],
        names={one.id: one.name for one in reached},
        held=[slot for slot, id in defaults.slots.items() if id == model.id],
        slots=[slot for slot in Slot if slot.type is model.type],
        values={**values, **(form.shown() if form else {})},
        was=msgspec.json.encode(form.opened_with() if form and not changed else values).decode(),
        version=form.text("version") if form and not changed else str(model.version),
        changed=changed,
        differing=model_conflicts(form, model, form.opened_with()) if form and changed else {},
        errors=errors or {},
        labels=LABELS,
        prices=[f"price.{name}" for name in PRICES],
        hints=HINTS,
        report=report,
    )


async def _slots(view: View) -> list[tuple[Slot, Model | None]]:
    defaults = await view.keycairn.models.defaults(workspace=view.caller.workspace, reach=view.caller.reach)
    found = []
    for slot in Slot:
        id = defaults.slots.get(slot)
        model = await view.keycairn.store.model(view.caller.workspace, id) if id else None
        found.append((slot, model))
    return found


async def _names(view: View, models: Sequence[Model]) -> dict[str, str]:
    names = {}
    for id in {model.credential for model in models if model.credential}:
        found = await view.keycairn.store.credential(view.caller.workspace, id)
        if found is not None:
            names[id] = found.name
    return {str(id): name for id, name in names.items()}
