"""Write docs/errors.md from the classes of `keycairn.domain.errors` and the statuses of `keycairn.app.statuses`."""

import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from keycairn.app.statuses import api_status, gateway_status
from keycairn.domain import errors
from keycairn.domain.errors import KeycairnError

PAGE = Path(__file__).parents[1] / "docs/errors.md"
SUBJECTS = (
    *("root", "input", "records", "access", "keys", "store"),
    *("backups", "providers", "key_rotations", "gateway", "requests", "starting", "commands"),
)
HEAD = """# Errors

Written by `make docs` from the classes themselves; a test compares.

Every error has a `code` that stays the same: match on it, not on the sentence beside it, which is for people. Under
`/api` an error is an `application/problem+json` document with `code`, `status`, `detail`, `errors` where fields are
at fault, and `event` where an audit event tells what became of a change. On the gateway's paths it has the form of the
API that is spoken there, and the code also stands in the header `x-keycairn-error`. In Python, errors are raised as the
class named last, from `keycairn.domain.errors`; commands print the sentence and end with exit code 1, or 2 where
something has to be put right before anything can be done.

Where the API and the gateway give different statuses, both are named. Without a number, it is the answer to no request.
"""


def classes(subject: ModuleType) -> Iterator[type[KeycairnError]]:
    """The errors of one file, as they stand in it."""
    for member in vars(subject).values():
        if inspect.isclass(member) and issubclass(member, KeycairnError) and member.__module__ == subject.__name__:
            yield member


def row(error: type[KeycairnError]) -> str:
    """One line of a table. Raises ValueError for an error that does not say what to do itself."""
    if "remedy" not in vars(error):
        message = f"{error.__name__} has no remedy of its own."
        raise ValueError(message)
    meaning = " ".join((inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0]).split())
    cells = (f"`{error.code}`", status(error), meaning, error.remedy, f"`{error.__name__}`")
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def status(error: type[KeycairnError]) -> str:
    """The statuses of an error; 500 stands for none, but at the root."""
    api, gateway = api_status(error), gateway_status(error)
    if error is KeycairnError or api == gateway:
        return "" if api == 500 and error is not KeycairnError else str(api)
    return ", ".join(f"{where} {number}" for where, number in (("API", api), ("gateway", gateway)) if number != 500)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name in SUBJECTS:
        subject = import_module(f"{errors.__name__}.{name}")
        parts.append(f"## {(subject.__doc__ or '').strip().rstrip('.')}\n\n`domain/errors/{name}.py`\n")
        rows = "\n".join(row(error) for error in classes(subject))
        parts.append(f"| code | status | meaning | what to do | class |\n|-|-|-|-|-|\n{rows}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"{PAGE}\n")
