"""The process environment and a .env file."""

import os
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from keycairn.domain.environment import Place
from keycairn.domain.errors import SettingsError
from keycairn.domain.secret import Secret


class ProcessEnvironment:
    """`keycairn.ports.environment.Environment` over os.environ, which it never changes, and `env_file`, where given.

    Both are read at each call. `$NAME` inside the file stays as it stands: keys may hold a dollar sign.
    """

    def __init__(self, env_file: Path | None = None) -> None:
        self._env_file = env_file

    def variables(self) -> Mapping[str, Secret]:
        """See the port. Raises SettingsError, naming the file, when it exists but is unreadable or not UTF-8."""
        merged = {**(_read(self._env_file) if self._env_file else {}), **os.environ}
        return {name: Secret(value) for name, value in merged.items()}

    def places(self) -> Sequence[Place]:
        """See the port. Raises as `variables`."""
        file = _read(self._env_file) if self._env_file else {}
        named = [("the environment", dict(os.environ)), *([(str(self._env_file), file)] if file else [])]
        return [Place(name, {key: Secret(text) for key, text in values.items()}) for name, values in named]


def read_env_file(path: Path) -> dict[str, Secret]:
    """The variables of a file alone. Raises SettingsError, also when it is not there."""
    if not path.is_file():
        raise SettingsError(f"There is no file {path}.")
    return {name: Secret(value) for name, value in _read(path).items()}


def _read(path: Path) -> dict[str, str]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        message = f"The .env file {path} cannot be read: {error.strerror}."
        raise SettingsError(message) from error
    text = _text(raw)
    if text is None:
        message = f"The .env file {path} is not UTF-8 text."
        raise SettingsError(message)
    values = dotenv_values(stream=StringIO(text), interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def _text(raw: bytes) -> str | None:
    """`raw` as text. None instead of an exception, because Python's own carries the whole file."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
