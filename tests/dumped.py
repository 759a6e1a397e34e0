"""Laying out bytes as programs do that show them: `hexdump`, `xxd`, `od`, uuencode, base85, numbered characters."""

import base64
import binascii
from collections.abc import Callable, Mapping


def _rows(data: bytes, width: int = 16) -> list[tuple[int, bytes]]:
    return [(place, data[place : place + width]) for place in range(0, len(data), width)]


def _shown(row: bytes) -> str:
    return "".join(chr(one) if 32 <= one < 127 else "." for one in row)


def _words(row: bytes, size: int, form: Callable[[int], str]) -> str:
    return " ".join(
        form(int.from_bytes(row[place : place + size].ljust(size, b"\0"), "little"))
        for place in range(0, len(row), size)
    )


def _hexdump(data: bytes) -> str:
    return "\n".join(
        f"{at:08x}  {row[:8].hex(' '):23}  {row[8:].hex(' '):23}  |{_shown(row)}|" for at, row in _rows(data)
    )


def _xxd(data: bytes, *, size: int = 2, width: int = 16) -> str:
    columns = width * 2 + width // size
    return "\n".join(f"{at:08x}: {row.hex(' ', -size):{columns}} {_shown(row)}" for at, row in _rows(data, width))


def _od(data: bytes, size: int, form: Callable[[int], str]) -> str:
    return "\n".join(f"{at:07o} {_words(row, size, form)}" for at, row in _rows(data))


LAYOUTS: Mapping[str, Callable[[bytes], str]] = {
    "hexdump -C": _hexdump,
    "xxd": _xxd,
    "xxd -c 8": lambda data: _xxd(data, width=8),
    "xxd -g 1": lambda data: _xxd(data, size=1),
    "xxd -g 4": lambda data: _xxd(data, size=4),
    "xxd -e": lambda data: "\n".join(
        f"{at:08x}: {_words(row, 4, '{:08x}'.format):35}  {_shown(row)}" for at, row in _rows(data)
    ),
    "od -x": lambda data: _od(data, 2, "{:04x}".format),
    "od": lambda data: _od(data, 2, "{:06o}".format),
    "od -d": lambda data: _od(data, 2, "{:5d}".format),
    "od -b": lambda data: _od(data, 1, "{:03o}".format),
    "od -t u1": lambda data: _od(data, 1, "{:3d}".format),
    "od -c": lambda data: _od(data, 1, lambda one: f"{_shown(bytes((one,))):>3}"),
    "words without offsets": lambda data: _words(data, 2, "{:04x}".format),
    "long words without offsets": lambda data: _words(data, 4, "{:08x}".format),
    "characters only": lambda data: "\n".join(f"{at:04x}  {_shown(row)}" for at, row in _rows(data)),
    "a column of the debugger": lambda data: "\n".join(
        f"0x{at + 0x7FFE1000:012x}:\t{' '.join(f'0x{one:02x}' for one in row)}" for at, row in _rows(data, 8)
    ),
    "numbered lines": lambda data: "\n".join(f"{at}: {chr(one)}" for at, one in enumerate(data) if one >= 32),
    "numbered members": lambda data: ", ".join(f"'{at}': '{chr(one)}'" for at, one in enumerate(data) if one >= 32),
    "elements of an array": lambda data: "; ".join(
        f"b[{at}] = '{chr(one)}'" for at, one in enumerate(data) if one > 32
    ),
    "uuencode": lambda data: "".join(binascii.b2a_uu(row).decode() for _, row in _rows(data, 45)),
    "base85": lambda data: base64.b85encode(data).decode(),
    "Ascii85": lambda data: base64.a85encode(data, adobe=True).decode(),
}
"""Each by the name of the program, of the bytes of a request."""
