"""Tokens: how a client proves who it is. The text is shown once; only a MAC of it is kept."""

import re
from binascii import crc32
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.ids import TokenId
from keycairn.domain.limits import NO_LIMITS, Limits
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.secret import Secret

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"kc_([0-9A-HJKMNP-TV-Z]{26})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})", re.ASCII)
SECRET_BYTES = 32


class Scope(StrEnum):
    """What a token may do. `admin` includes all others."""

    CREDENTIALS_READ = "credentials:read"
    CREDENTIALS_WRITE = "credentials:write"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    INVOKE = "invoke"
    AUDIT_READ = "audit:read"
    ADMIN = "admin"


class Token(Struct, frozen=True, kw_only=True):
    """A token as it is stored. `mac` is hex; `revoked` and `expires` are when it stopped or stops working.

    `last_used` may lag a few seconds behind. `maker` is the token it was made with, None where it was none. `proof` is
    the MAC of all the rest, `last_used` apart; see `keycairn.domain.proof`.
    """

    id: TokenId
    workspace: str = DEFAULT_WORKSPACE
    name: str
    scopes: tuple[Scope, ...]
    mac: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    limits: Limits = NO_LIMITS
    reach: Reach = EVERYWHERE
    last_used: datetime | None = None
    maker: TokenId | None = None
    proof: str = ""

    @property
    def lent(self) -> bool:
        """Whether it has an end or limits: then what it makes has them too, counts as its own use, and ends with it."""
        return self.expires is not None or self.limits != NO_LIMITS

    def valid_at(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def beyond(token: Token, maker: Token) -> tuple[str, ...]:
    """In which fields `token` may more, or works longer, than `maker`; nothing where it may be made with it."""
    wide = [] if all(carries(maker.scopes, scope) for scope in token.scopes) else ["scopes"]
    if maker.expires is not None and (token.expires is None or token.expires > maker.expires):
        wide.append("expires")
    wide += [f"limits.{name}" for name in token.limits.beyond(maker.limits)]
    if not token.reach.within(maker.reach):
        wide.append("reach")
    # What is used elsewhere is counted elsewhere, so limits hold in one workspace.
    if token.workspace != maker.workspace and (maker.workspace != DEFAULT_WORKSPACE or maker.limits != NO_LIMITS):
        wide.append("workspace")
    return tuple(wide)


def carries(scopes: tuple[Scope, ...] | frozenset[Scope], needed: Scope) -> bool:
    """Whether `scopes` allow what `needed` allows."""
    return Scope.ADMIN in scopes or needed in scopes


def _base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return digits


def token_text(key: str, random: bytes) -> Secret:
    """The text of a token: `kc_<id>_<256-bit base62>_<crc32>`. `key` is a ULID, `random` 32 bytes."""
    body = f"kc_{key}_{_base62(int.from_bytes(random, 'big'), 43)}"
    return Secret(f"{body}_{_base62(crc32(body.encode()), 6)}")


def token_key(text: Secret) -> TokenId | None:
    """The id inside a token's text, or None for anything malformed or mistyped."""
    match = _FORM.fullmatch(text.reveal())
    if match is None:
        return None
    body, _, check = text.reveal().rpartition("_")
    return TokenId(f"token:{match[1]}") if _base62(crc32(body.encode()), 6) == check else None
