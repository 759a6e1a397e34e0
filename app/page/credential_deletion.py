"""Deleting a credential: its impact first, and where its models may go."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from keycairn.app.page.forms import whole_number
from keycairn.app.page.view import TheView, View
from keycairn.app.web.auth import WRITE_CREDENTIAL, reaches
from keycairn.domain.credential import Credential
from keycairn.domain.deletion import NO_TARGET
from keycairn.domain.errors import (
    BadRequestError,
    InvalidInputError,
    InvalidMigrationTargetError,
    OutOfReachError,
    PreconditionFailedError,
)
from keycairn.domain.ids import CredentialId, credential_id
from keycairn.domain.model import Slot
from keycairn.domain.token import Scope
from keycairn.ports.store import MOST

TARGETS = 200
"""Credentials that are offered to take the models."""


@get("/credentials/{id:str}/delete", opt=WRITE_CREDENTIAL, include_in_schema=False)
async def confirm(view: TheView, id: FromPath[str]) -> Response[Any]:
    """What deleting would do, nothing done yet; with `to`, what moving its models there would."""
    return await _page(view, credential_id(id), view.query("to"))


@post("/credentials/{id:str}/delete", opt=WRITE_CREDENTIAL, include_in_schema=False)
async def remove(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Delete what was shown, and nothing that changed since."""
    form = await view.form()
    key, to = credential_id(id), form.text("to")
    version = whole_number(form.text("version"))
    if version is None:
        raise BadRequestError("This form is not whole. Open it anew.", {})
    try:
        target = await _target(view, to)
        await view.keycairn.credentials.delete(
            key, migrate_to=target, if_match=version, redirect_tokens=view.may(Scope.ADMIN), by=view.caller
        )
    except PreconditionFailedError:
        why = "It was changed meanwhile. Look at what would happen now, and decide again."
        return await _page(view, key, to, why, status=412)
    except InvalidInputError as error:
        return await _page(view, key, "", str(error), status=422)
    return view.seen(f"/credentials/{target}" if target else "/credentials", "moved" if target else "deleted")


async def _target(view: View, to: str) -> CredentialId | None:
    if not to:
        return None
    target = credential_id(to)
    if view.caller.reach.credentials is not None and target not in view.caller.reach.credentials:
        raise OutOfReachError
    if not await reaches(view.keycairn, view.caller, target):
        raise InvalidMigrationTargetError(NO_TARGET)
    return target


async def _page(view: View, key: CredentialId, to: str, why: str = "", *, status: int = 200) -> Response[Any]:
    keycairn, caller = view.keycairn, view.caller
    listed = await keycairn.credentials.get(key, workspace=caller.workspace)
    credential = listed.credential
    target = await _target(view, to)
    plan = await keycairn.credentials.delete(
        key, migrate_to=target, dry_run=True, redirect_tokens=view.may(Scope.ADMIN), by=caller
    )
    others = await keycairn.store.credentials(caller.workspace, provider=credential.provider, limit=MOST)
    reached = [one for one in others if one.id != key and _reached(view, one)]
    targets = [one for number, one in enumerate(reached) if number < TARGETS or one.id == target]
    return view.page(
        "delete_credential.html",
        status=status,
        listed=listed,
        credential=credential,
        plan=plan,
        to=to,
        targets=targets,
        target=next((one for one in targets if one.id == target), None),
        slots={slot: slot.called for slot in Slot},
        why=why,
        models=[model for model in (*plan.deleted, *plan.moved, *plan.merged) if caller.reach.serves(model)],
    )


def _reached(view: View, credential: Credential) -> bool:
    return view.caller.reach.holds(credential.provider, credential.id)
