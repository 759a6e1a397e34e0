"""What differs between SurrealDB 2.x and 3.x. Everything else in this package is written to run on both.

What is avoided for their sake: FLEXIBLE (its place in the statement moved), UNIQUE over an optional field (3.x takes
every NONE as different), reading a table before it is defined (an error on 3.x), fields the schema does not know (2.x
drops them without a word).
"""

import re

from keycairn.domain.errors import StoreError

LAST = "\U0010ffff" * 32
"""Behind the key of every record that Keycairn makes."""
_VERSION = re.compile(r"(?:surrealdb-)?v?(\d+)\.")


class EngineDialect:
    """The spellings of one major version."""

    def __init__(self, major: int) -> None:
        self._record = "type::thing" if major == 2 else "type::record"  # the version's own number

    def after(self, table: str, key: str) -> str:
        """The records of `table` in the order of their keys, from behind `key`, which is a bound variable's name."""
        return f"{self._record}('{table}', {key}>..)"

    def between(self, table: str, key: str, last: str) -> str:
        """The same up to `last`, another bound variable's name."""
        return f"{self._record}('{table}', {key}>..={last})"

    def ours(self, table: str, key: str) -> str:
        """The same of those whose keys Keycairn may have made: text that is not empty."""
        return f"{self._record}('{table}', {key}>..'{LAST}')"

    def strange(self, table: str) -> tuple[str, str]:
        """All others: numbers stand before text, identifiers, lists and objects behind it."""
        return f"{self._record}('{table}', ..='')", f"{self._record}('{table}', '{LAST}'..)"


def dialect_of(version: str) -> EngineDialect:
    """The dialect of a server that calls itself `version`, such as `surrealdb-2.3.10`. Raises StoreError."""
    match = _VERSION.match(version)
    if match is None or int(match[1]) not in {2, 3}:
        raise StoreError("This database is not a SurrealDB 2.x or 3.x.")
    return EngineDialect(int(match[1]))
