"""What an import brings: neutral rows, whatever they were read from, and the report of what became of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.model import Slot
from keycairn.domain.secret import Secret

COMMON_SETTINGS = frozenset(
    {
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
        "num_ctx",
    }
)
"""Settings that Open Notebook has for all providers alike."""


PROVIDER_TAKEN = "The database has a credential of this provider, with another key. That one stays, and this stays out."


class IncomingModel(Struct, frozen=True, kw_only=True, tag_field="row", tag="model", forbid_unknown_fields=True):
    """A model. Inside an `IncomingCredential` it is linked to that; as a row of its own it is linked to nothing.

    `id` is the original one, None where the source has none or it is no id of ours. `type` "" means: judge by the name.
    `provider_model`, `priority`, `weight` and `context_length` are as those of `keycairn.domain.model.Model`.
    """

    name: str
    provider_model: str | None = None
    priority: int = 0
    weight: int = 1
    context_length: int | None = None
    provider: str = ""
    type: str = ""
    id: str | None = None
    where: str = ""
    created: datetime | None = None
    updated: datetime | None = None


class IncomingCredential(
    Struct, frozen=True, kw_only=True, tag_field="row", tag="credential", forbid_unknown_fields=True
):
    """A credential with its models.

    `where` names it in the report. `secrets` could be read, `unopened` maps those that could not to why. `values` are
    fields whose source does not know which of them are secret. `extra` is configuration nobody here knows, kept for
    the way back. `default`: the provider's default account in the source. `adopts`: the models of its provider that no
    credential is linked to become its own. `unique_name`: a person gave it its name, which stands for one account, so
    that another key under that name is refused; another name is numbered. `alone`: it comes in only where its provider
    has no credential. `variables` maps its fields to the environment variables they were read from. `any_model` is as
    that of `keycairn.domain.options.Options`.
    """

    where: str
    provider: str
    name: str
    id: str | None = None
    modalities: tuple[str, ...] = ()
    settings: Mapping[str, str | int] = {}
    secrets: Mapping[str, Secret] = {}
    unopened: Mapping[str, str] = {}
    values: Mapping[str, Secret] = {}
    extra: Mapping[str, Any] = {}
    models: tuple[IncomingModel, ...] = ()
    default: bool = False
    adopts: bool = False
    unique_name: bool = False
    alone: bool = False
    variables: Mapping[str, str] = {}
    any_model: bool = False
    notes: tuple[str, ...] = ()
    created: datetime | None = None
    updated: datetime | None = None


class IncomingDefaults(Struct, frozen=True, kw_only=True, tag_field="row", tag="defaults", forbid_unknown_fields=True):
    """The models of task slots, by original id. It comes after all models."""

    slots: Mapping[str, str]


class Refused(Struct, frozen=True, kw_only=True, tag_field="row", tag="refused", forbid_unknown_fields=True):
    """Something a source holds that cannot come in: where it stands and why, never its content."""

    where: str
    reason: str


class LeftBehind(Struct, frozen=True, kw_only=True, tag_field="row", tag="left_behind", forbid_unknown_fields=True):
    """Something a source holds that Keycairn has no use for: where it stands, and what it is."""

    where: str
    reason: str


IncomingRow = IncomingCredential | IncomingModel | IncomingDefaults | Refused | LeftBehind


_MASKS = frozenset("*\u2022\u25cf")


def unusable_secret(row: IncomingCredential) -> str | None:
    """Why a secret of the row is certainly none: it holds NUL, or is what others show in place of one. None else."""
    for secret in (*row.secrets.values(), *row.values.values()):
        text = secret.reveal().strip()
        if "\0" in text:
            return "one of its fields holds the NUL character"
        if text and set(text) <= _MASKS:
            return "it holds the mask of a key in place of the key"
    return None


class Imported(Struct, frozen=True, kw_only=True):
    """A credential that was made, or would be: its models by name, those that were there as `linked`.

    `broken` maps its secrets that came in unreadable to why; `notes` say what was healed, and what was left behind.
    """

    where: str
    provider: str
    name: str
    id: CredentialId
    models: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    broken: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()


class Skipped(Struct, frozen=True, kw_only=True):
    """Something that was left as it is, and why. `id` is the record that stands in its place, where there is one."""

    where: str
    reason: str
    id: str | None = None


class ImportReport(Struct, frozen=True, kw_only=True):
    """What an import did, or (with `dry_run`) would do.

    `repaired` are credentials whose unreadable secrets could be read this time. `relinked` are models that had no
    credential and have one now, `models` all that were registered. `defaults` are the slots that were filled.
    `renamed` maps ids of the source to those their records got in their place.
    """

    dry_run: bool
    created: tuple[Imported, ...] = ()
    repaired: tuple[Imported, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    refused: tuple[Refused, ...] = ()
    relinked: tuple[ModelId, ...] = ()
    models: tuple[ModelId, ...] = ()
    defaults: Mapping[Slot, ModelId] = {}
    renamed: Mapping[str, str] = {}


def touches_models(row: IncomingRow) -> bool:
    """Whether a row makes, links or chooses models, which is more than writing credentials."""
    if isinstance(row, IncomingCredential):
        return bool(row.models) or row.adopts
    return isinstance(row, IncomingModel | IncomingDefaults)
