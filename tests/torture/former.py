"""A store of the version before the redo log, as that version left it: closed, its audit head in a file beside it."""

import shutil
import tarfile
from pathlib import Path

from tests.torture.books import Books, Op

ARCHIVE = Path(__file__).parents[1] / "data" / "before-the-redo-log.tar.gz"

OPS: list[Op] = [
    *(
        [
            op
            for n in range(1, 7)
            for op in (["create", f"a{n}", f"sk-before-{n:06}-0123456789"], ["register", f"a{n}", f"m{n}", 3])
        ]
    ),
    ["rotate"],
    ["rename", "a2", "renamed"],
    ["delete", "a3"],
    ["move", "a4", "a5"],
    ["chat", "a1", "m1-0"],
    ["token", "t"],
    ["usage", 7],
]
"""What that version was asked to do."""


def of_the_former_version(data: Path) -> Books:
    """Unpack it, and give the books of it."""
    shutil.rmtree(data, ignore_errors=True)
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(data, filter="data")
    books = Books()
    for op in OPS:
        books.apply(op)
    return books
