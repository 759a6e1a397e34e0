"""Whether what is written to a folder outlives the container, or the machine's next start."""

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
PASSING = frozenset({"aufs", "overlay", "ramfs", "tmpfs"})
"""File systems of a container's own layer, or of memory."""

_ESCAPED = re.compile(r"\\([0-7]{3})")


def is_kept(folder: Path, mounts: Path = MOUNTS) -> bool:
    """Whether the folder lies on something that stays: a volume or a disk. True where that cannot be told.

    `mounts` has the form of proc(5), mountinfo.
    """
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return True
    folder = folder.resolve()
    found = Path(), ""
    for line in lines:
        places, _, kind = line.partition(" - ")
        fields = places.split(" ")
        if len(fields) > 4:  # the fifth is where it is mounted
            place = Path(_ESCAPED.sub(lambda code: chr(int(code[1], 8)), fields[4]))
            if folder.is_relative_to(place) and len(place.parts) >= len(found[0].parts):
                found = place, kind.split(" ")[0]  # a later one lies on top
    return found[1] not in PASSING
