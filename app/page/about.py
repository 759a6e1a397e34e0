"""Pages about the installation: plugins, settings, and the places the command palette offers."""

from collections.abc import Sequence
from typing import Any

from litestar import MediaType, Response, get
from litestar.di import NamedDependency

from keycairn.app.page.view import HEADERS, TheView
from keycairn.app.web.auth import Access, Options, Touches
from keycairn.domain.modality import Modality
from keycairn.domain.token import Scope
from keycairn.ports.store import MOST

CATALOG: Options = {"scope": Scope.CREDENTIALS_READ, "touches": Touches.NONE}
KEEPER: Options = {"scope": Scope.ADMIN, "installation": True}
ANYONE: Options = {"scope": Access.ANY_TOKEN, "touches": Touches.CHOSEN}
ShownSettings = NamedDependency[Sequence[tuple[str, str, str]]]
"""Every setting: its name, its value as it may be shown, and what it means."""


@get("/plugins", opt=CATALOG, include_in_schema=False)
async def plugins(view: TheView) -> Response[Any]:
    """What is loaded, from where, and why not."""
    found = view.keycairn.registry.plugins()
    labels = {one.spec.name: one.spec.label for one in view.keycairn.registry.all()}
    return view.page(
        "plugins.html",
        plugins=sorted(found, key=lambda one: one.failure is None),
        labels=labels,
        types=list(Modality),
        specs=[one.spec for one in view.keycairn.registry.all()],
    )


@get("/settings", opt=KEEPER, include_in_schema=False)
async def settings(view: TheView, shown_settings: ShownSettings) -> Response[Any]:
    """As they are in force. Of a secret only whether it is set."""
    return view.page("settings.html", rows=shown_settings)


@get("/places.json", opt=ANYONE, include_in_schema=False)
async def places(view: TheView) -> Response[Any]:
    """The credentials and models that the palette leads to, as far as the token reaches."""
    caller, keycairn = view.caller, view.keycairn
    found: list[dict[str, str]] = []
    if view.may(Scope.CREDENTIALS_READ):
        for one in await keycairn.credentials.list(limit=MOST, workspace=caller.workspace):
            credential = one.credential
            if caller.reach.holds(credential.provider, credential.id):
                href = view.url(f"/credentials/{credential.id}")
                words = f"credential {credential.provider}"
                found.append({"label": credential.name, "words": words, "href": href})
    if view.may(Scope.MODELS_READ):
        for model in await keycairn.models.list(limit=MOST, workspace=caller.workspace):
            if caller.reach.serves(model):
                words = f"model {model.provider} {model.own_name}"
                found.append({"label": model.name, "words": words, "href": view.url(f"/models/{model.id}")})
    return Response(found, media_type=MediaType.JSON, headers=dict(HEADERS))
