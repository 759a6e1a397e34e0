"""Tokens: who may call, made for an application and shown once, revoked at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from keycairn.app.page.forms import PageForm, whole_number
from keycairn.app.page.view import TheView, View
from keycairn.domain.errors import BeyondMakerError, InvalidIdError, InvalidInputError, UnknownProviderError
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
    return _form(view, {"name": "", "days": ""}, [Scope.INVOKE])


@post("/tokens/new", opt=ADMIN, include_in_schema=False)
async def create(view: TheView) -> Response[Any]:
    """Make it, and show it: nobody can ask for it again."""
    form = await view.form()
    scopes = [Scope(one) for one in form.all("scopes") if one in set(Scope)]
    try:
        token, text = await view.keycairn.tokens.create(
            form.text("name"),
            scopes,
            expires=_expiry(form, view.now),
            limits=_limits(form),
            reach=_reach(form),
            workspace=form.text("workspace") or None,
            by=view.caller,
        )
    except (InvalidInputError, BeyondMakerError, UnknownProviderError, InvalidIdError) as error:
        fields = error.fields if isinstance(error, InvalidInputError) else {}
        return _form(view, dict(form.shown()), scopes, dict(fields) or {"": str(error)}, status=422)
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


def _form(
    view: View, values: dict[str, str], scopes: list[Scope], errors: dict[str, str] | None = None, status: int = 200
) -> Response[Any]:
    providers = sorted((one.spec.name, one.spec.label) for one in view.keycairn.registry.all())
    return view.page(
        "token_form.html",
        status=status,
        values=values,
        scopes=scopes,
        errors=errors or {},
        words=WORDS,
        providers=providers,
    )


def _expiry(form: PageForm, now: datetime) -> datetime | None:
    text = form.text("days")
    if not text:
        return None
    days = whole_number(text, most=MOST_DAYS)
    if not days:
        raise InvalidInputError(f"Days are a whole number, {MOST_DAYS} at most.", {"days": "must be a whole number"})
    return now.astimezone(UTC) + timedelta(days=days)


def _limits(form: PageForm) -> Limits:
    given: dict[str, int] = {}
    for name in ("concurrent", "requests_per_minute", "tokens_per_day"):
        if text := form.text(f"limits.{name}").replace(" ", ""):
            number = whole_number(text)
            if number is None:
                raise InvalidInputError("A limit is a whole number.", {f"limits.{name}": "must be a whole number"})
            given[name] = number
    return Limits(**given)


def _reach(form: PageForm) -> Reach:
    providers = tuple(form.all("providers"))
    models = tuple(line.strip() for line in form.text("reach.models").splitlines() if line.strip())
    accounts = tuple(credential_id(line.strip()) for line in form.text("reach.credentials").split() if line.strip())
    return Reach(providers=providers or None, models=models or None, credentials=accounts or None)
