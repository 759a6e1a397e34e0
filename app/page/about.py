"""Pages about the installation: plugins, settings, and the places the command palette offers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from litestar import MediaType, Response, get
from litestar.di import NamedDependency

from keycairn.app.page.credentials import TheRows
from keycairn.app.page.rows import ListedCredentials
from keycairn.app.page.view import HEADERS, TheView, View
from keycairn.app.turns import each
from keycairn.app.web.auth import Access, Options, Touches
from keycairn.domain.modality import Modality
from keycairn.domain.token import Scope

CATALOG: Options = {"scope": Scope.CREDENTIALS_READ, "touches": Touches.NONE}
KEEPER: Options = {"scope": Scope.ADMIN, "installation": True}
ANYONE: Options = {"scope": Access.ANY_TOKEN, "touches": Touches.CHOSEN}
MOST_PLACES = 20
"""Of one kind, that the palette is told."""
_Listed = TypeVar("_Listed")
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
async def places(view: TheView, rows: TheRows) -> Response[Any]:
    """What the palette leads to by the words that are asked for, as far as the token reaches; some of each kind."""
    parts = view.query("q").casefold().split()
    found: list[dict[str, str]] = []
    if parts:
        found += await _credentials(view, rows, parts)
        found += await _models(view, parts)
        found += await _tokens(view, parts)
    return Response(found, media_type=MediaType.JSON, headers=dict(HEADERS))


async def _credentials(view: View, rows: ListedCredentials, parts: Sequence[str]) -> list[dict[str, str]]:
    if not view.may(Scope.CREDENTIALS_READ):
        return []
    listed = await rows.of(view.keycairn, view.caller.workspace, view.caller.reach)
    found = [(row.label, row.listed.credential) for row in await _some(listed, lambda row: row.words, parts)]
    return [_place(one.name, label, view.url(f"/credentials/{one.id}")) for label, one in found]


async def _models(view: View, parts: Sequence[str]) -> list[dict[str, str]]:
    if not view.may(Scope.MODELS_READ):
        return []
    models = await view.keycairn.store.models(view.caller.workspace, limit=None)
    reached = (model for model in models if view.caller.reach.serves(model))
    found = await _some(reached, lambda one: f"{one.name} {one.own_name} {one.provider} model".casefold(), parts)
    return [_place(one.name, f"model of {one.provider}", view.url(f"/models/{one.id}")) for one in found]


async def _tokens(view: View, parts: Sequence[str]) -> list[dict[str, str]]:
    if not view.may(Scope.ADMIN):
        return []
    tokens = await view.keycairn.tokens.list(workspace=view.caller.workspace)
    good = (one for one in tokens if one.valid_at(view.now))
    found = await _some(good, lambda one: f"{one.name} token".casefold(), parts)
    return [_place(one.name, "token", view.url("/tokens", q=one.name)) for one in found]


def _place(label: str, kind: str, href: str) -> dict[str, str]:
    return {"label": label, "kind": kind, "href": href}


async def _some(listed: Iterable[_Listed], words: Callable[[_Listed], str], parts: Sequence[str]) -> list[_Listed]:
    """The first of those whose words hold every part."""
    found: list[_Listed] = []
    async for one in each(listed):
        if all(part in words(one) for part in parts):
            found.append(one)
            if len(found) == MOST_PLACES:
                break
    return found
