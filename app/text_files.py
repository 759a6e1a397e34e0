"""Small files that a person names: what is wrong with one is said in words of files."""

from pathlib import Path

from keycairn.domain.errors import SettingsError


def text_of(file: Path, named_by: str = "") -> str:
    """The text of a file, without a byte order mark.

    Raises SettingsError, which says why there is none, never with anything of the text. `named_by` is the setting that
    names the file.
    """
    prefix = f"{named_by}: " if named_by else ""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        why = "is not text in UTF-8"
    except FileNotFoundError:
        why = "does not exist"
    except IsADirectoryError:
        why = "is a folder, not a file"
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    except ValueError:
        why = "is no name a file can have"
    raise SettingsError(f"{prefix}{file} {why}.")
