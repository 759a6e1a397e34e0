"""The routes of the page, and what surrounds them."""

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Request, Router
from litestar.di import Provide

from keycairn.app.page import (
    about,
    assets,
    audit,
    backups,
    credential_deletion,
    credential_editing,
    credentials,
    discovery,
    encryption,
    env_import,
    file_import,
    key_rotations,
    models,
    overview,
    playground,
    sign_in,
    tokens,
    usage,
)
from keycairn.app.page.errors import EXCEPTION_HANDLERS
from keycairn.app.page.jobs import Jobs
from keycairn.app.page.rows import ListedCredentials
from keycairn.app.page.sessions import by_session, from_our_pages
from keycairn.app.page.view import View
from keycairn.app.web.inputs import TheKeycairn
from keycairn.app.web.inside import from_state


async def _view(request: Request[Any, Any, Any], keycairn: TheKeycairn) -> View:
    return View(request, keycairn)


def page_state(settings: Sequence[tuple[str, str, str]]) -> Mapping[str, object]:
    """What the page needs in the state of each request. `settings` are shown as they are: name, value, meaning."""
    return {"rows": ListedCredentials(), "jobs": Jobs(), "shown_settings": settings}


def page_router() -> Router:
    """Everything below the plugin's path that is for people. Each request is let through by its session's token."""
    return Router(
        path="/",
        route_handlers=[
            overview.overview,
            assets.asset,
            sign_in.sign_in,
            sign_in.begin,
            sign_in.signed_in,
            sign_in.end,
            credentials.listing,
            credentials.detail,
            credentials.test,
            credential_editing.new,
            credential_editing.create,
            credential_editing.edit,
            credential_editing.save,
            credential_deletion.confirm,
            credential_deletion.remove,
            key_rotations.detail,
            key_rotations.save,
            key_rotations.rotate,
            key_rotations.leaked,
            key_rotations.resume,
            key_rotations.cancel,
            key_rotations.remove,
            discovery.registered,
            discovery.discover,
            discovery.register,
            env_import.plan,
            env_import.move,
            env_import.results,
            env_import.test_all,
            file_import.read_file,
            file_import.plan,
            file_import.bring,
            models.listing,
            models.detail,
            models.change,
            models.test,
            models.assign,
            models.remove,
            models.slots,
            playground.playground,
            playground.say,
            tokens.listing,
            tokens.new,
            tokens.create,
            tokens.confirm,
            tokens.revoke,
            usage.usage,
            usage.as_csv,
            audit.log,
            audit.verify,
            encryption.encryption,
            encryption.rotate,
            encryption.verify,
            encryption.checkup,
            encryption.repair,
            encryption.change_root_key,
            backups.backups,
            backups.make,
            backups.download,
            about.plugins,
            about.settings,
            about.places,
        ],
        guards=[from_our_pages],
        dependencies={
            "view": Provide(_view),
            **{name: from_state(name) for name in ("rows", "jobs", "shown_settings")},
        },
        exception_handlers=EXCEPTION_HANDLERS,
        opt={"proves": by_session},
    )
