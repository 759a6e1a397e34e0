"""A real SurrealDB server, where there is one.

`KEYCAIRN_TEST_SURREAL_URL` names one that runs (its root user is `root`, with the password `root`), else
`KEYCAIRN_TEST_SURREAL` names a binary; else it is `.tools/surreal` in the checkout, which `make surreal` unpacks.
"""

import atexit
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from secrets import token_hex

import httpx
import pytest

from keycairn.domain.secret import Secret

USER, PASSWORD = "root", Secret("root")
_ROOT = Path(__file__).parents[2]
_BINARY = Path(os.environ.get("KEYCAIRN_TEST_SURREAL") or _ROOT / ".tools/surreal")
_RUNNING = os.environ.get("KEYCAIRN_TEST_SURREAL_URL", "")
_NUMBERS = count()
_PATIENCE = 30
"""Seconds for a start on a busy machine; a quiet one takes 0.3."""

needs_binary = pytest.mark.skipif(
    not _BINARY.is_file(), reason="needs a SurrealDB to start and kill: KEYCAIRN_TEST_SURREAL names none"
)
needs_server = pytest.mark.skipif(
    not _BINARY.is_file() and not _RUNNING,
    reason="needs a SurrealDB server: neither KEYCAIRN_TEST_SURREAL nor KEYCAIRN_TEST_SURREAL_URL names one",
)


def has_binary() -> bool:
    """Whether a server of our own can be started."""
    return _BINARY.is_file()


class SurrealServer:
    """A process of ours, on RocksDB in `folder` unless told. It may be killed and started again, and keeps its port."""

    def __init__(self, folder: Path, *options: str, scheme: str = "ws", scheme_of_store: str = "rocksdb") -> None:
        self._folder, self._options = folder, options
        self._store = scheme_of_store
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()
        until = time.monotonic() + _PATIENCE
        while not self._answers():
            assert self._process is not None
            assert self._process.poll() is None, "the server ended"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.02)

    def launch(self) -> None:
        """Start it."""
        command = [str(_BINARY), "start", "--no-banner", "--log", "none", "--bind", f"127.0.0.1:{self.port}"]
        command += ["--user", USER, "--pass", PASSWORD.reveal(), *self._options, f"{self._store}://{self._folder}/db"]
        self._process = subprocess.Popen(  # noqa: S603  # the binary that the environment names
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # no threads yet
        )

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it hold all connections and do nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitpid(self._process.pid, os.WUNTRACED)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        if self.url.startswith("wss"):
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


@contextmanager
def surreal_server(folder: Path, *options: str, scheme: str = "ws") -> Iterator[SurrealServer]:
    """A server of a test's own."""
    server = SurrealServer(folder, *options, scheme=scheme)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@cache
def shared_url() -> str:
    """The address of a server that all tests of this process share."""
    if _RUNNING:
        return _RUNNING
    folder = tempfile.TemporaryDirectory(prefix="keycairn-surreal-")
    server = SurrealServer(Path(folder.name))
    server.start()
    atexit.register(folder.cleanup)
    atexit.register(server.kill)
    return server.url


def fresh_namespace() -> str:
    """A namespace that nobody has used."""
    return f"test_{os.getpid()}_{next(_NUMBERS)}_{token_hex(4)}"


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
