"""How commands ask a person. Questions go to standard error, and come before anything is changed."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from keycairn.app.cli.endings import Declined, Interrupted

_T = TypeVar("_T")


def asked(question: str, *, hidden: bool = False, default: object = None, choices: Sequence[str] = ()) -> str:
    """What a person types, not shown where it is `hidden`. Raises Interrupted for Ctrl-C and Ctrl-D."""
    kind = click.Choice(choices) if choices else None
    return str(
        _question(
            lambda: click.prompt(
                question, hide_input=hidden, default=default, type=kind, err=True, show_default=default != ""
            )
        )
    )


def agreed(question: str, otherwise: str) -> None:
    """Ask whether to go on. Raises Declined, with the sentence `otherwise`, for a no; Interrupted as `asked`."""
    if not _question(lambda: click.confirm(question, err=True)):
        raise Declined(otherwise)


def _question(ask: Callable[[], _T]) -> _T:
    try:
        with _interrupted_at_once():
            return ask()
    except click.Abort:
        raise Interrupted from None


@contextmanager
def _interrupted_at_once() -> Iterator[None]:
    """Ctrl-C ends a question. asyncio would only have it noted until the question is answered."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Any = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
