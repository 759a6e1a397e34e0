"""Running what a plugin does while it is loaded: within a time limit, and with the cause of what goes wrong."""

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import FrameSummary, extract_tb
from typing import Generic, TypeVar

from keycairn.domain.errors import PluginError
from keycairn.plugins.declared import word

_ABSTRACT = re.compile(
    r"Can't instantiate abstract class (\w+) with(?:out an implementation for)? abstract methods? (.+)"
)
_HERE = str(Path(__file__).parent)
_T = TypeVar("_T")


class _Box(Generic[_T]):
    """What came out of a thread."""

    def __init__(self) -> None:
        self.values: list[_T] = []
        self.failure: str | None = None


def in_time(call: Callable[[], _T], limit: float, what: str) -> _T:
    """What `call` gives, within `limit` seconds; raises PluginError.

    It runs in a daemon thread: one that hangs is left behind and does not keep the process from ending.
    """
    box: _Box[_T] = _Box()

    def run() -> None:
        try:
            box.values.append(call())
        except PluginError as error:
            box.failure = str(error)
        except BaseException as error:  # noqa: BLE001  # a plugin may even call sys.exit while it is imported
            box.failure = f"{what[0].upper()}{what[1:]} failed: {cause(error)}"

    thread = threading.Thread(target=run, name="keycairn-plugin", daemon=True)
    thread.start()
    thread.join(limit)
    if box.failure is not None:
        raise PluginError(box.failure)
    if not box.values:
        raise PluginError(f"{what[0].upper()}{what[1:]} took longer than {limit:g} seconds.")
    return box.values[0]


def cause(error: BaseException) -> str:
    """Type and place of an exception, in words of ours. Its text may quote the environment."""
    kind = word(type(error).__name__) or "Exception"
    if isinstance(error, SyntaxError):
        return f"{kind} at {Path(error.filename or '?').name}:{error.lineno}"
    what = _missing(error) if isinstance(error, ImportError) else _abstract(error)
    frames = list(extract_tb(error.__traceback__))
    said = f"{kind}: {what}" if what else kind
    if isinstance(error, ImportError) and what:
        return said
    if not frames:
        return said
    own = next(_theirs(frames), frames[-1])
    within = "" if own == frames[-1] or what else f", called at {_place(own)}"
    return f"{said} at {_place(own if what else frames[-1])}{within}"


def _theirs(frames: list[FrameSummary]) -> Iterator[FrameSummary]:
    """The frames that are none of the machinery that loads a plugin, from the outermost on."""
    return (frame for frame in frames if not _machinery(frame.filename))


def _machinery(file: str) -> bool:
    return file.startswith(("<frozen", _HERE)) or not {"importlib", "pluggy"}.isdisjoint(Path(file).parts)


def _place(frame: FrameSummary) -> str:
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _missing(error: ImportError) -> str:
    """What an import did not find, said in words of ours."""
    module, name = word(error.name), word(getattr(error, "name_from", None))
    if module and name:
        return f"cannot import name {name!r} from {module!r}"
    return f"No module named {module!r}" if module and isinstance(error, ModuleNotFoundError) else ""


def _abstract(error: BaseException) -> str:
    """Which methods a class lacks that was made an object, read from what Python says of it."""
    match = _ABSTRACT.fullmatch(str(error.args[0])) if type(error) is TypeError and error.args else None
    if match is None:
        return ""
    names = [name for name in re.findall(r"\w+", match[2]) if word(name)]
    return f"{match[1]} lacks {', '.join(names)}"
