"""Going on after the root key was lost: a new keyset, and every credential waiting for its key."""

import asyncio
from pathlib import Path

from msgspec import Struct

from keycairn.app.data_folder import (
    FIRST_TOKEN_FILE,
    ROOT_KEY_FILE,
    STAGED,
    generate_root_key,
    keep_first_token,
    staged,
    stored_root_key,
    write_private,
)
from keycairn.app.first_run import check_meant
from keycairn.app.services.audit import Journal, RecordProofs
from keycairn.app.services.backups import Backups
from keycairn.app.services.keys import mark_all_broken, replace_keyset
from keycairn.app.settings import Settings
from keycairn.app.wiring import (
    keyset_opener,
    locked_data_folder,
    missing_database,
    open_store,
    open_with_first_run,
    system_clock,
    ulids,
)
from keycairn.domain.audit import SYSTEM
from keycairn.domain.errors import NothingLostError, SettingsError, WrongRootKeyError
from keycairn.domain.keyset import Keyset
from keycairn.domain.rootkey import RootKey
from keycairn.domain.token import Scope
from keycairn.ports.keyset import OpenKeyset


class Begun(Struct, frozen=True, kw_only=True):
    """What came of it. `root_key_file` and `token_file` are those that were made, None where not."""

    backup: str
    root_key_file: str | None
    token_file: str | None
    credentials: int
    tokens: int


async def begin_anew(settings: Settings) -> Begun:
    """Make a new keyset for a database whose root key is lost; after a backup, and never otherwise.

    Metadata, models, links and defaults stay. Every sealed secret is noted as broken until it is sent again; every
    token is revoked, because none can be recognised any more. Raises NothingLostError, StoreLockedError, SettingsError
    where a new root key has to be set first, BackupFileError; nothing was changed then.
    """
    if settings.in_memory:
        raise SettingsError("KEYCAIRN_DATABASE_URL is mem://, where nothing is stored that could be lost.")
    with locked_data_folder(settings):
        if (missing := missing_database(settings)) is not None:
            check_meant(settings, missing)
            raise NothingLostError
        store = await open_store(settings)
        try:
            stored = await store.keyset()
            if stored is None and not await store.any_sealed():
                raise NothingLostError
            await _check_lost(settings, stored)
            journal = Journal(store, system_clock(), ulids())
            saved = await Backups(store, journal, system_clock(), settings.safety_dir).save_unrecorded()
            root_key, file = _new_root_key(settings)
            keyset = await asyncio.to_thread(_fresh, root_key)
            journal.open(keyset)
            tokens = await replace_keyset(store, journal, stored, keyset, system_clock().now())
            if file is not None:
                _put_in_place(file)
            credentials = await mark_all_broken(store, journal)
            await RecordProofs(store, journal).start(keyset)
        finally:
            await store.aclose()
    token_file = None if settings.admin_token else await _new_token(settings)
    return Begun(
        backup=saved.file,
        root_key_file=str(file) if file else None,
        token_file=str(token_file) if token_file else None,
        credentials=credentials,
        tokens=tokens,
    )


async def _check_lost(settings: Settings, stored: Keyset | None) -> None:
    """Raise NothingLostError when any key that is at hand opens the keyset."""
    file = settings.data_dir / ROOT_KEY_FILE
    for key in (settings.root_key, *(_readable(each) for each in (file, file.with_suffix(STAGED)))):
        if stored is None or key is None:
            continue
        try:
            await asyncio.to_thread(keyset_opener().open, stored, key)
        except WrongRootKeyError:
            continue
        raise NothingLostError


def _readable(file: Path) -> RootKey | None:
    try:
        return stored_root_key(file)
    except SettingsError:
        return None  # damaged, which is one way of being lost


def _new_root_key(settings: Settings) -> tuple[RootKey, Path | None]:
    """The root key to go on with, and the file it will be in. A generated one is staged until the keyset is stored."""
    if settings.root_key is not None:
        return settings.root_key, None
    if not settings.embedded:
        raise SettingsError("Set KEYCAIRN_ROOT_KEY to a new root key first. Make one with: openssl rand -base64 32")
    file = settings.data_dir / ROOT_KEY_FILE
    return generate_root_key(file.with_suffix(STAGED)), file


def _put_in_place(file: Path) -> None:
    """Keep the former root key aside, in case it is worth something after all; then use the staged one."""
    if file.exists():
        stamp = system_clock().now().strftime("%Y%m%dT%H%M%SZ")
        file.replace(file.with_name(f"{file.name}.lost-{stamp}"))
    file.with_suffix(STAGED).replace(file)


def _fresh(root_key: RootKey) -> OpenKeyset:
    opener = keyset_opener()
    return opener.open(opener.create(root_key, system_clock().now(), proves=False), root_key)


async def _new_token(settings: Settings) -> Path:
    waiting = staged(settings.data_dir / FIRST_TOKEN_FILE)
    async with open_with_first_run(settings) as (keycairn, first_run):
        if first_run.token_file is not None:
            return first_run.token_file
        await keycairn.tokens.create(
            "after a lost root key",
            (Scope.ADMIN,),
            by=SYSTEM,
            keep=lambda text: write_private(waiting, text.reveal() + "\n"),
        )
        return keep_first_token(settings.data_dir)
