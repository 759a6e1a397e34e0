"""What clients receive about the environment: where keys stand, and what became of moving them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from keycairn.app.api.credential_views import DuplicateView, duplicate_views
from keycairn.app.services.imports import Migration, MigrationEntry, Step
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.reach import Reach


class HeldBackKey(Struct, frozen=True, kw_only=True):
    """A former key that is not revoked, because credentials of other workspaces use it.

    `used_by` are those, as `workspace/credential`. They store another key, or are deleted, and it goes on.
    """

    workspace: str
    credential: str
    provider: str
    old_key_id: str
    since: datetime
    used_by: Sequence[str]


def held_back_views(rotations: Sequence[KeyRotation]) -> list[HeldBackKey]:
    """Views of rotations that wait for other workspaces."""
    return [
        HeldBackKey(
            workspace=one.workspace,
            credential=one.credential,
            provider=one.provider,
            old_key_id=run.old_id,
            since=run.since,
            used_by=run.used_by,
        )
        for one in rotations
        if (run := one.run) is not None
    ]


class StatusView(Struct, frozen=True):
    """Where each provider is configured, whether secrets can be sealed, and whether a volume keeps the data folder.

    `refused` says of providers whose variables are set why the environment configures no account of theirs,
    `env_file_faults` what of the .env file cannot be read; both are left out where there is none.
    `keys_held_back` is there for the installation's keeper alone.
    `damaged` counts, for the installation's own tokens, the records that are refused and what the last verification
    found wrong with the audit log; it is left out where there is none.
    """

    configured: Mapping[str, bool]
    source: Mapping[str, str]
    encryption_configured: bool
    data_folder_kept: bool
    refused: Mapping[str, str] | UnsetType = UNSET
    env_file_faults: Sequence[str] | UnsetType = UNSET
    keys_held_back: Sequence[HeldBackKey] | UnsetType = UNSET
    damaged: int | UnsetType = UNSET


class MigrationEntryView(Struct, frozen=True, kw_only=True):
    """One account in a migration. `variables` maps fields to the names of the variables they came from.

    `goes_to` is where its keys go. `removable` names the variables that nobody needs any more: what they hold stands in
    the database as it is. `refused`: what they hold did not come in, and is not here.
    """

    provider: str
    step: str
    reason: str
    variables: Mapping[str, str]
    goes_to: Sequence[str]
    linked_models: Sequence[str]
    removable: Sequence[str]
    credential: str | None
    refused: bool
    notes: Sequence[str]
    duplicates: list[DuplicateView] = []


class MigrationView(Struct, frozen=True, kw_only=True):
    """A migration of the environment. The lists hold provider names, `errors` and `refused` a reason with each."""

    message: str
    migrated: Sequence[str]
    skipped: Sequence[str]
    not_configured: Sequence[str]
    errors: Sequence[str]
    refused: Sequence[str]
    dry_run: bool
    entries: Sequence[MigrationEntryView]


def migration_view(migration: Migration, reach: Reach) -> MigrationView:
    """The view of a migration."""
    migrated = [entry.provider for entry in migration.of(Step.MIGRATE)]
    verb = "would be migrated" if migration.dry_run else "migrated"
    return MigrationView(
        message=f"{len(migrated)} {'provider' if len(migrated) == 1 else 'providers'} {verb}.",
        migrated=migrated,
        skipped=[entry.provider for entry in migration.of(Step.SKIP)],
        not_configured=[entry.provider for entry in migration.of(Step.NOT_CONFIGURED)],
        errors=[f"{entry.provider}: {entry.reason}" for entry in migration.of(Step.ERROR)],
        refused=[f"{entry.provider}: {entry.reason}" for entry in migration.entries if entry.refused],
        dry_run=migration.dry_run,
        entries=[_entry_view(entry, reach) for entry in migration.entries],
    )


def _entry_view(entry: MigrationEntry, reach: Reach) -> MigrationEntryView:
    same = {name: getattr(entry, name) for name in MigrationEntryView.__struct_fields__ if name != "duplicates"}
    return MigrationEntryView(**same, duplicates=duplicate_views(entry.duplicates, reach))
