"""What a start does to a database before it serves: it makes the first keyset and the first token, or opens the keyset.

Whatever is made waits in a staged file until the database has taken it, so that a process may stop anywhere.
"""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from keycairn.app.data_folder import (
    FIRST_TOKEN_FILE,
    ROOT_KEY_FILE,
    forget_former_database,
    generate_root_key,
    keep_first_token,
    keep_root_key,
    put_in_place,
    root_key_of,
    staged,
    staged_root_key,
    stored_root_key,
    traces,
    write_private,
)
from keycairn.app.keycairn import Keycairn
from keycairn.app.settings import Settings
from keycairn.domain.audit import SYSTEM
from keycairn.domain.errors import MissingDatabaseError, SettingsError
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

RESTORED_TOKEN_NAME = "admin token of a restore"  # noqa: S105  # a name


class FirstRun(Struct, frozen=True):
    """What this start made for the first time, to be said once: paths of the generated files, None where not made."""

    root_key_file: Path | None = None
    token_file: Path | None = None


def check_meant(settings: Settings, missing: str, *, new_database: bool = False) -> None:
    """Refuse to begin with an empty database where there was another one, unless that is what is wanted.

    Raises MissingDatabaseError or DataFolderError.
    """
    for trace in traces(settings):
        if not new_database:
            raise MissingDatabaseError(missing, str(trace))
        forget_former_database(settings)
        return


async def begin(keycairn: Keycairn, settings: Settings) -> None:
    """Put into a new database what it begins with. A root key and a token made for that wait in their files.

    Raises SettingsError or DataFolderError.
    """
    await keycairn.vault.unlock(root_key_of(settings) or staged_root_key(settings.data_dir))
    await keycairn.tokens.first(_stage_token(settings))


async def unlock(keycairn: Keycairn, settings: Settings, *, accept: bool = False) -> FirstRun:
    """Open the vault with the root key there is, or leave it sealed. Where nothing is stored yet, begin.

    `accept` is that of `Vault.unlock`.

    Raises SettingsError or DataFolderError.
    """
    key_file = settings.data_dir / ROOT_KEY_FILE
    waiting = staged(key_file)
    root_key = root_key_of(settings)
    if root_key is None and settings.embedded and await untouched(keycairn):
        if settings.in_memory:
            root_key = generate_root_key(None)
        else:
            await begin(keycairn, settings)
    made = None
    if settings.root_key is None and await _opens(keycairn, waiting):
        made = None if key_file.exists() else key_file
        keep_root_key(settings.data_dir)
        put_in_place(waiting, key_file)  # a first start, or a change of the root key, was cut off just before this
    elif not await keycairn.vault.unlock(root_key, accept=accept):
        return FirstRun()
    return FirstRun(root_key_file=made, token_file=await _first_token(keycairn, settings))


async def _opens(keycairn: Keycairn, file: Path) -> bool:
    """Whether the root key in a staged file opens the vault; it does where the database has taken it."""
    try:
        root_key = stored_root_key(file)
    except SettingsError:
        return False  # cut off while the file was written
    return root_key is not None and await keycairn.store.keyset() is not None and await keycairn.vault.unlock(root_key)


async def untouched(keycairn: Keycairn) -> bool:
    """Whether no secret can depend on a root key yet."""
    return await keycairn.store.keyset() is None and not await keycairn.store.any_sealed()


async def way_in(keycairn: Keycairn, settings: Settings) -> Path | None:
    """Where an admin token was put for the commands beside the service, None where there is one, or a fixed one is set.

    For a database that came from elsewhere: what its tokens are, nobody here may know. Raises DataFolderError.
    """
    with suppress(OSError, UnicodeDecodeError):
        if await keycairn.tokens.holds(Secret((settings.data_dir / FIRST_TOKEN_FILE).read_text().strip())):
            return None
    if settings.admin_token:
        return None
    await keycairn.tokens.create(RESTORED_TOKEN_NAME, (Scope.ADMIN,), by=SYSTEM, keep=_stage_token(settings))
    return keep_first_token(settings.data_dir)


def _stage_token(settings: Settings) -> Callable[[Secret], None]:
    file = staged(settings.data_dir / FIRST_TOKEN_FILE)
    return lambda text: write_private(file, text.reveal() + "\n")


async def _first_token(keycairn: Keycairn, settings: Settings) -> Path | None:
    """Where the first admin token is, when it was made by this start or by one that was cut off."""
    waiting = staged(settings.data_dir / FIRST_TOKEN_FILE)
    with suppress(OSError, UnicodeDecodeError):
        if await keycairn.tokens.holds(Secret(waiting.read_text().strip())):
            return keep_first_token(settings.data_dir)
    if await keycairn.tokens.first(_stage_token(settings)):
        return keep_first_token(settings.data_dir)
    waiting.unlink(missing_ok=True)
    return None
