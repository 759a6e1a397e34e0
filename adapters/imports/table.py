"""A plain table of keys: CSV with a header, or JSON."""

import csv
from collections.abc import AsyncIterator, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from keycairn.adapters.imports.exported import read_json
from keycairn.adapters.imports.notebook_rows import label
from keycairn.domain.errors import UnreadableSourceError
from keycairn.domain.incoming import IncomingCredential, IncomingModel, IncomingRow, Refused
from keycairn.domain.secret import Secret

LARGEST = 64 * 1024 * 1024
"""Bytes."""
_NAMES: Mapping[str, str] = {"key": "api_key", "token": "api_key", "url": "base_url", "api_base": "base_url"}
_OWN = frozenset({"provider", "name", "models", "model"})


class Table:
    """`keycairn.ports.source.ImportSource` over rows with a `provider`, perhaps a `name` and `models`, and fields.

    Every other column is a field of its provider. A row without a name is called `<provider> <row number>`.
    """

    label = "a table of keys"

    def __init__(self, lines: Iterator[tuple[str, object]]) -> None:
        self._lines = lines

    async def rows(self) -> AsyncIterator[IncomingRow]:
        """See the port. A table gives its rows once."""
        for where, line in self._lines:
            yield _row(where, line)


def read_table(file: Path) -> Table:
    """The table in a file, `.json` or CSV. Raises UnreadableSourceError when it has no such form."""
    if file.suffix.lower() == ".json":
        return Table(json_lines(read_json(file)))
    try:
        if file.stat().st_size > LARGEST:
            raise UnreadableSourceError(f"{file.name} is larger than {LARGEST // 1024**2} MiB.")
        return Table(csv_lines(file.read_bytes()))
    except OSError as error:
        raise UnreadableSourceError(f"{file.name} cannot be read: {error.strerror}.") from None


def json_lines(document: object) -> Iterator[tuple[str, object]]:
    """The rows of a JSON document: a list of objects, or an object with such a list as `credentials`."""
    rows = document.get("credentials") if isinstance(document, Mapping) else document
    if not isinstance(rows, list):
        raise UnreadableSourceError("The JSON must be a list of objects, or an object with one as `credentials`.")
    return ((f"row {number}", row) for number, row in enumerate(rows, 1))


def csv_lines(raw: bytes) -> Iterator[tuple[str, object]]:
    """The rows of a CSV document, separated by the character its header uses: comma, semicolon or tab."""
    text = _decoded(raw)
    header, _, _ = text.partition("\n")
    separator = max(",;\t", key=header.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    names = [name.strip().lower() for name in next(_read(reader), (0, []))[1]]
    if "provider" not in names or len(set(names)) != len(names):
        raise UnreadableSourceError("The first line must name the columns, `provider` among them, each once.")
    return _csv_rows(reader, names)


def _csv_rows(reader: Any, names: list[str]) -> Iterator[tuple[str, object]]:
    for number, cells in _read(reader):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"line {number}"
        if len(cells) != len(names):
            yield where, None
        else:
            yield where, dict(zip(names, cells, strict=True))


def _read(reader: Any) -> Iterator[tuple[int, list[str]]]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            break
        yield reader.line_num, cells
    raise UnreadableSourceError(f"The CSV is malformed at line {reader.line_num}.")


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass  # raised below: the decoder's exception carries the file
    raise UnreadableSourceError("The table is no UTF-8 text.")


def _row(where: str, line: object) -> IncomingRow:
    if not isinstance(line, Mapping):
        return Refused(where=where, reason="it does not have the columns that the table has")
    fields = {_NAMES.get(str(name).strip().lower(), str(name).strip().lower()): value for name, value in line.items()}
    provider, name = fields.get("provider"), fields.get("name")
    if not isinstance(provider, str) or not provider.strip() or not isinstance(name, str | None):
        return Refused(where=where, reason="it names no provider")
    values: dict[str, Secret] = {}
    for field, value in fields.items():
        if field in _OWN or value is None or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, str | int):
            return Refused(where=where, reason="one of its fields is neither text nor a whole number")
        values[field] = Secret(str(value).strip())
    models = _models(fields.get("models", fields.get("model")))
    if models is None:
        return Refused(where=where, reason="its models are no list of names")
    title = (name or "").strip() or f"{provider.strip()} {where.rpartition(' ')[2]}"
    return IncomingCredential(
        where=f"{where}: {label(provider.strip(), title, secrets=values)}",
        provider=provider,
        name=title,
        values={field: value for field, value in values.items() if value},
        models=tuple(IncomingModel(name=model) for model in models),
        unique_name=bool((name or "").strip()),
    )


def _models(value: object) -> list[str] | None:
    if isinstance(value, str):
        value = value.split()
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        return None
    return list(dict.fromkeys(item.strip() for item in value))
