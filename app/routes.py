"""The routes of Keycairn as one application, which holds nothing of the Keycairn that serves a request."""

from collections.abc import Callable, Mapping
from functools import lru_cache

from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.types import ControllerRouterHandler

from keycairn.app.api.caching import LIST_CACHE, ListCache
from keycairn.app.api.decoding import StrictRequest
from keycairn.app.api.openapi import SecretSchema, openapi_config
from keycairn.app.api.options import tell_all_methods
from keycairn.app.keycairn import Keycairn
from keycairn.app.page import answer_unknown_path, answer_wrong_method, page_router, page_state
from keycairn.app.settings import Settings
from keycairn.app.shown_settings import shown
from keycairn.app.web.auth import CALLER, Guard
from keycairn.app.web.inside import KEYCAIRN, from_state, keycairn_of
from keycairn.app.web.limits import LARGEST_BODY
from keycairn.app.web.metrics import METER, Metrics
from keycairn.app.web.problems import EXCEPTION_HANDLERS
from keycairn.app.web.query import check_query
from keycairn.app.web.refusals import note_refusal
from keycairn.domain.audit import Caller

DIFFERENT = 8
"""How many different sets of routes are kept. A service has one; a test suite has one for most of its tests."""


@lru_cache(maxsize=DIFFERENT)
def built_routes(handlers: tuple[ControllerRouterHandler, ...], base: str) -> Litestar:
    """`handlers` and the page, behind one guard; `base` is where they stand, for the OpenAPI document.

    Building takes a quarter of a second, so that equal ones are built once. What serves a request is in its state,
    where `state_of` says.
    """
    return Litestar(
        [*handlers, page_router()],
        guards=[Guard(), check_query],
        dependencies={
            "keycairn": Provide(keycairn_of, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
            LIST_CACHE: from_state(LIST_CACHE),
            METER: from_state(METER),
        },
        exception_handlers={
            **EXCEPTION_HANDLERS,
            NotFoundException: answer_unknown_path,
            MethodNotAllowedException: answer_wrong_method,
        },
        after_exception=[note_refusal],
        before_send=[tell_all_methods],
        request_class=StrictRequest,
        request_max_body_size=LARGEST_BODY,
        openapi_config=openapi_config(base),
        plugins=[SecretSchema()],
        logging_config=None,
        debug=False,
    )


def state_of(current: Callable[[], Keycairn], metrics: Metrics, settings: Settings) -> Mapping[str, object]:
    """What the state of each request holds, for the routes and the page: all that belongs to one Keycairn.

    `current` gives it, or raises RuntimeError before the application started.
    """
    return {
        KEYCAIRN: current,
        METER: metrics,
        LIST_CACHE: ListCache(current),
        **page_state(shown(settings)),
    }


def _caller(request: StrictRequest) -> Caller:
    found = request.state[CALLER]
    if not isinstance(found, Caller):
        raise TypeError
    return found
