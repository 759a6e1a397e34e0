import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from keycairn.app.logs import QUIET, configure_logs

KEY = "sk-log-0123456789-canary"


@pytest.fixture(autouse=True)
def leave_as_found() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def fail_with_a_secret_at_hand() -> None:
    secret = KEY
    raise ValueError(len(secret))


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    out, err = capsys.readouterr()
    assert out == "", "standard output is for results"
    return [json.loads(line) for line in err.splitlines()]


def test_programs_get_one_json_object_an_event(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")

    structlog.get_logger().info("started", port=8765)
    structlog.get_logger().debug("not this")
    logging.getLogger("a.library").warning("odd: %s", "shape")

    ours, theirs = lines(capsys)
    assert (ours["event"], ours["port"], ours["level"]) == ("started", 8765, "info")
    assert (theirs["event"], theirs["level"]) == ("odd: shape", "warning")
    assert str(ours["timestamp"]).endswith("Z")


def test_a_traceback_holds_no_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    for log in (structlog.get_logger(), logging.getLogger("a.library")):
        try:
            fail_with_a_secret_at_hand()
        except ValueError:
            log.exception("failed")
    told = lines(capsys)
    assert len(told) == 2
    assert all("fail_with_a_secret_at_hand" in json.dumps(line) for line in told)
    assert KEY not in json.dumps(told)


def test_a_traceback_on_a_terminal_holds_none_either(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure_logs("info")
    try:
        fail_with_a_secret_at_hand()
    except ValueError:
        structlog.get_logger().exception("failed")
    told = capsys.readouterr().err
    assert "fail_with_a_secret_at_hand" in told
    assert KEY not in told


@pytest.mark.parametrize("library", QUIET)
def test_libraries_do_not_tell_what_they_send(capsys: pytest.CaptureFixture[str], library: str) -> None:
    configure_logs("debug")
    logging.getLogger(library).info("GET https://api.example/v1/models?key=%s", KEY)
    assert lines(capsys) == []
