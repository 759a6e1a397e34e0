"""The data folder: the files in it, what they tell of a former database, and that nobody else can read them.

A file that others rely on is staged first, as `<name>.next`, and gets its name when the database has taken what it
holds. What a stopped process left staged is decided by the database at the next start.
"""

import os
import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from keycairn.app.settings import Settings
from keycairn.domain.errors import DataFolderError, RootKeyError, SettingsError
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.secret import Secret

ROOT_KEY_FILE = "root-key"
FIRST_TOKEN_FILE = "first-token"  # noqa: S105  # a file's name
ANCHOR_FILE = "audit-head"
SERVER_FILE = "server.json"
SIGN_IN_FILE = "sign-in.html"
"""Leads a browser to the link that signs in once."""
DATABASE_FILE = "database"
"""Says where the database is, so that one that is gone is missed."""
BACKUPS = "backups"
STAGED = ".next"
"""Ends the name of the file a root key or a first token waits in until the database has taken it."""
FORMER = ".former-"
"""Stands in the name of a file that was put aside, before the time."""
_WRITING = ".writing"


def make_private(folder: Path) -> None:
    """Make a folder only its owner can enter, where there is none. Raises SettingsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(f"KEYCAIRN_DATA_DIR is {folder}, which cannot be made: {error.strerror}.") from None


def write_private(file: Path, text: str) -> None:
    """Write a file only its owner can read: all of it, and on the disk, or not at all. Raises DataFolderError."""
    draft = file.with_name(file.name + _WRITING)
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        put_in_place(draft, file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise DataFolderError(file, error) from None


def put_in_place(staged: Path, file: Path) -> None:
    """Give a staged file its name, for good. Raises OSError."""
    staged.replace(file)
    descriptor = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_aside(file: Path) -> Path | None:
    """Keep a file under another name, so that its own is free; the name, None without the file.

    Raises DataFolderError.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = file.with_name(f"{file.name}{FORMER}{stamp}")
    try:
        put_in_place(file, aside)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataFolderError(file, error) from None
    import structlog  # noqa: PLC0415  # 50 ms, for a line that is hardly ever written

    structlog.get_logger().warning("a file of a former database was kept aside", file=str(file), kept=str(aside))
    return aside


def staged(file: Path) -> Path:
    """Where a file waits."""
    return file.with_name(file.name + STAGED)


def keep_root_key(data_dir: Path) -> Path | None:
    """Keep the root key of the data folder under another name besides, for backups of its time need it; that name.

    None where there is none, or a copy of it is there. Raises DataFolderError.
    """
    file = data_dir / ROOT_KEY_FILE
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = file.with_name(f"{file.name}{FORMER}{stamp}")
    try:
        text = file.read_text()
        if any(each.read_text() == text for each in data_dir.glob(f"{ROOT_KEY_FILE}{FORMER}*")):
            return None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DataFolderError(file, error if isinstance(error, OSError) else OSError(str(error.reason))) from None
    write_private(aside, text)
    return aside


def former_root_keys(data_dir: Path) -> list[RootKey]:
    """The root keys that were kept in the data folder, the youngest first. Raises SettingsError for an unusable one."""
    files = sorted(data_dir.glob(f"{ROOT_KEY_FILE}{FORMER}*"), reverse=True)
    keys = (stored_root_key(file) for file in files)
    return [key for key in keys if key is not None]


def use_root_key(data_dir: Path, root_key: RootKey) -> Path | None:
    """Make `root_key` that of the data folder; the one that is there is kept, and named. Raises DataFolderError."""
    kept = keep_root_key(data_dir)
    write_private(data_dir / ROOT_KEY_FILE, f"{root_key.form}:{root_key.material.reveal()}\n")
    return kept


def stored_root_key(file: Path) -> RootKey | None:
    """The root key in a file, None without the file. Raises SettingsError for one that cannot be used."""
    try:
        return parse_root_key(Secret(file.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, RootKeyError):
        raise SettingsError(
            f"The root key in {file} cannot be read or used. Restore the file from your copy."
        ) from None


def generate_root_key(file: Path | None) -> RootKey:
    """A new root key, written to `file` where one is given. Raises DataFolderError."""
    text = "base64:" + b64encode(secrets.token_bytes(32)).decode()
    if file is not None:
        write_private(file, text + "\n")
    return parse_root_key(Secret(text))


def staged_root_key(data_dir: Path) -> RootKey:
    """A new root key, which waits in the data folder until the database is there that needs it.

    One that lies there already is replaced: a database made with it would be there, and whoever put it there would have
    the key of a new one. Raises DataFolderError.
    """
    return generate_root_key(staged(data_dir / ROOT_KEY_FILE))


def root_key_of(settings: Settings) -> RootKey | None:
    """The root key that is set, else the one in the data folder, None without either. Raises SettingsError."""
    return settings.root_key or stored_root_key(settings.data_dir / ROOT_KEY_FILE)


def keep_first_token(data_dir: Path) -> Path:
    """Give the staged first token its name; one that is there is put aside. Raises DataFolderError."""
    file = data_dir / FIRST_TOKEN_FILE
    put_aside(file)
    try:
        put_in_place(staged(file), file)
    except OSError as error:
        raise DataFolderError(file, error) from None
    return file


def forget_first_token(data_dir: Path) -> None:
    """Remove the first token of a database that ends with the process."""
    with suppress(OSError):
        (data_dir / FIRST_TOKEN_FILE).unlink(missing_ok=True)


def note_database(settings: Settings) -> None:
    """Leave word of where the database is. Raises DataFolderError."""
    file, text = settings.data_dir / DATABASE_FILE, f"{settings.store_url}\n"
    if settings.in_memory:
        return
    with suppress(OSError, UnicodeDecodeError):
        if file.read_text() == text:
            return
    write_private(file, text)


def traces(settings: Settings) -> Iterator[Path]:
    """What shows that the data folder had a database before, the surest first.

    A root key counts where none is set otherwise: who sets one may keep its file here before there is a database.
    """
    folder = settings.data_dir
    names = [DATABASE_FILE, ANCHOR_FILE, FIRST_TOKEN_FILE]
    if settings.embedded:  # a service on a database server leaves it before anything is stored there, too
        names.append(SERVER_FILE)
        yield from sorted(folder.glob("*.redo"))
    if settings.root_key is None:
        names.append(ROOT_KEY_FILE)
    yield from (file for file in (folder / name for name in names) if os.path.lexists(file))
    for pattern in (f"{ROOT_KEY_FILE}.lost-*", f"{BACKUPS}/*.backup.gz"):
        yield from sorted(folder.glob(pattern))


def forget_former_database(settings: Settings) -> None:
    """Put aside what belongs to a database that is no more. The root key stays: it may open backups.

    Raises DataFolderError.
    """
    for name in (ANCHOR_FILE, FIRST_TOKEN_FILE):
        put_aside(settings.data_dir / name)
