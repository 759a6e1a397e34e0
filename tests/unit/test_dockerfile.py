"""The Dockerfile, read as the builder reads it."""

import ast
import json
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath
from threading import Thread

import pytest

from keycairn.app.settings import read_settings

ROOT = Path(__file__).parents[2]
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()
PIP_INSTALL = re.compile(r"pip install (?P<options>[^&]*)")


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, as (word, rest), continued lines joined."""
    text = "\n".join(line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#"))
    found: list[list[tuple[str, str]]] = []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            found.append([])
        if word:
            found[-1].append((word, rest.strip()))
    return found


BUILD, FINAL = stages()


def rests(word: str, stage: list[tuple[str, str]] = FINAL) -> list[str]:
    return [rest for said, rest in stage if said == word]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in rests("ENV") for pair in rest.split())


def sent_to_the_builder(path: PurePosixPath) -> bool:
    """By the rules of .dockerignore: the last pattern that matches decides."""
    verdict = True
    for line in IGNORED:
        pattern = line.removeprefix("!")
        every = pattern.startswith("**/") and any(PurePosixPath(part).match(pattern[3:]) for part in path.parts)
        if every or pattern == "*" or path.is_relative_to(pattern):
            verdict = line.startswith("!")
    return verdict


def test_only_the_first_stage_builds_and_only_its_result_is_taken_over() -> None:
    assert rests("FROM", BUILD)[0].endswith(" AS build")
    assert rests("COPY") == ["--from=build /opt/keycairn /opt/keycairn"]


@pytest.mark.parametrize("source", [name for rest in rests("COPY", BUILD) for name in rest.split()[:-1]])
def test_what_the_build_copies_is_there_and_is_sent(source: str) -> None:
    assert (ROOT / source).exists()
    assert sent_to_the_builder(PurePosixPath(source))


def test_every_folder_of_the_package_is_copied() -> None:
    copied = {name for rest in rests("COPY", BUILD) for name in rest.split()[:-1]}
    assert copied >= {"src", *(link.name for link in (ROOT / "src/keycairn").iterdir() if link.is_symlink())}


def test_no_local_state_is_sent_to_the_builder() -> None:
    for name in (
        ".env",
        ".git/config",
        ".venv/bin/python",
        "keycairn-data/root-key",
        "app/__pycache__/a.pyc",
        "tests/x",
    ):
        assert not sent_to_the_builder(PurePosixPath(name)), name


def test_everything_installed_is_held_to_the_lock_by_hash() -> None:
    installs = [match["options"].strip() for rest in rests("RUN", BUILD) for match in PIP_INSTALL.finditer(rest)]
    assert installs == [
        "--require-hashes --requirement requirements-runtime.lock",
        "--no-deps --no-build-isolation .",
    ]


def test_it_runs_as_a_numbered_user_who_owns_the_data_and_nothing_else() -> None:
    assert rests("USER") == ["10001"]
    assert "--uid 10001" in rests("RUN")[0]
    assert "--owner keycairn --group keycairn --mode 0700 /data" in rests("RUN")[0]
    assert FINAL.index(("USER", "10001")) > FINAL.index(("RUN", rests("RUN")[-1])), "nothing is built as that user"
    assert rests("VOLUME") == ["/data"]


def test_its_settings_are_ones_that_keycairn_takes() -> None:
    settings = read_settings({name: value for name, value in environment().items() if name.startswith("KEYCAIRN_")})
    assert settings.host == "0.0.0.0"
    assert settings.data_dir == Path("/data")
    assert rests("EXPOSE") == [str(settings.port)]


def test_it_asks_itself_whether_it_is_alive() -> None:
    options, _, command = rests("HEALTHCHECK")[0].partition(" CMD ")
    assert "--timeout=" in options
    interpreter, flag, program = json.loads(command)
    assert (interpreter, flag) == ("python", "-c")
    ast.parse(program)
    assert "/health/live" in program
    assert "KEYCAIRN_DATA_DIR" in program


def test_it_serves_and_gets_signals_itself() -> None:
    assert json.loads(rests("ENTRYPOINT")[0]) == ["keycairn"], "in a shell, a stop would never reach it"
    assert json.loads(rests("CMD")[0]) == ["serve"]


def test_no_secret_is_baked_in() -> None:
    assert not re.search(r"ROOT_KEY|TOKEN|PASSWORD|API_KEY", (ROOT / "Dockerfile").read_text())


class Alive(BaseHTTPRequestHandler):
    """A service on whatever port, that is asked whether it is alive."""

    def do_GET(self) -> None:  # the library's name
        self.send_response(200 if self.path == "/health/live" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_it_asks_on_the_port_it_listens_on_wherever_that_was_said(tmp_path: Path) -> None:
    command = json.loads(rests("HEALTHCHECK")[0].partition(" CMD ")[2])
    environment = {"KEYCAIRN_DATA_DIR": str(tmp_path), "KEYCAIRN_PORT": "1"}
    with HTTPServer(("127.0.0.1", 0), Alive) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "server.json").write_text(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}))
        asked = [sys.executable, *command[1:]]
        assert subprocess.run(asked, env=environment, check=False).returncode == 0  # noqa: S603  # our own
        server.shutdown()
    (tmp_path / "server.json").unlink()
    assert subprocess.run(asked, env=environment, check=False, capture_output=True).returncode != 0  # noqa: S603
