"""What a changeset is worked out against, where not every record is held in memory."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct
from surrealdb import RecordID

from keycairn.adapters.surreal.records import Row, record_id, usage_id
from keycairn.adapters.surreal.statements import HEAD, KEYSET, REVISION
from keycairn.domain.change import (
    AddCredential,
    AddModel,
    AddUsage,
    Append,
    Changeset,
    DeleteCredential,
    DeleteModel,
    DeleteModelsOf,
    Discard,
    DropEvent,
    DropKeyRotation,
    DropToken,
    DropUsage,
    ExpectCredential,
    ExpectModel,
    ExpectNoCredential,
    MarkBroken,
    PutDefaults,
    PutFingerprints,
    PutKeyRotation,
    PutKeyset,
    PutToken,
    RecordCheck,
    RecordUse,
    RelinkModels,
    ReplaceCredential,
    ReplaceModel,
    Reseal,
    Touch,
    check_text,
)
from keycairn.domain.credential import Credential
from keycairn.domain.errors import StoreError
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.indexes import sealing_keys
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.record import KINDS, NAMES, Record, usage_text
from keycairn.domain.sealed import SealedSecret, kid_of
from keycairn.domain.state import Key, State

_R = TypeVar("_R", bound=Record)
_texts = msgspec.json.Decoder(dict[str, SealedSecret])


class Loaded:
    """A `keycairn.domain.state.Base`: a state, and `more` records beside it.

    `providers` (workspace and name) and `sealed_with` stand in for the credentials that were not loaded.
    """

    def __init__(
        self,
        state: State,
        *,
        more: Mapping[Key, Record] | None = None,
        providers: Iterable[tuple[str, str]] = (),
        sealed_with: Callable[[int], int] | None = None,
    ) -> None:
        self._state = state
        self._more = dict(more or {})
        self._providers = frozenset(providers)
        self._sealed_with = sealed_with or state.sealed_with

    def get(self, kind: type[_R], key: str) -> _R | None:
        """See `State.get`."""
        more = cast("_R | None", self._more.get((NAMES[kind], key))) if self._more else None
        return more or self._state.get(kind, key)

    def has_provider(self, workspace: str, provider: str) -> bool:
        """See `State.has_provider`."""
        return (workspace, provider) in self._providers or self._state.has_provider(workspace, provider)

    def linked(self, credential: CredentialId) -> list[ModelId]:
        """See `State.linked`."""
        return self._state.linked(credential)

    def holder_of(self, place: tuple[object, ...]) -> ModelId | None:
        """See `State.holder_of`."""
        return self._state.holder_of(place)

    def sealed_with(self, kid: int) -> int:
        """See `State.sealed_with`."""
        return self._sealed_with(kid)


class Needs(Struct, frozen=True, kw_only=True):
    """What must be read to work a changeset out: records by id, models by what they are linked to or called, and more.

    `unlinked` holds workspace and name. `sealed` asks for every sealed secret.
    """

    ids: tuple[RecordID, ...]
    links: tuple[RecordID, ...]
    unlinked: frozenset[tuple[str, str]]
    providers: frozenset[tuple[str, str]]
    sealed: bool

    def query(self) -> tuple[str, dict[str, Any]]:
        """The one statement that reads all of it as of one moment, and its variables; see `loaded`."""
        values: dict[str, Any] = {"revision": REVISION, "ids": list(self.ids), "links": list(self.links)}
        parts = [
            "((SELECT VALUE number FROM ONLY $revision) ?? 0)",
            "(SELECT * FROM $ids)",
            "(SELECT * FROM model WHERE credential IN $links)" if self.links else "[]",
        ]
        for number, (workspace, name) in enumerate(sorted(self.unlinked)):
            parts.append(f"(SELECT * FROM model WHERE workspace = $w{number} AND holder = '' AND name = $n{number})")  # noqa: S608  # our own variables
            values |= {f"w{number}": workspace, f"n{number}": name}
        for number, (workspace, provider) in enumerate(sorted(self.providers)):
            parts.append(
                f"(SELECT workspace, provider FROM credential WHERE workspace = $o{number} AND provider = $p{number}"  # noqa: S608  # our own variables
                " LIMIT 1)"
            )
            values |= {f"o{number}": workspace, f"p{number}": provider}
        if self.sealed:
            parts.append("(SELECT * FROM credential WHERE sealed != NONE)")
            parts.append("(SELECT * FROM key_rotation)")
        return f"RETURN [{', '.join(parts)}]", values


def needs(changes: Changeset) -> Needs:  # noqa: C901, PLR0912, PLR0915  # a case for each kind of change
    """What a changeset needs to be worked out."""
    ids = {"head:current": HEAD, "keyset:current": KEYSET}
    links: dict[str, RecordID] = {}
    unlinked: set[tuple[str, str]] = set()
    providers: set[tuple[str, str]] = set()
    for change in changes:
        match change:
            case AddCredential(credential=new) | ReplaceCredential(credential=new):
                ids[new.id] = record_id("credential", new.id)
            case DeleteCredential(id=id):
                links[id] = ids[id] = record_id("credential", id)
            case (
                RecordCheck(id=id)
                | MarkBroken(id=id)
                | Reseal(id=id)
                | PutFingerprints(id=id)
                | ExpectCredential(id=id)
            ):
                ids[id] = record_id("credential", id)
            case AddModel(model=model) | ReplaceModel(model=model):
                check_text(model)
                ids[model.id] = record_id("model", model.id)
                if model.credential is None:
                    unlinked.add((model.workspace, model.name))
                else:
                    links[model.credential] = ids[model.credential] = record_id("credential", model.credential)
            case ExpectModel(id=model_id):
                ids[model_id] = record_id("model", model_id)
            case DeleteModel(workspace=workspace, id=model_id):
                ids[model_id] = record_id("model", model_id)
                ids[f"defaults:{workspace}"] = RecordID("defaults", workspace)
            case RelinkModels(source=source, target=target):
                links |= {id: record_id("credential", id) for id in (source, target)}
                ids[target] = links[target]
            case DeleteModelsOf(workspace=workspace, credential=credential):
                links[credential] = record_id("credential", credential)
                ids[f"defaults:{workspace}"] = RecordID("defaults", workspace)
            case PutDefaults(defaults=defaults):
                check_text(defaults)
                ids[f"defaults:{defaults.workspace}"] = RecordID("defaults", defaults.workspace)
                ids |= {id: record_id("model", id) for id in defaults.slots.values()}
            case PutToken(token=token):
                ids[token.id] = record_id("token", token.id)
            case PutKeyRotation(rotation=rotation):
                ids[rotation.id] = record_id("key_rotation", rotation.id)
            case DropKeyRotation(id=rotation_id):
                ids[rotation_id] = record_id("key_rotation", rotation_id)
            case RecordUse(id=token_id):
                ids[token_id] = record_id("token", token_id)
            case Append(event=event):
                ids[event.id] = record_id("event", event.id)
            case ExpectNoCredential(workspace=workspace, provider=provider):
                check_text(change)
                providers.add((workspace, provider))
            case AddUsage(key=key):
                check_text(key)
                ids[f"usage:{usage_text(key)}"] = usage_id(key)
            case Touch(kind=kind, key=key) | Discard(kind=kind, key=key):
                ids[f"{kind}:{key}"] = RecordID(kind, key)
            case DropToken(id=token_id):
                ids[token_id] = record_id("token", token_id)
            case PutKeyset() | DropEvent() | DropUsage():
                pass
    return Needs(
        ids=tuple(ids.values()),
        links=tuple(links.values()),
        unlinked=frozenset(unlinked),
        providers=frozenset(providers),
        sealed=any(isinstance(change, PutKeyset) for change in changes),
    )


class LoadedRevision(Struct, frozen=True):
    """What was read, as of one revision."""

    revision: int
    base: Loaded


def number_in(revision: object) -> int:
    """The revision. Raises StoreError for what is none: the next one could not be told from it."""
    if isinstance(revision, int) and 0 <= revision < 2**63 - 1:
        return revision
    raise StoreError("The database's revision is damaged: run UPDATE revision:current SET number = 1 on it.")


def loaded(answer: list[Any], wanted: Needs, decode: Any) -> LoadedRevision:
    """What the statement of `wanted` answered. `decode` gives the readable records among rows of one table."""
    number, rows, linked, *rest = answer
    revision = number_in(number)
    state = State()
    tables: dict[str, list[Row]] = {}
    for row in [*rows, *linked]:
        tables.setdefault(row["id"].table_name, []).append(row)
    for found in rest[: len(wanted.unlinked)]:
        tables.setdefault("model", []).extend(found)
    for table, its in tables.items():
        if table in KINDS:
            for record in decode(table, its):
                state.put(record)
    behind = rest[len(wanted.unlinked) :]
    providers = {
        (row.get("workspace"), row.get("provider")) for found in behind[: len(wanted.providers)] for row in found
    }
    rows_of: dict[int, list[Row]] = {}
    sealing, rotating = behind[-2:] if wanted.sealed else ((), ())
    for row in sealing:
        for kid in _kids(row["sealed"]):
            rows_of.setdefault(kid, []).append(row)
    rotations = [one for one in decode("key_rotation", rotating) if isinstance(one, KeyRotation)]

    def sealed_with(kid: int) -> int:
        """Of records that are refused, nothing is lost when a key is retired: they open nothing anyway."""
        found = decode("credential", rows_of.get(kid, ()))
        holders: list[Credential | KeyRotation] = [one for one in found if isinstance(one, Credential)]
        return sum(sealing_keys(one).count(kid) for one in [*holders, *rotations])

    return LoadedRevision(
        revision, Loaded(state, providers=providers, sealed_with=sealed_with if wanted.sealed else None)
    )


def _kids(sealed: object) -> frozenset[int]:
    """The data keys that seal something, by the text of a column."""
    try:
        texts = _texts.decode(sealed) if isinstance(sealed, str) else {}
    except msgspec.MsgspecError:
        return frozenset()
    return frozenset(kid for text in texts.values() if (kid := kid_of(text)) is not None)
