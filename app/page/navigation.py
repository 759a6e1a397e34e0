"""The pages there are, and which of them a token may see."""

from typing import TYPE_CHECKING

from msgspec import Struct

from keycairn.domain.token import Scope

if TYPE_CHECKING:
    from keycairn.app.page.view import View


class MenuPlace(Struct, frozen=True, kw_only=True):
    """A page of the navigation. `scope` None: for every session."""

    path: str
    label: str
    scope: Scope | None = None
    installation: bool = False
    whole: bool = False
    words: str = ""
    """What else the palette finds it by."""
    inside: bool = False
    """Whether only the palette leads there at once: a part of another page, or what is done on it."""


PLACES = (
    MenuPlace(path="/", label="Overview", words="home dashboard start"),
    MenuPlace(path="/credentials", label="Credentials", scope=Scope.CREDENTIALS_READ, words="keys accounts providers"),
    MenuPlace(
        path="/move-in",
        label="Move in",
        scope=Scope.CREDENTIALS_WRITE,
        whole=True,
        words="import environment variables env litellm migrate",
    ),
    MenuPlace(path="/models", label="Models", scope=Scope.MODELS_READ, words="slots defaults pools aliases drift"),
    MenuPlace(path="/playground", label="Playground", scope=Scope.INVOKE, words="try call chat hello"),
    MenuPlace(path="/tokens", label="Tokens", scope=Scope.ADMIN, words="applications access scopes sdk"),
    MenuPlace(path="/usage", label="Usage", scope=Scope.AUDIT_READ, whole=True, words="money cost requests csv plots"),
    MenuPlace(path="/audit", label="Audit", scope=Scope.AUDIT_READ, whole=True, words="events log verify"),
    MenuPlace(
        path="/encryption",
        label="Encryption",
        scope=Scope.ADMIN,
        installation=True,
        words="rotate root key data key quarantine",
    ),
    MenuPlace(path="/backups", label="Backups", scope=Scope.ADMIN, installation=True, words="restore download"),
    MenuPlace(path="/plugins", label="Plugins", scope=Scope.CREDENTIALS_READ, words="providers loaded"),
    MenuPlace(path="/settings", label="Settings", scope=Scope.ADMIN, installation=True, words="configuration"),
    MenuPlace(
        path="/credentials/new",
        label="Add a credential",
        scope=Scope.CREDENTIALS_WRITE,
        words="new key account",
        inside=True,
    ),
    MenuPlace(
        path="/tokens/new", label="Make a token", scope=Scope.ADMIN, words="new application sdk access", inside=True
    ),
    MenuPlace(
        path="/usage?by=hour", label="Usage by hour", scope=Scope.AUDIT_READ, whole=True, words="calls", inside=True
    ),
    MenuPlace(
        path="/audit?follow=1",
        label="Follow the audit log",
        scope=Scope.AUDIT_READ,
        whole=True,
        words="live",
        inside=True,
    ),
    MenuPlace(
        path="/encryption#root",
        label="Change the root key",
        scope=Scope.ADMIN,
        installation=True,
        words="rotate",
        inside=True,
    ),
)


class MenuEntry(Struct, frozen=True):
    """A link of the navigation."""

    path: str
    label: str
    current: bool
    words: str
    inside: bool


def entries(view: "View", path: str) -> list[MenuEntry]:
    """The links a session sees."""
    return [
        MenuEntry(place.path, place.label, _within(path, place.path), place.words, place.inside)
        for place in PLACES
        if place.scope is None or view.may(place.scope, installation=place.installation, whole=place.whole)
    ]


def _within(path: str, place: str) -> bool:
    return path == place or (place != "/" and path.startswith(f"{place}/"))
