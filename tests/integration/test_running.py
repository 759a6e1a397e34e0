"""A suite of somebody else gets a real service, and is told at once when there is none."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from testcontainers.core.waiting_utils import WaitStrategyTarget

from keycairn.testing import NotStartedError, OpenAIServer, RunningKeycairn, running_keycairn
from keycairn.testing.container import Answering

PAGE = Path(__file__).parents[2] / "docs/testing.md"
CHAT = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def openai() -> OpenAIServer:
    return OpenAIServer()


@pytest.fixture(scope="module")
def keycairn(openai: OpenAIServer) -> Iterator[RunningKeycairn]:
    with running_keycairn(stand_ins={"openai": openai}) as running:
        yield running


def test_its_stand_ins_are_called_with_their_keys(keycairn: RunningKeycairn, openai: OpenAIServer) -> None:
    headers = {"Authorization": f"Bearer {keycairn.token_for('an application')}"}
    answer = httpx.post(f"{keycairn.url}/v1/chat/completions", headers=headers, json=CHAT)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello!"
    assert openai.requests[-1].headers["authorization"] == f"Bearer {openai.key}"


def test_further_accounts_have_their_models(keycairn: RunningKeycairn) -> None:
    id = keycairn.add("groq", name="Second", api_key="gsk_test0123456789", models={"llama-3.1-8b": "language"})
    models = keycairn.request("GET", "/api/models")
    assert [one["name"] for one in models if one["credential"] == id] == ["llama-3.1-8b"]


def test_a_refused_request_raises(keycairn: RunningKeycairn) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        keycairn.request("GET", "/api/credentials/credential:NOBODY")


def test_a_service_that_ends_says_its_last_words() -> None:
    with (
        pytest.raises(NotStartedError, match=r"(?s)exit code 2.*KEYCAIRN_EGRESS_POLICY"),
        running_keycairn(environment={"KEYCAIRN_EGRESS_POLICY": "whatever"}),
    ):
        pass


class Ended:
    """A container that has ended."""

    status = "exited"

    def reload(self) -> None:
        pass

    def get_logs(self) -> tuple[bytes, bytes]:
        return b"starting\n", b"KEYCAIRN_PORT must be a port.\n"

    def get_container_host_ip(self) -> str:
        raise AssertionError

    def get_exposed_port(self, port: int) -> int:
        raise AssertionError

    def get_wrapped_container(self) -> object:
        raise AssertionError


class Silent(Ended):
    """One that runs and does not answer."""

    status = "running"

    def get_container_host_ip(self) -> str:
        return "127.0.0.1"

    def get_exposed_port(self, port: int) -> int:
        return port


def test_a_container_that_ends_says_its_last_words_at_once() -> None:
    ended: WaitStrategyTarget = Ended()
    with pytest.raises(NotStartedError, match="KEYCAIRN_PORT must be a port"):
        Answering(8765, "/health/ready").wait_until_ready(ended)


def test_a_container_that_does_not_answer_says_its_last_words_in_the_end() -> None:
    silent: WaitStrategyTarget = Silent()
    waiting = Answering(1, "/health/ready").with_startup_timeout(1)
    with pytest.raises(NotStartedError, match=r"(?s)within 1 second.*must be a port"):
        waiting.wait_until_ready(silent)


@pytest.mark.night
def test_the_page_is_a_suite_that_passes(tmp_path: Path) -> None:
    first = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "test_mine.py").write_text(first)
    run = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "3 passed" in run.stdout, run.stdout
