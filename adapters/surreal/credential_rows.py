"""Credentials as rows and back."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from sys import intern  # what thousands of records say alike is kept once

import msgspec

from keycairn.adapters.surreal.rows import LIMITS, TEXTS, Row, filled, json_text, limits_text, text_id
from keycairn.domain.change import check_text
from keycairn.domain.credential import LATER_COLUMNS, Credential, later_values
from keycairn.domain.ids import CredentialId
from keycairn.domain.limits import NO_LIMITS
from keycairn.domain.modality import Modality
from keycairn.domain.outcome import CheckRecord
from keycairn.domain.provider import SettingValue
from keycairn.domain.sealed import SealedSecret

_MODALITIES: Mapping[str, Modality] = {member.value: member for member in Modality}
_settings = msgspec.json.Decoder(dict[str, SettingValue])
_sealed = msgspec.json.Decoder(dict[str, SealedSecret])
_check = msgspec.json.Decoder(CheckRecord)
_later = {name: msgspec.json.Decoder(column.type) for name, column in LATER_COLUMNS.items()}


def place(provider: str, created: datetime, id: str) -> str:
    """The credential's place in the list, as text that sorts like the tuple: a tab sorts before any letter."""
    return f"{provider}\t{created.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}\t{id}"


def credential_row(credential: Credential) -> Row:
    """The columns of a credential, its id apart."""
    check_text(credential)
    return {
        "workspace": credential.workspace,
        "provider": credential.provider,
        "name": credential.name,
        "modalities": [str(modality) for modality in credential.modalities],
        "settings": filled(credential.settings),
        "sealed": filled(credential.sealed),
        **fingerprint_columns(credential.fingerprints),
        # the standard library's JSON keeps whole numbers of any size; imported records may hold them
        "extra": json.dumps(dict(credential.extra), ensure_ascii=False) if credential.extra else None,
        "broken": filled(credential.broken),
        "limits": limits_text(credential.limits),
        **_later_row(credential),
        "last_check": json_text(credential.last_check) if credential.last_check else None,
        "created": credential.created,
        "updated": credential.updated,
        "version": credential.version,
        "place": place(credential.provider, credential.created, credential.id),
        "proof": credential.proof or None,
    }


def _later_row(credential: Credential) -> Row:
    """The later columns as JSON, None for a default."""
    said = later_values(credential)
    return {name: json_text(said[name]) if name in said else None for name in LATER_COLUMNS}


def fingerprint_columns(fingerprints: Mapping[str, str]) -> Row:
    """The fingerprints by name, and, for the index, alone."""
    return {"fingerprints": filled(fingerprints), "prints": sorted(set(fingerprints.values())) or None}


def credential_of(row: Row) -> Credential:
    """The credential in a row."""
    settings, sealed, extra, broken = row.get("settings"), row.get("sealed"), row.get("extra"), row.get("broken")
    check, prints = row.get("last_check"), row.get("fingerprints")
    return Credential(
        id=CredentialId(text_id(row["id"])),
        workspace=intern(row["workspace"]),
        provider=intern(row["provider"]),
        name=row["name"],
        modalities=tuple([_MODALITIES[name] for name in row["modalities"]]),
        settings=_settings.decode(settings) if settings else {},
        sealed=_sealed.decode(sealed) if sealed else {},
        fingerprints=TEXTS.decode(prints) if prints else {},
        extra=json.loads(extra) if extra else {},
        broken=TEXTS.decode(broken) if broken else {},
        last_check=_check.decode(check) if check else None,
        limits=LIMITS.decode(row["limits"]) if row.get("limits") else NO_LIMITS,
        **{name: later.decode(row[name]) for name, later in _later.items() if row.get(name)},
        created=row["created"],
        updated=row["updated"],
        version=row["version"],
        proof=row.get("proof") or "",
    )
