"""What holds keys or gives access, as rows and back: the keyset, tokens, and rotations of keys."""

import msgspec

from keycairn.adapters.surreal.rows import LIMITS, Row, json_text, limits_text, text_id
from keycairn.domain.change import check_text
from keycairn.domain.ids import TokenId
from keycairn.domain.key_rotation.record import KeyRotation, rotation_of, rotation_text
from keycairn.domain.keyset import Keyset
from keycairn.domain.limits import NO_LIMITS
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.token import Scope, Token

_keyset = msgspec.json.Decoder(Keyset)
_reach = msgspec.json.Decoder(Reach)


def keyset_row(keyset: Keyset) -> Row:
    """The columns of the keyset. `content` is all of it."""
    return {"generation": keyset.generation, "install_id": keyset.install_id, "content": json_text(keyset)}


def keyset_of(row: Row) -> Keyset:
    """The keyset in a row."""
    return _keyset.decode(row["content"])


def token_row(token: Token) -> Row:
    """The columns of a token, its id apart."""
    check_text(token)
    return {
        "workspace": token.workspace,
        "name": token.name,
        "scopes": [str(scope) for scope in token.scopes],
        "mac": token.mac,
        "created": token.created,
        "expires": token.expires,
        "revoked": token.revoked,
        "limits": limits_text(token.limits),
        "reach": None if token.reach.whole else json_text(token.reach),
        "last_used": token.last_used,
        "maker": token.maker,
        "proof": token.proof or None,
    }


def token_of(row: Row) -> Token:
    """The token in a row."""
    return Token(
        id=TokenId(text_id(row["id"])),
        workspace=row["workspace"],
        name=row["name"],
        scopes=tuple(Scope(name) for name in row["scopes"]),
        mac=row["mac"],
        created=row["created"],
        expires=row.get("expires"),
        revoked=row.get("revoked"),
        limits=LIMITS.decode(row["limits"]) if row.get("limits") else NO_LIMITS,
        reach=_reach.decode(row["reach"]) if row.get("reach") else EVERYWHERE,
        last_used=row.get("last_used"),
        maker=TokenId(row["maker"]) if row.get("maker") else None,
        proof=row.get("proof") or "",
    )


def key_rotation_row(rotation: KeyRotation) -> Row:
    """The columns of a rotation, its id apart. `content` is all of it but its proof."""
    check_text(rotation)
    return {
        "workspace": rotation.workspace,
        "content": rotation_text(rotation),
        "version": rotation.version,
        "proof": rotation.proof or None,
    }


def key_rotation_of(row: Row) -> KeyRotation:
    """The rotation in a row."""
    return rotation_of(row["content"], row.get("proof") or "")
