"""What clients receive about tokens and audit events. A token itself is shown once, in `NewTokenView.token`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from keycairn.domain.audit import Action, AuditEvent
from keycairn.domain.limits import Limits
from keycairn.domain.reach import Reach
from keycairn.domain.token import Scope, Token


class TokenView(Struct, frozen=True, kw_only=True):
    """A token, without its text."""

    id: str
    name: str
    scopes: Sequence[Scope]
    workspace: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None
    limits: Limits
    reach: Reach
    maker: str | None


class NewTokenView(TokenView, frozen=True, kw_only=True):
    """A token that was made just now. `token` is its text, which nobody can ask for again."""

    token: str


def token_view(token: Token) -> TokenView:
    """The view of a token."""
    return TokenView(**_token_fields(token))


def new_token_view(token: Token, text: str) -> NewTokenView:
    """The view of a new token with its text."""
    return NewTokenView(token=text, **_token_fields(token))


def _token_fields(token: Token) -> dict[str, Any]:
    return {name: getattr(token, name) for name in TokenView.__struct_fields__}


class EventView(Struct, frozen=True, kw_only=True):
    """An audit event."""

    id: str
    at: datetime
    actor: str
    action: Action
    target: str
    outcome: str
    source: str
    request_id: str
    details: Mapping[str, Any]
    seq: int


def event_view(event: AuditEvent) -> EventView:
    """The view of an audit event."""
    return EventView(**{name: getattr(event, name) for name in EventView.__struct_fields__})
