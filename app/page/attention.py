"""What needs somebody, as far as what is stored already tells."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from keycairn.app.page.rows import Row
from keycairn.app.page.view import View
from keycairn.app.services.key_rotations import Shown
from keycairn.app.turns import each
from keycairn.domain.environment import EnvironmentAccount
from keycairn.domain.errors import BackupFileError
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.token import Scope

OLD_TEST = timedelta(days=30)
OLD_BACKUP = timedelta(days=7)
MOST_KEYS = 5
"""Keys that are named one by one."""


class Need(Struct, frozen=True, kw_only=True):
    """Something that needs somebody. `rank` orders, the worst first; `path` is where it is mended, by `action`."""

    rank: int
    kind: str
    what: str
    why: str
    action: str
    path: str
    query: dict[str, str] = {}


async def of_credentials(view: View, rows: Sequence[Row]) -> list[Need]:
    """Of the states of credentials, of keys that stand in several, of old tests."""
    needs: list[Need] = []
    groups: dict[str, list[Row]] = {}
    prints: dict[str, list[Row]] = {}
    async for one in each(rows):
        groups.setdefault(one.state.code, []).append(one)
        for mark in set(one.listed.credential.fingerprints.values()):
            prints.setdefault(mark, []).append(one)
    said = {
        "broken": (0, "bad", "does not open", "do not open", "Enter the key again; its models work at once.", "Mend"),
        "unknown": (1, "bad", "has no plugin", "have no plugin", "Install the plugin again, or delete it.", "Look"),
        "failing": (2, "bad", "failed its test", "failed their test", "Each says why.", "Look"),
        "changed": (6, "warn", "changed since its test", "changed since their test", "Test again.", "Look"),
        "untested": (7, "off", "was never tested", "were never tested", "Nobody knows yet whether they work.", "Look"),
    }
    for code, (rank, kind, one_does, many_do, why, action) in said.items():
        found = groups.get(code, [])
        if not found:
            continue
        names = ", ".join(one.listed.credential.name for one in found[:3]) + (" …" if len(found) > 3 else "")
        what = f"{names} {one_does}" if len(found) == 1 else f"{len(found)} credentials {many_do}"
        alone = found[0].listed.credential.id if len(found) == 1 else ""
        needs.append(
            Need(
                rank=rank,
                kind=kind,
                what=what,
                why=f"{names}. {why}" if len(found) > 1 else found[0].state.sentence,
                action=action,
                path=f"/credentials/{alone}" if alone else "/credentials",
                query={} if alone else {"state": code},
            )
        )
    twins = {one.listed.credential.id: one async for found in each(prints.values()) if len(found) > 1 for one in found}
    if twins:
        names = ", ".join(one.listed.credential.name for one in list(twins.values())[:3])
        first = next(iter(twins))
        needs.append(
            Need(
                rank=8,
                kind="warn",
                what=f"{len(twins)} credentials share a key",
                why=f"{names}. Rotating it means entering it in each of them.",
                action="Look",
                path=f"/credentials/{first}",
            )
        )
    old = [
        one
        async for one in each(groups.get("works", []))
        if one.listed.credential.last_check and view.now - one.listed.credential.last_check.at > OLD_TEST
    ]
    if old:
        needs.append(
            Need(
                rank=9,
                kind="off",
                what=f"{len(old)} tests are older than 30 days",
                why="A key may have been revoked since.",
                action="Look",
                path="/credentials",
                query={"state": "works"},
            )
        )
    return needs


def of_keys(rotations: Sequence[Shown]) -> list[Need]:
    """Of keys that end soon, are overdue, or whose rotation waits for a person."""
    warned = [one for one in rotations if one.warning]
    return [
        Need(
            rank=2,
            kind="warn",
            what=f"The key of {one.rotation.provider} needs you",
            why=one.warning,
            action="Look",
            path=f"/credentials/{one.rotation.credential}/key-rotation",
        )
        for one in warned[:MOST_KEYS]
    ]


def of_held_back(held: Sequence[KeyRotation]) -> list[Need]:
    """Of former keys that are not revoked because other workspaces use them, for the installation's keeper."""
    return [
        Need(
            rank=2,
            kind="warn",
            what=f"A former key of {one.provider} in workspace {one.workspace} is not revoked",
            why=f"Used by {', '.join(one.run.used_by)}. Have those store keys of their own.",
            action="Check up",
            path="/encryption",
        )
        for one in held[:MOST_KEYS]
        if one.run is not None
    ]


def of_environment(view: View, rows: Sequence[Row], found: Sequence[EnvironmentAccount]) -> list[Need]:
    """Of keys that are in the environment only."""
    if not view.may(Scope.CREDENTIALS_WRITE, whole=True):
        return []
    stored = {one.listed.credential.provider for one in rows}  # a millisecond or two
    waiting = [one for one in found if one.usable and one.provider not in stored]
    refused = [one for one in found if one.variables and one.why_not and one.provider not in stored]
    needs = []
    if waiting:
        count = len(waiting)
        needs.append(
            Need(
                rank=3,
                kind="warn",
                what=f"{count} {'key is' if count == 1 else 'keys are'} only in the environment",
                why=f"{', '.join(sorted({one.provider for one in waiting}))}. In the database, a key is sealed, and "
                "rotated in one place.",
                action="See plan",
                path="/move-in",
            )
        )
    if refused:
        needs.append(
            Need(
                rank=5,
                kind="warn",
                what=f"{len(refused)} {'account' if len(refused) == 1 else 'accounts'} of the environment "
                "cannot be used",
                why=f"{refused[0].provider}: {refused[0].why_not}",
                action="Look",
                path="/move-in",
            )
        )
    return needs


def of_keeping(view: View) -> list[Need]:
    """Of what the installation's keeper sees to."""
    if not view.may(Scope.ADMIN, installation=True):
        return []
    keycairn, needs = view.keycairn, []
    if not keycairn.data_folder_kept:
        needs.append(
            Need(
                rank=1,
                kind="bad",
                what="No volume keeps the data folder",
                why="It goes with the container, or with the machine's memory.",
                action="Backups",
                path="/backups",
            )
        )
    refused = keycairn.store.unreadable()
    if refused:
        needs.append(
            Need(
                rank=0,
                kind="bad",
                what=f"{len(refused)} {'record is' if len(refused) == 1 else 'records are'} refused or unreadable",
                why="They work for nobody. A checkup names them.",
                action="Check up",
                path="/encryption",
            )
        )
    if keycairn.audit_watch.flaws:
        needs.append(
            Need(
                rank=0,
                kind="bad",
                what="The audit log, or a record it tells of, is not as it was left",
                why="Somebody else wrote to the database, or it is damaged. The audit log's proof says where.",
                action="Prove it",
                path="/audit",
            )
        )
    if keycairn.vault.keyset.record.former:
        needs.append(
            Need(
                rank=4,
                kind="warn",
                what="A former root key still opens everything",
                why="Start again with the newest one, or drop the former at once.",
                action="Look",
                path="/encryption",
            )
        )
    if keycairn.root_key_beside_data:
        needs.append(
            Need(
                rank=6,
                kind="warn",
                what="The root key lies beside the data",
                why="Whoever copies the data folder has both. For production, move it away and set "
                "KEYCAIRN_ROOT_KEY_FILE.",
                action="How",
                path="/encryption",
            )
        )
    last = last_backup(view)
    if last is None or view.now - last > OLD_BACKUP:
        needs.append(
            Need(
                rank=5,
                kind="warn",
                what="There is no backup" if last is None else f"The last backup is {(view.now - last).days} days old",
                why="A backup holds everything, sealed; it takes a moment.",
                action="Back up",
                path="/backups",
            )
        )
    return needs


def last_backup(view: View) -> datetime | None:
    """When the youngest backup of the folder was taken; None without one."""
    try:
        kept = view.keycairn.backups.kept()
    except BackupFileError:
        return None
    return kept[-1].taken if kept else None
