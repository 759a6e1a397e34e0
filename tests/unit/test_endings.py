"""How commands end when output is lost or a person is asked: in processes, at a terminal where it matters."""

import os
import pty
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import pytest
from tests.nights import by_day

ASK = """
import asyncio, sys
from keycairn.app.cli.group import main
from keycairn.app.cli.asking import agreed, asked
import click
@click.command("ask")
def ask():
    async def go():
        {question}
        print("went on")
    asyncio.run(go())
main.get_command = lambda context, name: ask
main(["ask"])
"""
PRINT = """
import click
from keycairn.app.cli.group import main
from keycairn.app.cli.show import print_json, say, table
@click.command("tell")
def tell():
    {what}
main.get_command = lambda context, name: tell
main(["tell"])
"""
AGREED, HIDDEN, OPEN = 'agreed("Delete it?", "Nothing was deleted.")', 'asked("Key", hidden=True)', 'asked("Name")'


def answered(question: str, typed: bytes) -> tuple[int, str]:
    """What becomes of a question at a terminal: the exit code, and what stands there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(  # noqa: S603  # our own
        [sys.executable, "-c", ASK.format(question=question)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(theirs), os.O_RDWR)),  # noqa: PLW1509  # its controlling terminal
    ) as process:
        os.close(theirs)
        told = b""
        while b":" not in told:
            told += os.read(ours, 1000)
        os.write(ours, typed)
        try:
            while piece := os.read(ours, 1000):
                told += piece
        except OSError:
            pass  # the other end is closed
        os.close(ours)
        return process.wait(20), told.decode()


@pytest.mark.parametrize("case", by_day(list(product((AGREED, HIDDEN, OPEN), (b"\x03", b"\x04"))), one_in=3), ids=str)
def test_a_question_is_ended_by_one_key_and_nothing_was_changed(case: tuple[str, bytes]) -> None:
    code, told = answered(*case)
    assert code == 130
    assert "Nothing was changed" in told
    assert "went on" not in told
    assert "Traceback" not in told


def test_a_no_is_no_wrong_use() -> None:
    code, told = answered(AGREED, b"n\n")
    assert code == 1
    assert "Nothing was deleted." in told
    assert "Usage" not in told


PRINTING = {
    "a line": 'say("kc_x")',
    "a document": "print_json({})",
    "a table": 'table(("a",), [("b",)], empty="")',
    "a word of click": 'click.echo("x")',
}


@pytest.mark.parametrize("what", by_day(PRINTING, one_in=2))
def test_output_that_cannot_be_written_is_said_and_leaves_no_trace(what: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(  # noqa: S603  # our own
            [sys.executable, "-c", PRINT.format(what=PRINTING[what])],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_reader_that_had_enough_ends_a_command_that_watches() -> None:
    watch = "import asyncio; from keycairn.app.cli.watching import pause; say('x'); asyncio.run(pause(60))"
    began = time.monotonic()
    with subprocess.Popen(  # noqa: S603  # our own
        [sys.executable, "-c", PRINT.format(what=watch)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"x\n"
        process.stdout.close()
        assert process.wait(30) == 141
        assert process.stderr.read() == b""
    assert time.monotonic() - began < 30
