"""How a command ends early without being at fault: a person said no, or nobody takes what it prints."""

import errno
import os
import sys
from contextlib import suppress
from typing import IO, Any

import click

INTERRUPTED, UNREAD = 130, 141
"""Exit codes: of Ctrl-C and Ctrl-D, and of a program whose reader went away, as a shell gives them for signals."""


class EarlyEnd(click.ClickException):
    """The command ends with a sentence. `code` is for programs."""

    code = "ended"

    def show(self, file: IO[Any] | None = None) -> None:
        """Say so, without the usage of the command: nothing is wrong with what was typed."""
        click.echo(self.format_message(), file=file or sys.stderr)


class Declined(EarlyEnd):
    """A person was asked and said no."""

    code = "declined"


class Interrupted(EarlyEnd):
    """A person ended a question by Ctrl-C or Ctrl-D; questions come before anything is changed."""

    code = "interrupted"
    exit_code = INTERRUPTED

    def __init__(self) -> None:
        super().__init__("Stopped. Nothing was changed.")


class OutputLost(EarlyEnd):
    """What was to be printed cannot be: the disk is full, or whoever read it is gone."""

    code = "output_lost"

    def __init__(self, why: OSError | None, more: str = "") -> None:
        self.unread: bool = why is not None and why.errno == errno.EPIPE
        reason = (why.strerror or "it failed") if why else "it is closed"
        super().__init__(" ".join(part for part in (f"Standard output cannot be written: {reason}.", more) if part))
        self.why = why
        self.more = more

    def show(self, file: IO[Any] | None = None) -> None:
        """Say so; a reader that had enough, such as `head`, is no trouble to speak of."""
        if not self.unread or self.more:
            super().show(file)


def let_go_of_output() -> None:
    """Have what could not be written forgotten, so that the process ends without trying once more."""
    with suppress(OSError, ValueError, AttributeError):
        descriptor = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
