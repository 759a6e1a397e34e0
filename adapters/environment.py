"""The process environment and a .env file."""

import os
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import parse_stream

from keycairn.domain.environment import Place
from keycairn.domain.errors import SettingsError
from keycairn.domain.secret import Secret

OURS = "KEYCAIRN_"


class _EnvFile(NamedTuple):
    """What a file says, and what in it says nothing."""

    values: Mapping[str, str]
    faults: tuple[str, ...]
    usable: bool = True


class ProcessEnvironment:
    """`keycairn.ports.environment.Environment` over os.environ, which it never changes, and `env_file`, where given.

    Both are read at each call. `$NAME` inside the file stays as it stands: keys may hold a dollar sign. `expected`:
    somebody named the file, so it is a fault that it is not there.
    """

    def __init__(self, env_file: Path | None = None, *, expected: bool = False) -> None:
        self._env_file = env_file
        self._expected = expected

    def variables(self) -> Mapping[str, Secret]:
        """See the port."""
        merged = {**self._file().values, **os.environ}
        return {name: Secret(value) for name, value in merged.items()}

    def places(self) -> Sequence[Place]:
        """See the port."""
        file = self._file().values
        named = [("the environment", dict(os.environ)), *([(str(self._env_file), file)] if file else [])]
        return [Place(name, {key: Secret(text) for key, text in values.items()}) for name, values in named]

    def faults(self) -> Sequence[str]:
        """See the port."""
        if self._expected and self._env_file is not None and not os.path.lexists(self._env_file):
            return (f"There is no file {self._env_file}, which KEYCAIRN_ENV_FILE names.",)
        file = self._file()
        own = sorted(name for name in file.values if name.startswith(OURS))
        if own:
            told = f"{self._env_file} sets {', '.join(own)}: settings are read from the environment, not from here."
            return (*file.faults, told)
        return file.faults

    def _file(self) -> _EnvFile:
        return _read(self._env_file) if self._env_file else _EnvFile({}, ())


def read_env_file(path: Path) -> dict[str, Secret]:
    """The variables of a file alone. Raises SettingsError where it is not there, unreadable or not UTF-8."""
    if not path.is_file():
        raise SettingsError(f"There is no file {path}.")
    file = _read(path)
    if not file.usable:
        raise SettingsError(file.faults[0])
    return {name: Secret(value) for name, value in file.values.items()}


def _read(path: Path) -> _EnvFile:
    """What can be read of a file, and a sentence on each line that cannot, which never quotes it."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return _EnvFile({}, ())
    except OSError as error:
        return _EnvFile({}, (f"The .env file {path} cannot be read: {error.strerror}.",), usable=False)
    lines = [_text(line) for line in raw.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)]
    foreign = [number for number, line in enumerate(lines, 1) if line is None]
    values: dict[str, str] = {}
    faults = [f"Line {number} of {path} is not UTF-8 text, and is left out." for number in foreign]
    for binding in parse_stream(StringIO("".join("\n" if line is None else line for line in lines))):
        if binding.error:
            said = binding.original.string
            blank = said[: len(said) - len(said.lstrip())].count("\n")  # lines that the parser puts to the next one
            faults.append(f"Line {binding.original.line + blank} of {path} is no NAME=VALUE, and is left out.")
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    return _EnvFile(values, tuple(faults), usable=not foreign)


def _text(raw: bytes) -> str | None:
    """`raw` as text. None instead of an exception, because Python's own carries the whole of it."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
