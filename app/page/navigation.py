"""The pages there are, and which of them a token may see."""

from typing import TYPE_CHECKING

from msgspec import Struct

from keycairn.domain.token import Scope

if TYPE_CHECKING:
    from keycairn.app.page.view import View


class Place(Struct, frozen=True, kw_only=True):
    """A page of the navigation. `scope` None: for every session."""

    path: str
    label: str
    scope: Scope | None = None
    installation: bool = False
    whole: bool = False
    words: str = ""
    """What else the palette finds it by."""


PLACES = (
    Place(path="/", label="Overview", words="home dashboard start"),
    Place(path="/credentials", label="Credentials", scope=Scope.CREDENTIALS_READ, words="keys accounts providers"),
    Place(
        path="/move-in",
        label="Move in",
        scope=Scope.CREDENTIALS_WRITE,
        whole=True,
        words="import environment variables env litellm migrate",
    ),
    Place(path="/models", label="Models", scope=Scope.MODELS_READ, words="slots defaults pools aliases drift"),
    Place(path="/playground", label="Playground", scope=Scope.INVOKE, words="try call chat hello"),
    Place(path="/tokens", label="Tokens", scope=Scope.ADMIN, words="applications access scopes sdk"),
    Place(path="/usage", label="Usage", scope=Scope.AUDIT_READ, words="money cost requests csv plots"),
    Place(path="/audit", label="Audit", scope=Scope.AUDIT_READ, words="events log verify"),
    Place(
        path="/encryption",
        label="Encryption",
        scope=Scope.ADMIN,
        installation=True,
        words="rotate root key data key quarantine",
    ),
    Place(path="/backups", label="Backups", scope=Scope.ADMIN, installation=True, words="restore download"),
    Place(path="/plugins", label="Plugins", scope=Scope.CREDENTIALS_READ, words="providers loaded"),
    Place(path="/settings", label="Settings", scope=Scope.ADMIN, installation=True, words="configuration"),
)


class Entry(Struct, frozen=True):
    """A link of the navigation."""

    path: str
    label: str
    current: bool
    words: str


def entries(view: "View", path: str) -> list[Entry]:
    """The links a session sees."""
    return [
        Entry(place.path, place.label, _within(path, place.path), place.words)
        for place in PLACES
        if place.scope is None or view.may(place.scope, installation=place.installation, whole=place.whole)
    ]


def _within(path: str, place: str) -> bool:
    return path == place or (place != "/" and path.startswith(f"{place}/"))
