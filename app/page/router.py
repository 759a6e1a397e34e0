"""The routes of the page, and what surrounds them."""

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Request, Router
from litestar.di import Provide

from keycairn.app.page import (
    about,
    assets,
    auditing,
    credentials,
    editing,
    encrypting,
    finding,
    keeping,
    key_rotations,
    models,
    moving,
    moving_files,
    overview,
    playground,
    removing,
    signing,
    tokens,
    usage,
)
from keycairn.app.page.errors import EXCEPTION_HANDLERS
from keycairn.app.page.jobs import Jobs
from keycairn.app.page.rows import Rows
from keycairn.app.page.sessions import by_session, from_our_pages
from keycairn.app.page.view import View
from keycairn.app.web.inputs import TheKeycairn
from keycairn.app.web.inside import from_state


async def _view(request: Request[Any, Any, Any], keycairn: TheKeycairn) -> View:
    return View(request, keycairn)


def page_state(settings: Sequence[tuple[str, str, str]]) -> Mapping[str, object]:
    """What the page needs in the state of each request. `settings` are shown as they are: name, value, meaning."""
    return {"rows": Rows(), "jobs": Jobs(), "shown_settings": settings}


def page_router() -> Router:
    """Everything below the plugin's path that is for people. Each request is let through by its session's token."""
    return Router(
        path="/",
        route_handlers=[
            overview.overview,
            assets.asset,
            signing.sign_in,
            signing.begin,
            signing.signed_in,
            signing.end,
            credentials.listing,
            credentials.detail,
            credentials.test,
            editing.new,
            editing.create,
            editing.edit,
            editing.save,
            removing.confirm,
            removing.remove,
            key_rotations.detail,
            key_rotations.save,
            key_rotations.rotate,
            key_rotations.leaked,
            key_rotations.resume,
            key_rotations.cancel,
            key_rotations.remove,
            finding.registered,
            finding.discover,
            finding.register,
            moving.plan,
            moving.move,
            moving.results,
            moving.test_all,
            moving_files.read_file,
            moving_files.plan,
            moving_files.bring,
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
            auditing.log,
            auditing.verify,
            encrypting.encryption,
            encrypting.rotate,
            encrypting.verify,
            encrypting.checkup,
            encrypting.repair,
            encrypting.change_root_key,
            keeping.backups,
            keeping.make,
            keeping.download,
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
