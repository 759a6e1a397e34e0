"""Which Keycairn the commands talk to, where one is named: by an option, a variable, or the last `keycairn login`."""

import os
import stat
from pathlib import Path
from urllib.parse import urlsplit

import click
import msgspec
from msgspec import Struct

from keycairn.app.cli.service_options import TOKEN_FILE, URL
from keycairn.app.data_folder import write_private
from keycairn.app.settings import Settings
from keycairn.app.text_files import text_of
from keycairn.domain.errors import DataFolderError, SettingsError
from keycairn.domain.secret import Secret

_DECIDES = ("KEYCAIRN_DATA_DIR", "KEYCAIRN_DATABASE_URL")


class Remembered(Struct, frozen=True):
    """A service that `keycairn login` remembers."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"Remembered({self.url!r})"


class NamedService(Struct, frozen=True):
    """A service that was named, with its token where that is known."""

    url: str
    token: Secret | None = None


def named() -> NamedService | None:
    """The service of `--url`, of KEYCAIRN_URL, else that of the last login; None where a data folder decides.

    Raises SettingsError for an address that is none, and for a login that others can read.
    """
    url = _option(URL) or os.environ.get("KEYCAIRN_URL", "").strip()
    if url:
        return NamedService(checked_url(url))
    if any(os.environ.get(name, "").strip() for name in _DECIDES):
        return None
    kept = remembered()
    return None if kept is None else NamedService(kept.url, Secret(kept.token))


def said_token() -> Secret | None:
    """The token of `--token-file`, of KEYCAIRN_TOKEN or of KEYCAIRN_TOKEN_FILE. Raises SettingsError."""
    file = _option(TOKEN_FILE)
    if not file:
        if given := os.environ.get("KEYCAIRN_TOKEN", "").strip():
            return checked_token(given, "KEYCAIRN_TOKEN")
        file = os.environ.get("KEYCAIRN_TOKEN_FILE", "").strip()
    return checked_token(text_of(Path(file)), file) if file else None


def checked_url(url: str) -> str:
    """The address of a service. Raises SettingsError."""
    try:
        parsed = urlsplit(url)
        usable = parsed.scheme in {"http", "https"} and bool(parsed.hostname) and parsed.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parsed.netloc or parsed.query or not url.isprintable() or " " in url:
        where = "--url" if _option(URL) else "KEYCAIRN_URL"
        raise SettingsError(f"{where} must look like https://keycairn.example:8765.")
    return url


def checked_token(text: str, where: str) -> Secret:
    """A token as a header can carry it. Raises SettingsError."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise SettingsError(f"{where} holds characters no token has.")
    return Secret(token)


def remember(service: Remembered) -> Path:
    """Keep a service for the commands to come, in a file that only its owner can read; the file.

    Raises SettingsError where there is no home folder, or nothing can be written to it.
    """
    file = _login_file()
    if file is None:
        raise SettingsError("There is no home folder to keep this in: set HOME, or name the service with KEYCAIRN_URL.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(file, msgspec.json.encode(service).decode() + "\n")
    except (OSError, DataFolderError):
        raise SettingsError(f"{file} cannot be written.") from None
    return file


def forget() -> Path | None:
    """Remove what `remember` kept; the file, None where there was none."""
    file = _login_file()
    if file is None or not file.exists():
        return None
    file.unlink()
    return file


def remembered() -> Remembered | None:
    """The service of the last login. Raises SettingsError for a file that others can read, or that is none of ours."""
    file = _login_file()
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if status.st_uid != os.geteuid() or status.st_mode & 0o077 or not stat.S_ISREG(status.st_mode):
                raise SettingsError(f"{file} holds a token and is not yours alone. Run: chmod 600 {file}")
            kept = msgspec.json.decode(stream.read(), type=Remembered)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        raise SettingsError(f"{file} cannot be read. Log in again: keycairn login URL") from None
    return kept


def is_default(settings: Settings) -> bool:
    """Whether nobody said which data folder or database is meant, and the usual one is not here."""
    return not any(os.environ.get(name, "").strip() for name in _DECIDES) and not settings.data_dir.exists()


def _option(name: str) -> str:
    context = click.get_current_context(silent=True)
    return str(context.meta.get(name) or "") if context is not None else ""


def _login_file() -> Path | None:
    folder = user_folder("XDG_CONFIG_HOME", ".config")
    return folder / "login.json" if folder else None


def user_folder(variable: str, usual: str) -> Path | None:
    """The folder of Keycairn's own below one of the user's (XDG base directories), None without a home."""
    given, home = os.environ.get(variable, "").strip(), os.environ.get("HOME", "").strip()
    if given.startswith("/"):
        return Path(given) / "keycairn"
    return Path(home) / usual / "keycairn" if home.startswith("/") else None
