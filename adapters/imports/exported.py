"""The records of an exported database: the text of `surreal export`, or JSON."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from keycairn.adapters.imports.surql import NotDataError, records, statements
from keycairn.domain.errors import UnreadableSourceError
from keycairn.domain.incoming import Refused

LARGEST_JSON = 64 * 1024 * 1024
"""Bytes."""
LONGEST_LINE = 128 * 1024 * 1024
"""Characters: an export writes a statement into one line."""
_ALSO = {"credentials": "credential", "models": "model"}


class SurqlExport:
    """The records in a file that `surreal export` wrote. It is read anew for each table, a statement at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def records(self, table: str) -> AsyncIterator[Mapping[str, Any] | Refused]:
        """See `Records`. Raises UnreadableSourceError when the file cannot be read or is no UTF-8 text."""
        for record in self._read(table):
            yield record

    def _read(self, table: str) -> Iterator[Mapping[str, Any] | Refused]:
        for statement in statements(_lines(self._file), frozenset({table})):
            where = f"{self._file.name}, line {statement.line}"
            if statement.text is None:
                yield Refused(where=where, reason="the statement is too long")
                continue
            try:
                for record in records(statement.text):
                    if str(record.get("id", "")).partition(":")[0] == table:
                        yield record
            except (NotDataError, RecursionError):
                yield Refused(where=where, reason="the statement cannot be read")


class JsonExport:
    """The records in a JSON document: an object of lists by table name, or of records by id, or a list of records.

    A list may also be the answer of the database to queries, `[{"result": [...], "status": "OK"}]`.
    """

    def __init__(self, document: object) -> None:
        self._document = document

    async def records(self, table: str) -> AsyncIterator[Mapping[str, Any] | Refused]:
        """See `Records`."""
        for name, record in self._all():
            if isinstance(record, Mapping):
                id = record.get("id", name)
                if isinstance(id, str) and id.partition(":")[0] == table:
                    yield {**record, "id": id}
            elif name == table:
                yield Refused(where=name, reason="it is no record")

    def _all(self) -> Iterator[tuple[str, object]]:
        if isinstance(self._document, list):
            yield from (("", record) for record in unwrapped(self._document))
        elif isinstance(self._document, Mapping):
            for name, value in self._document.items():
                table = _ALSO.get(str(name), str(name))
                rows: Iterable[object] = value if isinstance(value, list) else [value]
                yield from ((table, row) for row in rows)


def unwrapped(items: Iterable[object]) -> Iterator[object]:
    """The items of a list, with the records of a query's answer in place of the answer.

    An answer is an object with a `result`, or, as `surreal sql --json` prints it, the bare result: a list in the list.
    """
    for item in items:
        if isinstance(item, Mapping) and "result" in item and "id" not in item:
            item = item["result"]  # noqa: PLW2901  # what is looked at is what was wrapped
        if isinstance(item, list):
            yield from item
        else:
            yield item


def exported(file: Path) -> SurqlExport | JsonExport:
    """The records of an export. Raises UnreadableSourceError."""
    if file.suffix.lower() != ".json":
        return SurqlExport(file)
    return JsonExport(read_json(file))


def read_json(file: Path) -> Any:
    """The document in a file. Raises UnreadableSourceError, which does not quote it."""
    try:
        if file.stat().st_size > LARGEST_JSON:
            raise UnreadableSourceError(f"{file.name} is larger than {LARGEST_JSON // 1024**2} MiB.")
        return msgspec.json.decode(file.read_bytes())
    except OSError as error:
        raise UnreadableSourceError(f"{file.name} cannot be read: {error.strerror}.") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass  # raised below, so that the decoder's exception, which may quote the file, is not its context
    raise UnreadableSourceError(f"{file.name} is no JSON.")


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8-sig") as stream:
            while line := stream.readline(LONGEST_LINE):
                yield line
    except OSError as error:
        raise UnreadableSourceError(f"{file.name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        broken = True
    else:
        broken = False
    if broken:  # outside of the handler: the decoder's exception carries the file
        raise UnreadableSourceError(f"{file.name} is no UTF-8 text.")
