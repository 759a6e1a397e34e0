"""A real Keycairn for a test suite, as a process of its own; no container engine needed."""

import asyncio
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes, token_urlsafe
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import httpx
import msgspec

from keycairn.testing.server import LocalServer

STARTUP = 60.0
"""Seconds a start may take."""
LAST_WORDS = 20
"""Lines of its log that are told when it does not start."""

_KEPT = ("PATH", "HOME", "LANG", "PYTHONPATH", "SYSTEMROOT")


class NotStartedError(Exception):
    """The service ended, or was not ready in time. The text ends with its last words."""


class RunningKeycairn:
    """A service that is ready: where it listens, and a token with every scope."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token

    @property
    def headers(self) -> dict[str, str]:
        """What a request is authorized by, with every scope."""
        return {"Authorization": f"Bearer {self.token}"}

    def request(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of an answer of the API. Raises httpx.HTTPStatusError."""
        answer = httpx.request(method, self.url + path, headers=self.headers, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def add(self, provider: str, *, name: str, models: Mapping[str, str] | None = None, **fields: object) -> str:
        """Store a credential, with models by name and type; its id. `fields` are the provider's, such as `api_key`."""
        made = self.request("POST", "/api/credentials", {"provider": provider, "name": name, **fields})
        chosen = [{"name": model, "model_type": kind} for model, kind in (models or {}).items()]
        if chosen:
            self.request("POST", f"/api/credentials/{made['id']}/register-models", {"models": chosen})
        return str(made["id"])

    def token_for(self, name: str, *scopes: str, **bounds: object) -> str:
        """A new token, such as an application has; `bounds` as `POST /api/tokens` takes them."""
        made = self.request("POST", "/api/tokens", {"name": name, "scopes": scopes or ("invoke",), **bounds})
        return str(made["token"])


@contextmanager
def running_keycairn(
    *, environment: Mapping[str, str] | None = None, stand_ins: Mapping[str, LocalServer] | None = None
) -> Iterator[RunningKeycairn]:
    """A Keycairn on a free port of this machine, with a root key, an admin token and an empty database of its own.

        with running_keycairn(stand_ins={"openai": OpenAIServer()}) as keycairn:
            OpenAI(base_url=f"{keycairn.url}/v1", api_key=keycairn.token_for("my tests"))

    `environment` are further settings. Each stand-in is started too and has a credential of its provider, named after
    it, with the models it lists. Nothing of the environment around is read. Raises NotStartedError.
    """
    with (
        TemporaryDirectory(prefix="keycairn-") as folder,
        _running(stand_ins or {}) as servers,
        _service(Path(folder), environment or {}) as keycairn,
    ):
        for provider, server in servers.items():
            fields: dict[str, Any] = {"api_key": server.key} if server.key else {}
            id = keycairn.add(provider, name=provider, base_url=server.url, **fields)
            found = keycairn.request("POST", f"/api/credentials/{id}/discover")["discovered"]
            models = [{"name": one["name"], "model_type": one["model_type"]} for one in found if one["model_type"]]
            keycairn.request("POST", f"/api/credentials/{id}/register-models", {"models": models})
        yield keycairn


@contextmanager
def _service(folder: Path, environment: Mapping[str, str]) -> Iterator[RunningKeycairn]:
    token, data, log = token_urlsafe(32), folder / "data", folder / "log"
    settings = {
        "KEYCAIRN_DATA_DIR": str(data),
        "KEYCAIRN_DATABASE_URL": "mem://",
        "KEYCAIRN_ROOT_KEY": f"base64:{b64encode(token_bytes(32)).decode()}",
        "KEYCAIRN_ADMIN_TOKEN": token,
        "KEYCAIRN_ENV_FILE": str(folder / "none"),
        "KEYCAIRN_PORT": "0",
        **environment,
    }
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH", "SYSTEMROOT") if name in os.environ
    }
    with log.open("wb") as said:
        process = subprocess.Popen(  # our own command
            [sys.executable, "-m", "keycairn", "serve"], env={**kept, **settings}, stdout=said, stderr=said, cwd=folder
        )
    try:
        yield RunningKeycairn(_ready(process, data / "server.json", log), token)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(process: "subprocess.Popen[bytes]", address: Path, log: Path) -> str:
    """Where it listens, once it is ready. Raises NotStartedError."""
    until = time.monotonic() + STARTUP
    while time.monotonic() < until:
        if process.poll() is not None:
            raise NotStartedError(f"Keycairn ended with exit code {process.returncode}:\n{_last_words(log)}")
        url = _address(address, process.pid)
        if url is not None and _answers(url):
            return url
        time.sleep(0.02)
    raise NotStartedError(f"Keycairn was not ready after {STARTUP:.0f} seconds:\n{_last_words(log)}")


def _address(file: Path, pid: int) -> str | None:
    try:
        word = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return None
    return str(word["url"]) if word.get("pid") == pid else None


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _last_words(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_WORDS:])


@contextmanager
def _running(servers: Mapping[str, LocalServer]) -> Iterator[Mapping[str, LocalServer]]:
    """Servers on a loop in a thread of their own, so that suites without one can have them."""
    if not servers:
        yield servers
        return
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    started: list[LocalServer] = []
    try:
        for server in servers.values():
            asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
            started.append(server)
        yield servers
    finally:
        for server in started:
            asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
