"""How a credential's key is rotated at its provider: its age, the policy, what is under way, and a leak."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec.structs import replace

from keycairn.app.lookup import spec_of
from keycairn.app.page.credential_form import FormField, fields_of, form_errors, labels_of
from keycairn.app.page.form_reader import FormReader, written
from keycairn.app.page.forms import SECRET, PageForm
from keycairn.app.page.view import TheView, View
from keycairn.app.services.key_rotations import Shown
from keycairn.app.web.auth import READ_CREDENTIAL, WRITE_CREDENTIAL
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    InvalidInputError,
    KeyRotationNotFoundError,
    KeyRotationStateError,
    UnknownProviderError,
)
from keycairn.domain.ids import CredentialId, credential_id
from keycairn.domain.key_management import KeyManagement
from keycairn.domain.key_rotation.record import Policy
from keycairn.domain.key_rotation.sealing import management_spec
from keycairn.domain.provider import ProviderSpec

PATH = "/credentials/{id:str}/key-rotation"
OF_POLICY = {
    "every_days": "Days between rotations",
    "at": "Once, at",
    "overlap_hours": "Hours the former key goes on to work",
    "warn_days": "Days to warn before",
}
_MOMENT = "%Y-%m-%dT%H:%M"
"""As a browser writes a time. It is taken for UTC, which the label says."""


@get(PATH, opt=READ_CREDENTIAL, include_in_schema=False)
async def detail(view: TheView, id: FromPath[str]) -> Response[Any]:
    """The key's age, what is due, and what goes on."""
    return await _page(view, credential_id(id))


@post(PATH, opt=WRITE_CREDENTIAL, include_in_schema=False)
async def save(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Set the policy up, or change it. A secret that is left empty stays."""
    form = await view.form()
    key, rotations = credential_id(id), view.keycairn.key_rotations
    credential = (await view.keycairn.credentials.get(key, workspace=view.caller.workspace)).credential
    spec = _managing(view, credential)
    asked = _with_key(spec, view.keycairn.registry.get(credential.provider).spec, rotations.management(spec.name))
    try:
        await rotations.set_up(
            key,
            policy=_policy(form, await rotations.policy(key, workspace=view.caller.workspace)),
            settings={field.name: form.text(f"setting:{field.name}") or None for field in spec.settings},
            secrets={field.name: given for field in asked.secrets if (given := form.secret(field.name)) is not None},
            by=view.caller,
        )
    except InvalidInputError as error:
        return await _page(view, key, form=form, errors=form_errors(asked, error), status=422)
    return view.seen(f"/credentials/{id}/key-rotation", "saved")


@post(f"{PATH}/rotate", opt=WRITE_CREDENTIAL, include_in_schema=False)
async def rotate(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Begin at once."""
    return await _asked_for(
        view, id, view.keycairn.key_rotations.rotate, f"/credentials/{id}/key-rotation", "key-rotating"
    )


@post(f"{PATH}/leaked", opt=WRITE_CREDENTIAL, include_in_schema=False)
async def leaked(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Another key, and the former one revoked at once. The account is closed only by whoever ticked that it may be."""
    form = await view.form()
    try:
        await view.keycairn.key_rotations.leaked(credential_id(id), may_close=form.ticked("may_close"), by=view.caller)
    except (InvalidInputError, KeyRotationStateError) as error:
        return await _page(view, credential_id(id), errors={"": str(error)}, status=422)
    return view.seen(f"/credentials/{id}/key-rotation", "key-leaked")


@post(f"{PATH}/resume", opt=WRITE_CREDENTIAL, include_in_schema=False)
async def resume(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Go on after a person did what the rotation waited for."""
    return await _asked_for(view, id, view.keycairn.key_rotations.resume, f"/credentials/{id}/key-rotation", "resumed")


@post(f"{PATH}/cancel", opt=WRITE_CREDENTIAL, include_in_schema=False)
async def cancel(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Call off what is under way."""
    return await _asked_for(
        view, id, view.keycairn.key_rotations.cancel, f"/credentials/{id}/key-rotation", "rotation-cancelled"
    )


@post(f"{PATH}/remove", opt=WRITE_CREDENTIAL, include_in_schema=False)
async def remove(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Forget the policy, and what manages the keys."""
    return await _asked_for(view, id, view.keycairn.key_rotations.remove, f"/credentials/{id}", "rotation-removed")


async def _asked_for(view: View, id: str, act: Callable[..., Awaitable[object]], then: str, done: str) -> Response[Any]:
    """Do `act` to the rotation, and lead to `then`; where it is in no state for that, the page says so."""
    await view.form()
    key = credential_id(id)
    try:
        await act(key, by=view.caller)
    except KeyRotationStateError as error:
        return await _page(view, key, errors={"": str(error)}, status=409)
    return view.seen(then, done)


async def shown_rotation(view: View, key: CredentialId) -> Shown | None:
    """The rotation of a credential's key, None where none is set up, or the provider's plugin is not loaded."""
    try:
        return await view.keycairn.key_rotations.get(key, workspace=view.caller.workspace)
    except (KeyRotationNotFoundError, UnknownProviderError):
        return None


def _managing(view: View, credential: Credential) -> ProviderSpec:
    """What manages the keys of its provider, as a form asks for it. Raises UnknownProviderError."""
    spec = view.keycairn.registry.get(credential.provider).spec
    management = view.keycairn.key_rotations.management(credential.provider)
    return management_spec(spec, management)


def _with_key(spec: ProviderSpec, known: ProviderSpec, management: KeyManagement) -> ProviderSpec:
    """What manages keys, with the account's key, which is asked for beside a URL at another host."""
    key = [replace(one, required=False) for one in known.secrets if one.name in management.secrets]
    return replace(spec, fields=(*spec.fields, *key))


def _policy(form: PageForm, before: Policy) -> Policy:
    """The policy that a form asks for. Raises InvalidInputError."""
    reader = FormReader(form)
    every, warn, hours = reader.whole("every_days"), reader.whole("warn_days"), reader.number("overlap_hours")
    at = before.at
    if form.text("at") != _shown_time(before.at):  # which shows no seconds
        at = _moment(form.text("at"))
        if at is None and form.text("at"):
            reader.wrong["at"] = "enter a day and a time"
    reader.check()
    usual = Policy()
    return Policy(
        every_days=every,
        at=at,
        overlap_hours=usual.overlap_hours if hours is None else hours,
        warn_days=usual.warn_days if warn is None else warn,
    )


async def _page(
    view: View,
    key: CredentialId,
    *,
    form: PageForm | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> Response[Any]:
    listed = await view.keycairn.credentials.get(key, workspace=view.caller.workspace)
    credential = listed.credential
    shown = await shown_rotation(view, key)
    known = spec_of(view.keycairn.registry, credential.provider)
    try:
        management = view.keycairn.key_rotations.management(credential.provider) if known else None
    except InvalidInputError:
        management = None  # its accounts have no key
    spec = management_spec(known, management) if known and management else None
    asked = _with_key(spec, known, management) if known and management and spec else None
    fields, wrong = _fields(spec, shown), errors or {}
    fields += [one for one in _fields(asked, shown) if one.key in wrong and one not in fields]
    return view.page(
        "key_rotation.html",
        status=status,
        credential=credential,
        provider=known.label if known else credential.provider,
        shown=shown,
        management=management,
        fields=fields,
        values=form.shown() if form else _values(shown, spec),
        errors=wrong,
        labels={**(labels_of(asked) if asked else {}), **OF_POLICY},
    )


def _fields(spec: ProviderSpec | None, shown: Shown | None) -> list[FormField]:
    """What the provider asks for, with what is stored of it."""
    if spec is None:
        return []
    first, rest = fields_of(spec)
    sealed = shown.rotation.sealed if shown else {}
    stored = {f"{SECRET}{name}" for name in sealed}
    return [replace(one, stored=one.key in stored, clears=False) for one in (*first, *rest)]


def _values(shown: Shown | None, spec: ProviderSpec | None) -> dict[str, str]:
    policy = shown.rotation.policy if shown else Policy()
    values = {
        "every_days": "" if policy.every_days is None else str(policy.every_days),
        "at": _shown_time(policy.at),
        "overlap_hours": written(policy.overlap_hours),
        "warn_days": str(policy.warn_days),
    }
    settings = shown.rotation.settings if shown else {}
    return values | {
        f"setting:{field.name}": str(settings.get(field.name, "")) for field in (spec.settings if spec else ())
    }


def _moment(text: str) -> datetime | None:
    for form in (_MOMENT, f"{_MOMENT}:%S"):
        with suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC)
    return None


def _shown_time(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).strftime(_MOMENT)
