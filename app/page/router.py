"""The routes of the page, and what surrounds them."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, Router
from litestar.di import Provide

from keycairn.app.api.inputs import TheKeycairn
from keycairn.app.page import (
    about,
    assets,
    auditing,
    credentials,
    editing,
    encrypting,
    finding,
    keeping,
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


async def _view(request: Request[Any, Any, Any], keycairn: TheKeycairn) -> View:
    return View(request, keycairn)


def page_router(settings: Sequence[tuple[str, str, str]]) -> Router:
    """Everything below the plugin's path that is for people. Each request is let through by its session's token.

    `settings` are shown as they are: name, value, meaning.
    """
    jobs, rows = Jobs(), Rows()
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
            "rows": Provide(lambda: rows, sync_to_thread=False),
            "jobs": Provide(lambda: jobs, sync_to_thread=False),
            "shown_settings": Provide(lambda: settings, sync_to_thread=False),
        },
        exception_handlers=EXCEPTION_HANDLERS,
        opt={"proves": by_session},
    )
