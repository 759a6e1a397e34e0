"""Tokens: who may call, made for an application and shown once, revoked at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from keycairn.app.page.form_reader import FormReader
from keycairn.app.page.forms import PageForm
from keycairn.app.page.view import TheView, View
from keycairn.domain.errors import BeyondMakerError, InvalidIdError, InvalidInputError
from keycairn.domain.ids import credential_id
from keycairn.domain.limits import Limits
from keycairn.domain.reach import Reach
from keycairn.domain.token import Scope, Token

ADMIN = {"scope": Scope.ADMIN}
WORDS = {
    Scope.INVOKE: "call models through the gateway",
    Scope.CREDENTIALS_READ: "see credentials, never their keys",
    Scope.CREDENTIALS_WRITE: "add, change, test and delete credentials",
    Scope.MODELS_READ: "see models and slots",
    Scope.MODELS_WRITE: "register and change models and slots",
    Scope.AUDIT_READ: "see the audit log and usage",
    Scope.ADMIN: "everything, tokens and encryption too",
}
COUNTS = ("concurrent", "requests_per_minute", "tokens_per_day")
LABELS = {
    "name": "Name",
    "scopes": "It may",
    "days": "Ends after",
    "providers": "Only these providers",
    "reach.models": "Only these models",
    "reach.credentials": "Only these credentials",
    "limits.concurrent": "Calls at one time",
    "limits.requests_per_minute": "Calls a minute",
    "limits.tokens_per_day": "Tokens of models a day",
    "workspace": "Workspace",
}
BOUNDS = ("providers", "reach.", "limits.", "workspace")
"""Begin the names of the fields that make it less than everything."""
RENAMED = {"expires": "days", "reach": "scopes"}
"""What the service calls a field, and the form otherwise."""
ROWS = 100
MOST_DAYS = 36_500


@get("/tokens", opt=ADMIN, include_in_schema=False)
async def listing(view: TheView) -> Response[Any]:
    """Those that work first, the youngest first."""
    found = await view.keycairn.tokens.list(workspace=view.caller.workspace)
    good = [one for one in found if one.valid_at(view.now)]
    over = [one for one in found if not one.valid_at(view.now)]
    wanted = view.query("q").casefold()
    rows = [one for one in (*reversed(good), *reversed(over)) if wanted in one.name.casefold()]
    admins = [one for one in good if Scope.ADMIN in one.scopes]
    return view.page(
        "tokens.html",
        rows=rows[:ROWS],
        more=max(0, len(rows) - ROWS),
        good={one.id for one in good},
        words=WORDS,
        q=view.query("q"),
        last_admin=admins[0].id if len(admins) == 1 else "",
    )


@get("/tokens/new", opt=ADMIN, include_in_schema=False)
async def new(view: TheView) -> Response[Any]:
    """The form of a token for an application."""
    return _form(view, None)


@post("/tokens/new", opt=ADMIN, include_in_schema=False)
async def create(view: TheView) -> Response[Any]:
    """Make it, and show it: nobody can ask for it again."""
    form = await view.form()
    reader = FormReader(form)
    scopes = reader.some_of("scopes", Scope)
    if not scopes:
        reader.wrong["scopes"] = "tick at least one"
    try:
        expires, limits, reach = _expiry(reader, view.now), _limits(reader), _reach(reader, view)
        reader.needed("name", "enter the name of the application")
        reader.check()
        token, text = await view.keycairn.tokens.create(
            form.text("name"),
            scopes,
            expires=expires,
            limits=limits,
            reach=reach,
            workspace=form.text("workspace") or None,
            by=view.caller,
        )
    except InvalidInputError as error:
        found = {RENAMED.get(key, key): why for key, why in error.fields.items()}
        return _form(view, form, found or {"": str(error)})
    except BeyondMakerError as error:
        return _form(view, form, {"": str(error)})
    address = f"{view.request.scope.get('scheme', 'http')}://{view.request.headers.get('host', '')}{view.base}"
    return view.page("token_made.html", token=token, text=text.reveal(), address=address)


@get("/tokens/{id:str}/revoke", opt=ADMIN, include_in_schema=False)
async def confirm(view: TheView, id: FromPath[str]) -> Response[Any]:
    """What ends with it."""
    token = await _token(view, id)
    family = await view.keycairn.tokens.family(token.id, token.workspace)
    found = await view.keycairn.tokens.list(workspace=view.caller.workspace)
    admins = [one for one in found if one.valid_at(view.now) and Scope.ADMIN in one.scopes]
    return view.page(
        "revoke_token.html",
        token=token,
        more=len(family) - 1,
        last=[one.id for one in admins] == [token.id],
        own=token.id == view.caller.actor,
    )


@post("/tokens/{id:str}/revoke", opt=ADMIN, include_in_schema=False)
async def revoke(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Stop it at once, and for good."""
    await view.form()
    token = await _token(view, id)
    await view.keycairn.tokens.revoke(token.id, by=view.caller)
    return view.seen("/tokens", "revoked")


async def _token(view: View, id: str) -> Token:
    from_list = await view.keycairn.tokens.list(workspace=view.caller.workspace)
    found = next((one for one in from_list if one.id == id), None)
    if found is None:
        raise InvalidIdError("token")
    return found


def _form(view: View, form: PageForm | None, errors: dict[str, str] | None = None) -> Response[Any]:
    found = [one.spec for one in view.keycairn.registry.all() if view.caller.reach.holds(one.spec.name)]
    return view.page(
        "token_form.html",
        status=422 if errors else 200,
        values=dict(form.shown()) if form else {},
        scopes=form.ticks("scopes") if form else [Scope.INVOKE],
        chosen=form.ticks("providers") if form else [],
        errors=errors or {},
        words=WORDS,
        labels=LABELS,
        bounds=[key for key in LABELS if key.startswith("limits.")],
        providers=dict(sorted((spec.name, spec.label) for spec in found)),
        bounded=any(key.startswith(BOUNDS) for key in (*(errors or {}), *(form.given() if form else ()))),
    )


def _expiry(reader: FormReader, now: datetime) -> datetime | None:
    days = reader.whole("days")
    if days is not None and not 1 <= days <= MOST_DAYS:
        reader.wrong["days"] = f"must be from 1 to {MOST_DAYS}"
        return None
    return None if days is None else now.astimezone(UTC) + timedelta(days=days)


def _limits(reader: FormReader) -> Limits:
    return Limits(**{name: reader.whole(f"limits.{name}") for name in COUNTS})


def _reach(reader: FormReader, view: View) -> Reach:
    known = {one.spec.name for one in view.keycairn.registry.all()}
    providers, accounts = reader.form.ticks("providers"), []
    if not known.issuperset(providers):
        reader.wrong["providers"] = "one of them is no provider here"
    models = tuple(line.strip() for line in reader.form.text("reach.models").splitlines() if line.strip())
    for text in reader.form.text("reach.credentials").split():
        try:
            accounts.append(credential_id(text))
        except InvalidIdError:
            reader.wrong["reach.credentials"] = "must be ids, as the pages of credentials show them"
    return Reach(providers=tuple(providers) or None, models=models or None, credentials=tuple(accounts) or None)
