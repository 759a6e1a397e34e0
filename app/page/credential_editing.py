"""Adding a credential, and changing one without ever showing or losing its key."""

import re
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from keycairn.app.page.credential_form import (
    LABELS,
    conflicts,
    fields_of,
    form_errors,
    labels_of,
    patch_of,
    values_of,
)
from keycairn.app.page.forms import PageForm, whole_number
from keycairn.app.page.view import TheView, View
from keycairn.app.web.auth import WRITE_CREDENTIAL, WRITE_CREDENTIALS
from keycairn.domain.audit import EventFilter
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    BadRequestError,
    CredentialNotFoundError,
    DuplicateError,
    InvalidInputError,
    OutOfReachError,
    PreconditionFailedError,
    UnknownProviderError,
)
from keycairn.domain.ids import CredentialId, credential_id
from keycairn.domain.provider import ProviderSpec

HINTS = {
    "limits.concurrent": "Empty: no limit.",
    "limits.tokens_per_day": "Of models; days are UTC's.",
    "limits.money_per_day": "In the currency of the models' prices.",
}
NUMBERS = ("limits.", "options.first", "options.idle", "options.total")
"""Begin the names of the fields that are numbers, and no provider declares."""
_NEW_ID = re.compile(r"credential:[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)


@get("/credentials/new", opt=WRITE_CREDENTIALS, include_in_schema=False)
async def new(view: TheView) -> Response[Any]:
    """Choose a provider, then fill in its fields."""
    name = view.query("provider")
    if not name:
        wanted = view.query("q").casefold()
        specs = [one.spec for one in view.keycairn.registry.all() if view.caller.reach.holds(one.spec.name)]
        found = [spec for spec in specs if wanted in f"{spec.label} {spec.name}".casefold()]
        return view.page("choose_provider.html", specs=found, q=view.query("q"))
    spec = view.keycairn.registry.get(name).spec
    values = {"name": spec.label}
    if like := view.query("like"):
        there, _ = await _stored(view, credential_id(like))
        if there.provider == spec.name and view.caller.reach.holds(spec.name, there.id):
            values = {**values_of(spec, there), "name": f"{there.name} (copy)"[:200]}
    return _form_page(view, spec, None, {**values, "id": view.keycairn.credentials.new_id()})


@post("/credentials/new", opt=WRITE_CREDENTIALS, include_in_schema=False)
async def create(view: TheView) -> Response[Any]:
    """Store it. The form names the id, so that sending it twice makes one."""
    form = await view.form()
    keycairn, caller = view.keycairn, view.caller
    spec = keycairn.registry.get(form.text("provider")).spec
    if not caller.reach.holds(spec.name):
        raise OutOfReachError
    id = form.text("id")
    if not _NEW_ID.fullmatch(id):
        raise BadRequestError("This form is not whole. Open it anew.", {})
    key = credential_id(id)
    try:
        patch = patch_of(spec, form, None)
        service = keycairn.proving if form.text("then") == "test" else keycairn.credentials
        made = await service.create_from(spec.name, patch, id=key, by=caller)
    except InvalidInputError as error:
        return _form_page(view, spec, None, dict(form.shown()), form_errors(spec, error), form=form)
    except DuplicateError:
        there = await keycairn.store.credential(caller.workspace, key)
        if there is None or not caller.reach.holds(there.provider, key):
            raise
        return view.seen(f"/credentials/{key}", "created")
    return view.seen(f"/credentials/{made.credential.id}", "created")


@get("/credentials/{id:str}/edit", opt=WRITE_CREDENTIAL, include_in_schema=False)
async def edit(view: TheView, id: FromPath[str]) -> Response[Any]:
    """The form of a stored credential. No secret is in it."""
    credential, spec = await _stored(view, credential_id(id))
    return _form_page(view, spec, credential, values_of(spec, credential))


@post("/credentials/{id:str}/edit", opt=WRITE_CREDENTIAL, include_in_schema=False)
async def save(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Save what was changed, unless somebody else saved in between: then both versions are shown."""
    form = await view.form()
    key = credential_id(id)
    before, spec = await _stored(view, key)
    version = whole_number(form.text("version"))
    if version is None:
        raise BadRequestError("This form is not whole. Open it anew.", {})
    try:
        patch = patch_of(spec, form, before)
        service = view.keycairn.proving if form.text("then") == "test" else view.keycairn.credentials
        done = await service.update(key, patch, if_match=version, by=view.caller)
    except PreconditionFailedError:
        return await _conflict(view, spec, key, form)
    except InvalidInputError as error:
        return _form_page(view, spec, before, dict(form.shown()), form_errors(spec, error), form=form)
    return view.seen(f"/credentials/{key}", "unchanged" if done.credential.version == version else "saved")


async def _stored(view: View, key: CredentialId) -> tuple[Credential, ProviderSpec]:
    credential = await view.keycairn.store.credential(view.caller.workspace, key)
    if credential is None:
        raise CredentialNotFoundError
    try:
        return credential, view.keycairn.registry.get(credential.provider).spec
    except UnknownProviderError:
        raise UnknownProviderError from None


def _form_page(
    view: View,
    spec: ProviderSpec,
    credential: Credential | None,
    values: dict[str, str],
    errors: dict[str, str] | None = None,
    *,
    form: PageForm | None = None,
    status: int = 0,
    **more: Any,
) -> Response[Any]:
    first, rest = fields_of(spec, credential)
    chosen = form.ticks("modalities") if form else [*(credential.modalities if credential else spec.modalities)]
    wrong, differing = errors or {}, more.get("differing", {})
    was = form.opened_with() if form and not more else values_of(spec, credential) if credential else {}
    if form:
        values["options.any_model"] = "on" if form.ticks("options.any_model") else ""
    return view.page(
        "credential_form.html",
        status=status or (422 if errors else 200),
        spec=spec,
        credential=credential,
        values=values,
        errors=wrong,
        labels=labels_of(spec),
        first=first,
        rest=rest,
        chosen=chosen,
        numbers=[(key, label, HINTS.get(key, "")) for key, label in LABELS.items() if key.startswith(NUMBERS)],
        was=msgspec.json.encode(was).decode(),
        choices={name: form.again(name) for name in (f"do:{field.name}" for field in spec.secrets)} if form else {},
        rest_open=any(field.key in {**wrong, **differing} or values.get(field.key) for field in rest),
        limits_open=any(key.startswith(("limits.", "options.", "modalities")) for key in (*wrong, *differing)),
        **{"differing": {}, "replaced": [], "theirs": None, "saved_by": "", **more},
    )


async def _conflict(view: View, spec: ProviderSpec, key: CredentialId, form: PageForm) -> Response[Any]:
    theirs, _ = await _stored(view, key)
    differing, replaced = conflicts(spec, form, theirs)
    saved_by = ""
    if view.may("audit:read"):
        events = await view.keycairn.audit.events(matching=EventFilter(target=key), workspace=view.caller.workspace)
        saved_by = events[-1].actor if events else ""
    values = {**form.shown(), "version": str(theirs.version)}
    return _form_page(
        view, spec, theirs, values, form=form, status=412, differing=differing, replaced=replaced, theirs=theirs,
        saved_by=saved_by,
    )  # fmt: skip
