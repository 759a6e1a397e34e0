"""Keys through a whole life of the real service at its most talkative; afterwards they stand nowhere they must not.

What is looked through: everything it logs and answers, every file it leaves, a backup, and an image of its memory.
"""

import asyncio
import gzip
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.canary import forms, scan
from tests.permissions import PAGE_RULES
from tests.spelled import SPELLINGS

COMMAND = str(Path(sys.executable).with_name("keycairn"))
USED, MOVED, STRAY = "sk-used-0f9A7c2E81b6D05x4411", "sk-moved-9B3d0F6a2C7e5184", "sk-stray-5c1D8e2F7a4B9063"
IDLE = tuple(f"sk-idle-{number}-7Qw3Er5Ty8Ui1Op6" for number in range(5))
FOREIGN = "sk-foreign-3K8m2N7b5V1c9X4z"
FROM_ENVIRONMENT = "gsk-environment-8Hn4Bv6Cx2Zl"
ROOT = sha256(b"a root key for this test alone").digest()
ROOT_TEXT = b64encode(ROOT).decode()
AS_JSON = {"Content-Type": "application/json"}
SETTLING = 20
"""Ordinary requests within which the memory of what was opened before is used for something else."""


class Echo:
    """A provider that repeats the caller's key wherever it can: in its body, its headers, its reason, as models.

    It does so in every spelling there is, also compressed, and in events.
    """

    def __init__(self) -> None:
        self.heard = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        body = await reader.readexactly(int(headers.get(b"content-length", b"0")))
        self.heard += head
        key = head.partition(b"Bearer ")[2].partition(b"\r\n")[0]
        spelled = [spell(key.decode()) for spell in SPELLINGS.values()]
        said: dict[str, Any] = {"error": {"message": f"bad key {key.decode()}", "key": spelled, key.decode(): spelled}}
        status, kind, more = b"500 " + key, b"application/json", b""
        if b"/models " in head:
            status, said = b"200 OK", {"data": [{"id": name, "name": name} for name in ("honest", *spelled)]}
        if b'"good"' in body:
            status = b"200 OK"
            said = {"choices": [{"message": {"role": "assistant", "content": one}} for one in spelled], "data": []}
        text = json.dumps(said).encode()
        if b'"packed"' in body:
            status, text, more = b"200 OK", gzip.compress(text), b"content-encoding: gzip\r\n"
        if b'"events"' in body:
            status, kind = b"200 OK", b"text/event-stream"
            text = b"".join(f'data: {{"content": "{one}"}}\n\n'.encode() for one in spelled if one.isascii())
        writer.write(
            b"HTTP/1.1 %b\r\nx-request-id: %b\r\nopenai-version: %b\r\n%b" % (status, key, key[::-1], more)
            + b"connection: close\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(text), text)
        )
        await writer.drain()
        writer.close()


class Service:
    """`keycairn serve` at debug, its root key in a file outside of its data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self.answers: list[str] = []
        key_file = folder / "root-key"
        key_file.write_text(f"base64:{ROOT_TEXT}\n")
        self.environment = {
            "PATH": os.environ["PATH"],
            "KEYCAIRN_DATA_DIR": str(self.data),
            "KEYCAIRN_ROOT_KEY_FILE": str(key_file),
            "KEYCAIRN_LOG_LEVEL": "debug",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        self.process: asyncio.subprocess.Process
        self.http: httpx.AsyncClient

    @asynccontextmanager
    async def running(self, **variables: str) -> AsyncIterator[None]:
        with self.log.open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                COMMAND,
                *("serve", "--port", "0"),
                env={**self.environment, **variables},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        try:
            headers = {"Authorization": ""}
            async with httpx.AsyncClient(base_url=await self._url(), headers=headers, timeout=30) as self.http:
                self.http.headers["Authorization"] = f"Bearer {self.token}"
                yield
            if self.process.returncode is None:
                self.process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(self.process.wait(), 20) == 0
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()

    @property
    def token(self) -> str:
        return (self.data / "first-token").read_text().strip()

    async def _url(self) -> str:
        address = self.data / "server.json"
        async with asyncio.timeout(30):
            while not address.exists() or json.loads(address.read_bytes() or b"{}").get("pid") != self.process.pid:
                assert self.process.returncode is None, self.log.read_text()
                await asyncio.sleep(0.02)
        return str(json.loads(address.read_bytes())["url"])

    async def say(self, method: str, path: str, **sent: Any) -> httpx.Response:
        answer = await self.http.request(method, path, **sent)
        self.answers.append(f"{answer.text} {answer.headers!r} {answer.reason_phrase}")
        return answer

    async def create(self, key: str, url: str, name: str = "W") -> str:
        body = {"name": name, "provider": "openai_compatible", "api_key": key, "base_url": url}
        answer = await self.say("POST", "/api/credentials", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def pages(self, id: str) -> None:
        """Look at every page, signed in, and at those of one credential."""
        data = {"secret:token": self.token}
        signed_in = await self.say("POST", "/sign-in", data=data, headers={"Sec-Fetch-Site": "same-origin"})
        assert signed_in.status_code == 303
        paths = sorted(path for method, path in PAGE_RULES if method == "GET" and "{" not in path.replace("{id}", ""))
        for path in paths:
            answer = await self.http.get(path.replace("{id}", id))
            assert answer.status_code < 500, path
            self.answers.append(f"{answer.text} {answer.headers!r}")
        self.http.cookies.clear()

    async def command(self, *words: str) -> None:
        """Run a command beside the service; what it prints, and what others see of it and of the service."""
        running = await asyncio.create_subprocess_exec(
            COMMAND, *words, env=self.environment, cwd=self.folder, stdout=PIPE, stderr=STDOUT
        )
        printed, _ = await asyncio.wait_for(running.communicate(), 60)
        self.answers.append(printed.decode())
        assert len(printed) > 20, words
        seen = Path("/proc", str(self.process.pid), "cmdline")
        if seen.exists():
            self.answers.append(seen.read_bytes().decode())

    def files(self) -> dict[str, bytes]:
        found = {str(file): file.read_bytes() for file in self.data.rglob("*") if file.is_file()}
        return {name: raw for name, raw in found.items() if not name.endswith("first-token")}

    def image(self) -> bytes:
        """What the process has in memory. It forbids this to its own user; the superuser may."""
        pieces = []
        process = Path("/proc", str(self.process.pid))
        with (process / "maps").open() as maps, (process / "mem").open("rb", 0) as memory:
            for line in maps:
                place, rights = line.split()[:2]
                if rights.startswith("r") and "[v" not in line:
                    begin, end = (int(number, 16) for number in place.split("-"))
                    try:
                        memory.seek(begin)
                        pieces.append(memory.read(end - begin))
                    except OSError:
                        continue
        return b"\0".join(pieces)


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


async def use(service: Service, id: str) -> None:
    for step in ("test", "discover"):
        await service.say("POST", f"/api/credentials/{id}/{step}")
    await service.say("POST", "/api/models/sync/openai_compatible")
    for content in ("good", "bad", "packed", "events"):
        call = {"model": "m", "messages": [{"role": "user", "content": content}]}
        for path in ("/v1/chat/completions", "/v1/embeddings", f"/native/{id}/chat/completions"):
            await service.say("POST", path, json=call | {"input": content})


async def misplace(service: Service, id: str, key: str) -> None:
    """The key in every place but its own."""
    good = {"name": "W", "provider": "openai", "api_key": key}
    path = f"/api/credentials/{id}"
    for field in ("name", "provider", "modalities", "base_url", "endpoint", "num_ctx", "config", "secrets", key):
        for value in (key, [key], {key: key}):
            answer = await service.say("POST", "/api/credentials", json={**good, field: value})
            assert 400 <= answer.status_code < 500, (field, answer.text)
    for place in ("/", "/api/", "/api/credentials/", "/api/models/", "/v1/", "/native/", f"/native/{id}/", "/openapi/"):
        for method in ("GET", "PATCH", "OPTIONS"):
            await service.say(method, place + key)
    for query in ("provider", "limit", "cursor", "workspace", "since"):
        await service.say("GET", f"/api/credentials?{query}={key}")
        await service.say("GET", f"/api/audit?{query}={key}")
    for header in (
        "If-Match",
        "If-None-Match",
        "Cookie",
        "Content-Type",
        "Host",
        "Forwarded",
        "Origin",
        "X-Any",
        "User-Agent",
        "X-Request-Id",
        "Traceparent",
    ):
        await service.say("PUT", path, headers={header: key}, json={"num_ctx": key})
    await service.say("GET", path, headers={"Authorization": f"Bearer {key}"})
    await service.say("POST", "/v1/chat/completions", headers={"Authorization": f"Bearer {key}"}, json={"model": key})
    await service.say("POST", "/v1/chat/completions", json={"model": key, "messages": key})
    await service.say("POST", "/v1/chat/completions", content=f'{{"model": "{key}'.encode())
    await service.say("POST", "/api/tokens", json={"name": "t", "scopes": [key]})
    root_key = "base64:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7gA="
    await service.say("POST", "/api/encryption/root-key", json={"root_key": key, "current_root_key": root_key})
    await service.say("POST", "/api/encryption/root-key", json={"root_key": root_key, "current_root_key": key})
    await service.say("POST", "/api/encryption/root-key", json={"root_key": root_key, "current_root_key": {key: key}})
    await service.say("PUT", path, content=f'{{"api_key": "{key}", '.encode(), headers=AS_JSON)


async def bring_in(service: Service, url: str) -> None:
    rows = [
        {"row": "credential", "where": "x", "provider": "openai_compatible", "name": "imported"}
        | {"settings": {"base_url": url}, "secrets": {"api_key": FOREIGN}},
        {"row": "credential", "where": "y", "provider": FOREIGN, "name": "n", "secrets": {"api_key": FOREIGN}},
        {"row": "credential", "where": "z", "provider": "openai", "name": FOREIGN, "secrets": {"api_key": FOREIGN}},
    ]
    await service.say("POST", "/api/credentials/import", json={"rows": rows})
    legacy = {"credentials": {"openai": [{"name": "L", "api_key": FOREIGN}, FOREIGN, {"name": [FOREIGN]}]}}
    await service.say("POST", "/api/credentials/migrate-from-provider-config", json={"provider_configs": legacy})
    await service.say("POST", "/api/credentials/migrate-from-env")


async def test_no_key_stands_anywhere_in_what_the_service_writes(service: Service) -> None:
    echo = Echo()
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as provider:
        url = f"http://127.0.0.1:{provider.sockets[0].getsockname()[1]}/v1"
        async with service.running(GROQ_API_KEY=FROM_ENVIRONMENT):
            used = await service.create(USED, url)
            models = {"models": [{"name": "m", "model_type": "language"}, {"name": "e", "model_type": "embedding"}]}
            await service.say("POST", f"/api/credentials/{used}/register-models", json=models)
            await use(service, used)
            moved = await service.create(USED, url, "second")
            await service.say("PUT", f"/api/credentials/{moved}", json={"api_key": MOVED})
            await service.say("DELETE", f"/api/credentials/{moved}?migrate_to={used}")
            await misplace(service, used, STRAY)
            await bring_in(service, url)
            await service.say("POST", "/api/encryption/rotate")
            await service.say("POST", "/api/encryption/verify")
            for place in ("credentials", "audit", "usage", "encryption", "tokens", "models", "plugins"):
                await service.say("GET", f"/api/{place}")
            for place in ("/metrics", "/openapi", "/health/ready", "/"):
                await service.say("GET", place)
            await service.pages(used)
            for words in (("status",), ("doctor",), ("audit", "list")):
                await service.command(*words)
            backup = await service.http.get("/api/backup")
            assert backup.status_code == 200
            service.answers.append(gzip.decompress(backup.content).decode())
        # Cut off without a word, and a second life on what is left.
        async with service.running():
            await use(service, used)
            service.process.kill()
            await service.process.wait()

    told = "\n".join(service.answers)
    files = service.files()
    keys = (USED, MOVED, FOREIGN, FROM_ENVIRONMENT, ROOT_TEXT, ROOT.hex())
    token = service.token.split("_")[2]  # what stands before is its public id
    assert USED.encode() in echo.heard, "the key was really used"
    assert len(service.answers) > 100
    assert '"honest"' in told
    assert len(service.log.read_text().splitlines()) > 60
    assert any("db" in name for name in files)
    assert scan(service.log.read_text(), *keys, STRAY, token) == []
    assert {name: found for name, raw in files.items() if (found := scan(raw, *keys, token))} == {}
    assert scan(told, *keys) == []


@pytest.mark.night
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="reads another process's memory")
async def test_memory_holds_neither_the_root_key_nor_a_key_that_nobody_uses(service: Service) -> None:
    echo = Echo()
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as provider:
        url = f"http://127.0.0.1:{provider.sockets[0].getsockname()[1]}/v1"
        async with service.running():
            used = await service.create(USED, url)
            for number, key in enumerate(IDLE):
                await service.create(key, url, f"idle {number}")
        async with service.running():
            for _ in range(SETTLING):
                await service.say("POST", f"/api/credentials/{used}/test")
                await service.say("GET", "/api/credentials")
            image = await asyncio.to_thread(service.image)

    assert b"KEYCAIRN_ROOT_KEY_FILE" in image, "it is the image of this process"
    whole = {form for secret in (*IDLE, ROOT_TEXT) for form in forms(secret) if len(form) >= len(secret)}
    for form in (*whole, ROOT, ROOT[::-1], ROOT.hex().encode()):
        assert form not in image
