"""Open Notebook's records, as rows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from keycairn.adapters.fernet import NotebookKeys, UnreadableKeyError
from keycairn.domain.incoming import IncomingCredential, IncomingModel, Refused
from keycairn.domain.model import Slot
from keycairn.domain.secret import Secret

SETTINGS = (
    "base_url",
    "endpoint",
    "api_version",
    "endpoint_llm",
    "endpoint_embedding",
    "endpoint_stt",
    "endpoint_tts",
    "project",
    "location",
    "credentials_path",
)
_KNOWN = frozenset({*SETTINGS, "id", "name", "provider", "modalities", "api_key", "config", "created", "updated"})
_LONGEST_LABEL = 120


def credential_row(
    row: Mapping[str, Any], keys: NotebookKeys, models: Sequence[IncomingModel] = ()
) -> IncomingCredential | Refused:
    """A record of the table `credential`, links to it given as `models`."""
    id, provider, name = row.get("id"), row.get("provider"), row.get("name")
    if not isinstance(provider, str) or not provider.strip() or not isinstance(name, str):
        return Refused(where=label("credential", id), reason="it has no provider or no name")
    secrets, unopened = opened(row.get("api_key"), keys)
    settings, notes = _settings(row)
    config = row.get("config")
    extra: dict[str, Any] = {}
    if isinstance(config, Mapping):
        extra = {str(key): plain(value) for key, value in config.items()}
        if isinstance(extra.get("num_ctx"), int) and not isinstance(extra["num_ctx"], bool):
            settings["num_ctx"] = extra.pop("num_ctx")
    unknown = sorted(key for key, value in row.items() if key not in _KNOWN and value is not None)
    if unknown:
        notes.append(f"left behind: {len(unknown)} fields that Open Notebook does not have")
    return IncomingCredential(
        where=label(provider, name, secrets=secrets),
        provider=provider,
        name=name,
        id=id if isinstance(id, str) else None,
        modalities=tuple(word for word in row.get("modalities") or () if isinstance(word, str)),
        settings=settings,
        secrets=secrets,
        unopened=unopened,
        extra=extra,
        models=tuple(models),
        notes=tuple(notes),
        created=moment(row.get("created")),
        updated=moment(row.get("updated")),
    )


def model_row(row: Mapping[str, Any]) -> IncomingModel | Refused:
    """A record of the table `model`."""
    id, name, provider, type = (row.get(key) for key in ("id", "name", "provider", "type"))
    if not (isinstance(name, str) and isinstance(provider, str) and isinstance(type, str)):
        return Refused(where=label("model", id), reason="it has no name, provider or type")
    return IncomingModel(
        name=name,
        provider=provider,
        type=type,
        id=id if isinstance(id, str) else None,
        where=label("model", f"{provider}/{name}"),
        created=moment(row.get("created")),
        updated=moment(row.get("updated")),
    )


def default_slots(row: Mapping[str, Any]) -> dict[str, str]:
    """The slots of `open_notebook:default_models` that hold a model."""
    return {slot: row[slot] for slot in Slot if isinstance(row.get(slot), str) and row[slot]}


def opened(value: object, keys: NotebookKeys) -> tuple[dict[str, Secret], dict[str, str]]:
    """The key of a record: readable, or why it is not."""
    if value is None or value == "":
        return {}, {}
    if not isinstance(value, str):
        return {}, {"api_key": "it is no text"}
    try:
        secret = keys.open(value)
    except UnreadableKeyError as error:
        return {}, {"api_key": str(error)}
    return ({"api_key": secret}, {}) if secret else ({}, {})


def label(kind: object, name: object, *, secrets: Mapping[str, Secret] | None = None) -> str:
    """What a row is called in the report: one short printable line, without a key that was put into a name."""
    text = f"{kind}/{name}"
    for secret in (secrets or {}).values():
        if secret and secret.reveal() in text:
            return "a credential whose name or provider holds its key"
    return "".join(character if character.isprintable() else "?" for character in text)[:_LONGEST_LABEL]


def moment(value: object) -> datetime | None:
    """A time, aware and in whole microseconds; without a zone it is taken for UTC. None where it is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC)
    except OverflowError:
        return None


def plain(value: object) -> Any:
    """`value` as JSON would hold it."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _settings(row: Mapping[str, Any]) -> tuple[dict[str, str | int], list[str]]:
    settings: dict[str, str | int] = {}
    notes: list[str] = []
    for name in SETTINGS:
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            settings[name] = value
        elif value is not None and not isinstance(value, str):
            notes.append(f"left behind: {name}, which is no text")
    return settings, notes
