"""The whole story, played on a real Keycairn against local servers that speak three providers' formats.

    make demo

One line a step; the first untrue one ends it with exit code 1.
"""

import asyncio
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from esperanto import AIFactory
from esperanto.common_types import ChatCompletion

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.canary import scan
from tests.servers.anthropic_api import AnthropicServer
from tests.servers.ollama_api import OllamaServer

from keycairn.app import Settings, Slot, open_keycairn
from keycairn.testing.openai_server import OpenAIServer

SECOND = "Second account"
FOUND = ["anthropic_compatible", "ollama", "openai_compatible"]
"""What the environment holds: an address of one's own makes an account of a compatible server."""
PATIENCE = 20.0
"""Seconds the service may take to start or to stop."""


class UntrueError(Exception):
    """A step did not turn out as it should."""


def step(said: str, true: object, *, seen: object = "") -> None:
    """Say a step that is true; raise UntrueError for one that is not."""
    if not true:
        raise UntrueError(f"{said} (seen: {seen})" if seen != "" else said)
    print(f"  ok  {said}", flush=True)


def fresh_key(prefix: str) -> str:
    """A key nobody has seen yet."""
    return f"{prefix}-{secrets.token_urlsafe(24)}"


class Service:
    """A `keycairn serve` of its own, on a data folder."""

    def __init__(self, data: Path, variables: dict[str, str]) -> None:
        self.data = data
        self._variables = variables
        self._process: asyncio.subprocess.Process | None = None
        self.http = httpx.AsyncClient(timeout=PATIENCE, trust_env=False)

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
        variables = {**kept, **self._variables, "KEYCAIRN_DATA_DIR": str(self.data), "KEYCAIRN_PORT": str(port)}
        with (self.data.parent / "service.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("keycairn")),
                "serve",
                env=variables,
                cwd=self.data.parent,
                stdout=log,
                stderr=log,
            )
        self.http.base_url = httpx.URL(f"http://127.0.0.1:{port}")
        for _ in range(int(PATIENCE * 20)):
            try:
                if (await self.http.get("/health/ready")).is_success:
                    break
            except httpx.TransportError:
                await asyncio.sleep(0.05)
        token = (self.data / "first-token").read_text().strip()
        self.http.headers["Authorization"] = f"Bearer {token}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid if self._process else 0

    async def stop(self) -> int:
        """Stop it as an operator would; its exit code."""
        if self._process is None or self._process.returncode is not None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self._process.wait(), PATIENCE)

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """The decoded answer of a call that has to succeed."""
        answer = await self.http.request(method, path, json=body)
        if answer.is_error:
            raise UntrueError(f"{method} {path} answered {answer.status_code}: {answer.text}")
        return answer.json()


@asynccontextmanager
async def serving(data: Path, variables: dict[str, str]) -> AsyncIterator[Service]:
    """A started service, stopped at the end whatever happens."""
    service = Service(data, variables)
    try:
        await service.start()
        yield service
    finally:
        await service.stop()
        await service.http.aclose()


async def play(folder: Path) -> None:
    """The story."""
    keys = {name: fresh_key(prefix) for name, prefix in (("openai", "sk"), ("anthropic", "sk-ant"))}
    async with (
        OpenAIServer(key=keys["openai"]) as openai,
        AnthropicServer(key=keys["anthropic"]) as anthropic,
        OllamaServer() as ollama,
    ):
        variables = {
            "OPENAI_API_KEY": keys["openai"],
            "OPENAI_BASE_URL": openai.url,
            "ANTHROPIC_API_KEY": keys["anthropic"],
            "ANTHROPIC_BASE_URL": anthropic.url,
            "OLLAMA_API_BASE": ollama.url,
        }
        async with serving(folder / "data", variables) as service:
            used = [*keys.values(), *await live(service, openai)]
        async with serving(folder / "data", {}) as service:
            await after_restart(service, used)
        await in_process(folder / "data", openai)
    step("the database files show the accounts' names", files_with(folder / "data" / "db", SECOND))
    traces = files_with(folder, *used)
    step("and neither they nor the log contain a key in any form", not traces, seen=traces)


async def live(service: Service, openai: OpenAIServer) -> list[str]:
    """From the environment to a rotated key and a second account; the keys made on the way."""
    found = await service.call("GET", "/api/credentials/env-status")
    names = sorted(name for name, configured in found.items() if configured)
    step("found in the environment: " + ", ".join(names), names == FOUND, seen=names)

    moved = (await service.call("POST", "/api/credentials/migrate-from-env"))["migrated"]
    step("migrated into the database: " + ", ".join(moved), sorted(moved) == names, seen=moved)

    credentials = {c["provider"]: c["id"] for c in await service.call("GET", "/api/credentials")}
    for provider, id in credentials.items():
        tested = await service.call("POST", f"/api/credentials/{id}/test")
        step(f"tested {provider}: {tested['message']}", tested["success"])
    for provider, id in credentials.items():
        listed = (await service.call("POST", f"/api/credentials/{id}/discover"))["discovered"]
        step(f"discovered {len(listed)} models of {provider}", listed)
        models = [{key: m[key] for key in ("name", "provider", "model_type")} for m in listed if m["model_type"]]
        made = await service.call("POST", f"/api/credentials/{id}/register-models", {"models": models})
        step(f"registered {made['created']} of them", made["created"] == len(models))

    assigned = (await service.call("POST", "/api/models/auto-assign"))["assigned"]
    step("assigned the defaults: " + ", ".join(sorted(assigned)), len(assigned) == 2, seen=assigned)

    first = credentials["openai_compatible"]
    models = await service.call("GET", "/api/models?type=language")
    chat = next(model["id"] for model in models if model["credential"] == first)
    await service.call("PUT", "/api/models/defaults", {"default_chat_model": chat})
    step(
        "a call of the default chat model is answered",
        (await service.call("POST", f"/api/models/{chat}/test"))["success"],
    )
    step("and reached the provider with the stored key", sent_key(openai) == openai.key)

    pid, new = service.pid, fresh_key("sk")
    openai.key = new
    await service.call("PUT", f"/api/credentials/{first}", {"api_key": new})
    step("rotated the key with one PUT", True)
    answered = await service.call("POST", f"/api/models/{chat}/test")
    step("the very next call carries the new key", answered["success"] and sent_key(openai) == new)
    step("in the same process, with no restart", service.pid == pid)

    second = await service.call(
        "POST",
        "/api/credentials",
        {"provider": "openai_compatible", "name": SECOND, "api_key": new, "base_url": openai.url},
    )
    step("added a second account of the provider", second["provider"] == "openai_compatible")
    path = f"/api/credentials/{first}?migrate_to={second['id']}"
    impact = await service.call("DELETE", f"{path}&dry_run=true")
    step(f"a dry run of deleting the first says that {len(impact['moved'])} models would move", impact["moved"])
    await service.call("DELETE", path)
    left = await service.call("GET", "/api/credentials?provider=openai_compatible")
    step("deleted the first account, its models moved", left[0]["model_count"] == len(impact["moved"]), seen=left)
    return [new]


async def after_restart(service: Service, used: list[str]) -> None:
    """The service started again, now without any variable."""
    credentials = await service.call("GET", "/api/credentials")
    providers = sorted(c["provider"] for c in credentials)
    step("after a restart every account is there", providers == FOUND, seen=providers)
    defaults = await service.call("GET", "/api/models/defaults")
    answered = await service.call("POST", f"/api/models/{defaults['default_chat_model']}/test")
    step("and its models answer", answered["success"], seen=answered)
    answers = [
        (await service.http.get(path)).text for path in ("/api/credentials", "/api/audit", "/openapi/openapi.json")
    ]
    step("no answer of the service holds a key", not any(key in answer for key in used for answer in answers))


async def in_process(data: Path, openai: OpenAIServer) -> None:
    """The same data in a Python program, without HTTP."""
    async with open_keycairn(Settings(data_dir=data, env_file=None)) as keycairn:
        chat = await keycairn.provisioning.provision(Slot.CHAT)
        model = AIFactory.create_language(chat.provider, chat.model, config=dict(chat.config))
        answer = await model.achat_complete([{"role": "user", "content": "Hi"}])
        await model.aclose()
    assert isinstance(answer, ChatCompletion)
    step(f"in process, esperanto hears {answer.content!r} with the provisioned config", sent_key(openai) == openai.key)


def sent_key(server: OpenAIServer) -> str:
    """The key of the last request."""
    return server.requests[-1].headers.get("authorization", "").removeprefix("Bearer ")


def files_with(folder: Path, *texts: str) -> list[str]:
    """The files of `folder` that hold one of `texts` in some form: as it is, in pieces, encoded, reversed."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return sorted(str(file.relative_to(folder)) for file in files if scan(file.read_bytes(), *texts))


def main() -> int:
    """Play the story in a temporary folder."""
    print("Keycairn, from a .env file to a rotated key:")
    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(play(Path(folder)))
        except UntrueError as error:
            print(f"  NOT TRUE: {error}")
            print((Path(folder) / "service.log").read_text()[-2000:], file=sys.stderr)
            return 1
    print("All of it is true.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
