"""Plugins of strangers behind the gateway: signed bodies, tokens that end early, methods that fail."""

import asyncio
import hmac
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from msgspec.structs import replace
from tests.gateway_house import GatewayHouse, gateway_house
from tests.house import FakeRegistry

from keycairn.adapters.file_spool import FileSpools
from keycairn.adapters.guarded_http import MemoryTokenCache
from keycairn.app.gateway.kept import LARGEST_KEPT
from keycairn.app.gateway.request_body import LARGEST_HEAD
from keycairn.domain.credential import Credential
from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account
from keycairn.domain.secret import Secret
from keycairn.plugins import BoughtToken, Http, OpenAICompatible, Request, decode, keyed_spec
from keycairn.testing.server import Answer, LocalServer, Recorded, as_json

KEY = "sk-canary-0123456789"
SPEC = keyed_spec(
    "acme",
    "Acme",
    *Modality,
    docs_url="https://acme.example",
    native_operations=("POST **", "GET models"),
)


class Acme(OpenAICompatible):
    """Signs the body with the key, as AWS's version 4 does."""

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        key = account.secrets["api_key"].reveal().encode()
        signature = hmac.new(key, request.body_sha256.encode(), sha256).hexdigest()
        return replace(
            request,
            headers={**request.headers, "X-Signature": Secret(signature), "X-Whole": str(request.whole)},
        )


async def check_signature(request: web.BaseRequest) -> web.Response:
    """Answers whether the signature is that of the body that came."""
    digest, size = sha256(), 0
    async for chunk in request.content.iter_any():
        digest.update(chunk)
        size += len(chunk)
    wanted = hmac.new(KEY.encode(), digest.hexdigest().encode(), sha256).hexdigest()
    good = hmac.compare_digest(wanted, request.headers.get("x-signature", ""))
    return web.json_response({"good": good, "whole": request.headers.get("x-whole"), "bytes": size})


class Sold(OpenAICompatible):
    """Buys a token with the key."""

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        async def buy(account: Account) -> BoughtToken:
            url = f"{self.base_url(account)}/token"
            sold = decode(
                await http.send(Request(method="POST", url=url, headers=self.headers(account))), dict[str, str]
            )
            return BoughtToken(token=Secret(sold["token"]), expires_in=3600)

        token = await http.tokens.get(account, buy)
        return request.with_header("Authorization", Secret(f"Bearer {token.reveal()}"))


class Seller(LocalServer):
    """Sells numbered tokens and takes the one in `good` only."""

    good = "token-0001"
    sold = 0
    calls = 0

    def authorized(self, recorded: Recorded) -> bool:
        return True

    def answer(self, recorded: Recorded) -> Answer:
        if recorded.target.endswith("/token"):
            self.sold += 1
            return as_json({"token": f"token-{self.sold:04}"})
        self.calls += 1
        if recorded.headers.get("authorization") != f"Bearer {self.good}":
            return as_json({"error": {"code": "invalid_api_key"}}, status=401)
        return as_json({"choices": [{"message": {"content": "Hello!"}}]})

    def error(self, status: int) -> object:
        return {}


@asynccontextmanager
async def behind(provider: OpenAICompatible, url: str, spools: FileSpools | None = None) -> AsyncIterator["Signed"]:
    async with gateway_house(registry=FakeRegistry([provider]), spools=spools) as house:
        credential = await house.credential("acme", KEY, base_url=url)
        await house.model(credential, "m")
        headers = {"authorization": f"Bearer {house.token}"}
        async with httpx.AsyncClient(base_url=house.url, headers=headers, timeout=30) as client:
            yield Signed(house, credential, client)


class Signed:
    def __init__(self, house: GatewayHouse, credential: Credential, client: httpx.AsyncClient) -> None:
        self.house, self.credential, self.client = house, credential, client

    @property
    def native(self) -> str:
        return f"/native/{self.credential.id}/things"

    async def chat(self) -> httpx.Response:
        return await self.client.post("/v1/chat/completions", json={"model": "m", "messages": []})


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[FileSpools]:
    spools = FileSpools(tmp_path)
    yield spools
    spools.close()


@asynccontextmanager
async def signed(
    spools: FileSpools | None = None, *, signs_body: bool = True, naming: Callable[[str], str] | None = None
) -> AsyncIterator[Signed]:
    runner = web.ServerRunner(web.Server(check_signature), shutdown_timeout=1.0)
    await runner.setup()
    await web.SockSite(runner, socket.create_server(("127.0.0.1", 0))).start()
    host, port = runner.addresses[0][:2]
    provider: Any = Acme(replace(SPEC, signs_body=signs_body))
    if naming is not None:
        provider.openai_model_name = naming
    try:
        async with behind(provider, f"http://{host}:{port}", spools) as found:
            yield found
    finally:
        await runner.cleanup()


async def pieces(size: int) -> AsyncIterator[bytes]:
    for at in range(0, size, 2**16):
        yield b"x" * min(2**16, size - at)


@pytest.mark.parametrize("size", [0, 1, 70_000, 2**20, 2**20 + 1, 5 * 2**20])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_signer_gets_the_digest_of_the_whole_body(spools: FileSpools, *, size: int, chunked: bool) -> None:
    async with signed(spools) as found:
        answer = await found.client.post(found.native, content=pieces(size) if chunked else b"x" * size)
        assert answer.json()["good"], answer.json()
        assert answer.json()["bytes"] == size


async def test_a_signer_gets_the_digest_of_the_body_as_it_goes_out(spools: FileSpools) -> None:
    async with signed(spools, naming=lambda name: f"acme/{name}") as found:
        for size in (10, 3 * 2**20):
            body = {"model": "m", "messages": [{"role": "user", "content": "x" * size}]}
            assert (await found.client.post("/v1/chat/completions", json=body)).json()["good"]
            await found.house.model(found.credential, f"whisper-{size}", Modality.SPEECH_TO_TEXT)
            form = {"model": f"whisper-{size}"}
            file = {"file": ("a.wav", b"x" * size)}
            answer = await found.client.post("/v1/audio/transcriptions", data=form, files=file)
            assert answer.json()["good"]


async def test_a_body_too_long_to_be_kept_is_refused_before_anything_is_sent(spools: FileSpools) -> None:
    async with signed(spools) as found:
        answer = await found.client.post(found.native, content=pieces(LARGEST_KEPT + 1))
        assert answer.status_code == 413
        assert "signed with their body" in answer.json()["error"]["message"]
    async with signed() as found:  # no disk
        answer = await found.client.post(found.native, content=pieces(LARGEST_HEAD + 2**20))
        assert answer.status_code == 413


async def test_others_are_told_that_the_body_is_not_all_there_and_it_streams(spools: FileSpools) -> None:
    async with signed(spools, signs_body=False) as found:
        large = await found.client.post(found.native, content=pieces(3 * 2**20))
        small = await found.client.post(found.native, content=b"x")
        none = await found.client.get(f"/native/{found.credential.id}/models")
    assert [one.json()["whole"] for one in (large, small, none)] == ["False", "True", "True"]


async def test_a_token_that_is_revoked_early_is_bought_again_within_the_call() -> None:
    passed = 0
    async with Seller() as seller, behind(Sold(SPEC), seller.url) as found:
        found.house.http.tokens = MemoryTokenCache(lambda: time.monotonic() + passed)
        assert (await found.chat()).status_code == 200
        seller.good = "token-0002"
        passed = 60
        answers = await asyncio.gather(*(found.chat() for _ in range(5)))
        assert [one.status_code for one in answers] == [200] * 5
        assert seller.sold == 2


async def test_an_account_that_is_refused_for_good_does_not_buy_with_every_call() -> None:
    async with Seller() as seller, behind(Sold(SPEC), seller.url) as found:
        seller.good = "none"
        for _ in range(5):
            assert (await found.chat()).json()["error"]["code"] == "provider_invalid_auth"
        assert seller.sold == 1


FAILING = ["authorize", "base_url", "openai_base_url", "openai_model_name"]


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("how", ["raises", "exits", "gives None"])
async def test_a_plugin_that_fails_is_one_error_on_every_way(name: str, how: str) -> None:
    provider: Any = OpenAICompatible(SPEC)

    def fails(*_: object) -> None:
        if how == "raises":
            raise RuntimeError(KEY)
        if how == "exits":
            raise SystemExit(KEY)

    async def fails_later(*_: object) -> None:
        fails()

    setattr(provider, name, fails_later if name == "authorize" else fails)
    async with behind(provider, "http://127.0.0.1:8999") as found:
        answer = await found.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "plugin_failed")
        assert KEY not in answer.text
        if name in {"authorize", "base_url"}:
            native = await found.client.post(found.native, content=b"{}")
            assert (native.status_code, native.json()["error"]["code"]) == (502, "plugin_failed")
        assert (await found.client.get("/v1/models")).status_code == 200
