"""Variables, time and ids as the process supplies them."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from tests.fakes import NOON, FakeClock, FakeEnvironment, FakeIds
from ulid import ULID

from keycairn.adapters.clock import SystemClock
from keycairn.adapters.environment import ProcessEnvironment, read_env_file
from keycairn.adapters.ids import UlidIds
from keycairn.domain.errors import SettingsError
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.environment import Environment

NAME = "A_TEST_VARIABLE"


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def values(environment: Environment) -> dict[str, str]:
    return {name: secret.reveal() for name, secret in environment.variables().items()}


@pytest.fixture(params=["process", "fake"])
def empty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Environment, Callable[..., None]]:
    if request.param == "process":
        monkeypatch.delenv(NAME, raising=False)
        return ProcessEnvironment(None), monkeypatch.setenv
    fake = FakeEnvironment()
    return fake, fake.values.__setitem__


def test_variables_are_as_they_are_now_and_masked(empty: tuple[Environment, Callable[..., None]]) -> None:
    environment, put = empty
    assert NAME not in environment.variables()
    put(NAME, "sk-canary")
    assert values(environment)[NAME] == "sk-canary"
    assert "sk-canary" not in repr(environment.variables())


def test_a_missing_file_adds_nothing(env_file: Path) -> None:
    assert values(ProcessEnvironment(env_file)) == dict(os.environ)


def test_the_file_is_read_at_each_call_and_leaves_the_process_alone(env_file: Path) -> None:
    environment = ProcessEnvironment(env_file)
    before = dict(os.environ)
    env_file.write_text(f"{NAME}=one\n", encoding="utf-8")
    assert values(environment)[NAME] == "one"
    env_file.write_text(f"{NAME}=two\n", encoding="utf-8")
    assert values(environment)[NAME] == "two"
    env_file.unlink()
    assert NAME not in values(environment)
    assert dict(os.environ) == before


@pytest.mark.parametrize("said", ["from the process", ""])
def test_the_process_wins_even_with_an_empty_value(env_file: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    env_file.write_text(f"{NAME}=from the file\n", encoding="utf-8")
    monkeypatch.setenv(NAME, said)
    assert values(ProcessEnvironment(env_file))[NAME] == said


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("{}=sk-$HOME-${{HOME}}", "sk-$HOME-${HOME}"),
        ('{}="sk-${{HOME}}"', "sk-${HOME}"),
        ("export {}=sk-1", "sk-1"),
        ("{}='sk 1 # 2'", "sk 1 # 2"),
        ("{}=sk-1 # a remark", "sk-1"),
        ("{}=", ""),
        ("{}=schlüssel", "schlüssel"),
        ("\ufeff{}=after a byte order mark", "after a byte order mark"),
        ("{}=one\r\n", "one"),
    ],
)
def test_lines_are_read_as_dotenv_files_are_without_filling_in_variables(env_file: Path, line: str, value: str) -> None:
    env_file.write_bytes(line.format(NAME).encode())
    assert values(ProcessEnvironment(env_file))[NAME] == value


def test_a_name_without_a_value_is_no_variable(env_file: Path) -> None:
    env_file.write_text(f"{NAME}\n", encoding="utf-8")
    assert NAME not in values(ProcessEnvironment(env_file))


def test_a_line_that_is_not_utf8_is_left_out_and_named_and_the_others_are_read(env_file: Path) -> None:
    env_file.write_bytes(b"FIRST=sk-canary\xff\n" + NAME.encode() + b"=sk-2\n")
    environment = ProcessEnvironment(env_file)
    assert values(environment)[NAME] == "sk-2"
    assert "FIRST" not in values(environment)
    assert environment.faults() == (f"Line 1 of {env_file} is not UTF-8 text, and is left out.",)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "cp1252"])
def test_another_encoding_stops_nothing(env_file: Path, encoding: str) -> None:
    env_file.write_bytes(f"{NAME}=sk-canary-é\n".encode(encoding))
    environment = ProcessEnvironment(env_file)
    assert NAME not in values(environment)
    assert str(env_file) in environment.faults()[0]
    assert not any("canary" in fault for fault in environment.faults())


def test_a_file_alone_that_is_not_utf8_is_refused_by_line(env_file: Path) -> None:
    env_file.write_bytes(NAME.encode() + b"=sk-canary\xff\n")
    with pytest.raises(SettingsError, match="Line 1 of") as refusal:
        read_env_file(env_file)
    assert "canary" not in str(refusal.value)
    assert refusal.value.__cause__ is refusal.value.__context__ is None


def test_a_folder_in_the_files_place_adds_nothing_and_is_named(env_file: Path) -> None:
    env_file.mkdir()
    environment = ProcessEnvironment(env_file)
    assert values(environment) == dict(os.environ)
    assert [str(env_file) in fault and "cannot be read" in fault for fault in environment.faults()] == [True]


@pytest.mark.parametrize("line", ["this is no line", 'KEY="never closed', "=sk-canary", "KEY = 'a' b"])
def test_a_line_that_is_none_is_named_by_its_number_and_not_quoted(env_file: Path, line: str) -> None:
    env_file.write_text(f"{NAME}=one\n\n \n{line}\n", encoding="utf-8")
    environment = ProcessEnvironment(env_file)
    assert values(environment)[NAME] == "one"
    assert environment.faults() == (f"Line 4 of {env_file} is no NAME=VALUE, and is left out.",)


def test_a_file_that_was_named_and_is_not_there_is_told_of(env_file: Path) -> None:
    assert ProcessEnvironment(env_file).faults() == ()
    assert "KEYCAIRN_ENV_FILE" in ProcessEnvironment(env_file, expected=True).faults()[0]


def test_settings_in_the_file_are_told_to_be_none(env_file: Path) -> None:
    env_file.write_text("KEYCAIRN_PORT=1\nKEYCAIRN_ROOT_KEY=passphrase:canary\n", encoding="utf-8")
    [told] = ProcessEnvironment(env_file).faults()
    assert "KEYCAIRN_PORT, KEYCAIRN_ROOT_KEY" in told
    assert "canary" not in told


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock(step=1)], ids=["system", "fake"])
def test_time_is_aware_in_utc_and_does_not_run_backwards(clock: Clock) -> None:
    readings = [(clock.monotonic(), clock.now()) for _ in range(100)]
    assert readings == sorted(readings)
    assert all(now.tzinfo is UTC for _, now in readings)


def test_a_fake_clock_moves_when_it_is_told() -> None:
    clock = FakeClock()
    assert clock.now() == clock.now() == NOON
    clock.tick(90)
    assert (clock.now(), clock.monotonic()) == (NOON + timedelta(seconds=90), 90)


@pytest.mark.parametrize("ids", [UlidIds(), FakeIds()], ids=["ulid", "fake"])
class TestIds:
    def test_each_names_its_table_and_carries_a_ulid(self, ids: Ids) -> None:
        for record, table in ((ids.credential(), "credential"), (ids.model(), "model"), (ids.event(), "event")):
            prefix, _, key = record.partition(":")
            assert prefix == table
            assert str(ULID.from_str(key)) == key

    def test_later_ids_sort_after_earlier_ones(self, ids: Ids) -> None:
        made = [ids.event() for _ in range(5000)]
        assert made == sorted(set(made))

    def test_a_token_has_32_bytes_of_its_own(self, ids: Ids) -> None:
        tokens = [ids.token() for _ in range(100)]
        assert {len(random) for _, random in tokens} == {32}
        assert len({random for _, random in tokens}) == len({key for key, _ in tokens}) == 100


def test_ids_of_many_threads_are_all_different() -> None:
    ids = UlidIds()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ids.event(), range(4000)))
    assert len(set(made)) == 4000


def test_ids_go_on_upwards_when_the_clock_was_set_back() -> None:
    ids = UlidIds()
    ids._last = int.from_bytes(ULID.from_timestamp(ULID().timestamp + 3600).bytes, "big")
    ahead = ULID.from_bytes(ids._last.to_bytes(16, "big"))
    assert ids.event() > f"event:{ahead}"
    assert ids.event() < ids.event()
