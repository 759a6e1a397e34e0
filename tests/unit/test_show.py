import re
from contextlib import redirect_stdout
from io import StringIO

import pytest

from keycairn.app.cli.show import BAD, say, table

ID = "credential:01J9ZK3V6Q8M2T4B7N5R0XWYCE"
TOKENS = ("id", "name", "scopes", "last used", "expires", "revoked")
ROW = (ID, "a name of several words", "invoke, credentials:read", "2026-11-01T10:00:00Z", "2027-01-01T00:00:00Z", None)
EVIL = "a\x1b[2J\x1b]0;title\x07b\x9bc\rd\x7f"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_names_of_strangers_do_not_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL)
    table(("name",), [(EVIL,)], empty="")
    told = capsys.readouterr().out
    assert told.count("a[2J]0;titlebcd") == 2
    assert all(char == "\n" or char.isprintable() for char in told)


def test_markup_in_a_name_has_no_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    say("[bold]x[/bold]")
    table(("name",), [("[bold]x[/bold]",)], empty="")
    assert capsys.readouterr().out.count("[bold]x[/bold]") == 2


def test_a_long_line_is_left_whole(capsys: pytest.CaptureFixture[str]) -> None:
    say("t" * 1000)
    assert capsys.readouterr().out == "t" * 1000 + "\n"


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    with redirect_stdout(Terminal()) as terminal:
        say("bad", BAD)
        say("worse", "bold red")
    assert terminal.getvalue() == "\x1b[31mbad\x1b[0m\n\x1b[31m\x1b[1mworse\x1b[0m\n"


def test_no_colours_for_those_who_want_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with redirect_stdout(Terminal()) as terminal:
        say("bad", BAD)
    assert terminal.getvalue() == "bad\n"


def test_a_table_without_rows_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    table(("name",), [], empty="There is none.")
    assert capsys.readouterr().out == "There is none.\n"


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_nothing_of_a_table_is_cut_off_or_broken_within_a_word(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    with redirect_stdout(Terminal()) as terminal:
        table(TOKENS, [ROW, ROW], empty="")
    told = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())
    assert max(len(line.rstrip()) for line in told.splitlines()) <= width
    for word in (*ROW[1].split(), ID, ROW[3], ROW[4], "expires"):
        assert told.count(str(word)) >= 2 or word == "expires"
    assert "expires" in told


@pytest.mark.parametrize("width", [60, 80])
def test_a_sentence_breaks_between_words(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    sentence = "  Nothing is stored here, and no service runs on this machine, so there is nothing to be shown. " * 3
    with redirect_stdout(Terminal()) as terminal:
        say(sentence.rstrip())
        say("kc_" + "t" * 200)
    *lines, token = terminal.getvalue().splitlines()
    assert all(len(line) <= width and line.startswith("  ") for line in lines)
    assert " ".join(terminal.getvalue().split()).startswith(" ".join(sentence.split()))
    assert token == "kc_" + "t" * 200
