"""The file in which a Keycairn without a redo log kept the head of the audit chain."""

import re
from pathlib import Path

from keycairn.domain.audit import Head
from keycairn.domain.errors import DamagedAnchorError, StoreError

_LINE = re.compile(r"([1-9][0-9]{0,18}) ([0-9a-f]{64})\n", re.ASCII)


def former_head(file: Path | None) -> Head | None:
    """The head in `file`, None without one. Raises DamagedAnchorError when it cannot be read."""
    if file is None:
        return None
    try:
        match = _LINE.fullmatch(file.read_text("ascii"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        match = None
    if match is None:
        raise DamagedAnchorError(str(file))
    return Head(int(match[1]), match[2])


def forget_former(file: Path | None) -> None:
    """Remove the file: the redo log remembers what it said. Raises StoreError when it cannot be removed."""
    if file is None:
        return
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{file} cannot be removed: {error.strerror}.") from None
