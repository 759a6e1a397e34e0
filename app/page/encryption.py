"""Encryption: the keys, how many secrets each seals, rotation as it goes, the root key, and mending."""

from contextlib import suppress
from typing import Any

from litestar import Response, get, post

from keycairn.app.page.view import TheView, View
from keycairn.app.statuses import retry_after
from keycairn.app.web.auth import Options
from keycairn.domain.errors import InvalidInputError, RootKeyError, TooManyAttemptsError, WrongRootKeyProofError
from keycairn.domain.keyset import KeyState
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.token import Scope

KEEPER: Options = {"scope": Scope.ADMIN, "installation": True}
WORDS = {
    KeyState.PRIMARY: "seals and opens",
    KeyState.DECRYPT_ONLY: "only opens",
    KeyState.RETIRED: "retired",
}


@get("/encryption", opt=KEEPER, include_in_schema=False)
async def encryption(view: TheView) -> Response[Any]:
    """The state; while a rotation runs, it changes."""
    return await _page(view)


@post("/encryption/rotate", opt=KEEPER, include_in_schema=False)
async def rotate(view: TheView) -> Response[Any]:
    """Begin, or finish what was begun. Calls and edits go on."""
    await view.form()
    await view.keycairn.rotation.start(by=view.caller)
    return view.seen("/encryption", "rotating")


@post("/encryption/verify", opt=KEEPER, include_in_schema=False)
async def verify(view: TheView) -> Response[Any]:
    """Try to open every secret."""
    await view.form()
    await view.keycairn.credential_opener.sweep()
    return await _page(view, said="Every secret was tried. What does not open is listed below.")


@post("/encryption/checkup", opt=KEEPER, include_in_schema=False)
async def checkup(view: TheView) -> Response[Any]:
    """Look for trouble among all records."""
    await view.form()
    return await _page(view, findings=await view.keycairn.checkup.report())


@post("/encryption/repair", opt=KEEPER, include_in_schema=False)
async def repair(view: TheView) -> Response[Any]:
    """Mend what can be mended safely; a backup is written first."""
    await view.form()
    await view.keycairn.repair.fix(by=view.caller)
    return view.seen("/encryption", "repaired")


@post("/encryption/root-key", opt=KEEPER, include_in_schema=False)
async def change_root_key(view: TheView) -> Response[Any]:
    """Change it. Both are asked for, and neither is ever shown."""
    form = await view.form()
    new, present = form.secret("root_key"), form.secret("current_root_key")
    errors: dict[str, str] = {}
    parsed: RootKey | None = None
    try:
        parsed = parse_root_key(new) if new else None
        if new is None:
            errors["secret:root_key"] = "enter the new root key"
    except RootKeyError as error:
        errors["secret:root_key"] = str(error)
    current: RootKey | None = None
    with suppress(RootKeyError):
        current = parse_root_key(present) if present else None
    if errors or parsed is None:
        return await _page(view, errors=errors, status=422)
    try:
        await view.keycairn.root_keys.change(parsed, present=current, now=form.ticked("now"), by=view.caller)
    except WrongRootKeyProofError as error:
        return await _page(view, errors={"secret:current_root_key": str(error)}, status=422)
    except TooManyAttemptsError as error:
        wait = retry_after(error)
        return await _page(view, errors={"secret:current_root_key": str(error)}, status=429, headers=wait)
    except InvalidInputError as error:
        return await _page(view, errors={"secret:root_key": str(error)}, status=422)
    return view.seen("/encryption", "rootkey")


async def _page(
    view: View,
    *,
    errors: dict[str, str] | None = None,
    findings: Any = None,
    said: str = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response[Any]:
    now = await view.keycairn.rotation.status()
    total = sum(now.secrets.values())
    shares = {kid: round(count / total * 400, 1) for kid, count in now.secrets.items()}
    keys = [
        (kid, state, WORDS[state], now.secrets.get(kid, 0), shares.get(kid, 0))
        for kid, state in sorted(now.keys.items(), reverse=True)
    ]
    return view.page(
        "encryption.html",
        status=status,
        headers=headers,
        encryption=now,
        keys=keys,
        total=total,
        errors=errors or {},
        findings=findings,
        said=said,
        beside=view.keycairn.root_key_beside_data,
    )
