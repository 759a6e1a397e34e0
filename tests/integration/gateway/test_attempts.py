"""Each attempt of one call names the model for its own provider, wherever the request names it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlencode

import msgspec
import pytest
from tests.bodies import a_form, arriving, in_pieces
from tests.gateway_house import GatewayHouse
from tests.servers.azure_api import AzureServer

from keycairn.app.gateway.call import Report
from keycairn.app.gateway.naming import READ_AT_ONCE
from keycairn.app.gateway.request_body import Incoming
from keycairn.app.gateway.routes import APIS, model_call
from keycairn.domain.modality import Modality
from keycairn.domain.routing import Serving
from keycairn.domain.secret import Secret
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY, LocalServer, Recorded

NAMES = ("gpt-4o", "a much longer name of the same model", "prod/4o ü", "gpt-4o")
PUBLIC = "team-chat"


class Pool:
    """One public name with an account at each of four providers; all but the last ask for patience."""

    def __init__(self, house: GatewayHouse) -> None:
        self.house = house
        self.servers: list[LocalServer] = []
        self.candidates: list[Serving] = []

    async def add(self, provider: str, server: LocalServer, name: str, type: Modality) -> None:
        place = "endpoint" if provider == "azure" else "base_url"
        credential = await self.house.credential(provider, KEY, **{place: server.url})
        self.candidates.append(Serving(await self.house.model(credential, name, type), credential))
        self.servers.append(server)

    async def call(self, path: str, headers: list[tuple[bytes, bytes]], incoming: Incoming, query: str = "") -> int:
        caller = (await self.house.gateway.directory.caller(Secret(self.house.token))).principal
        call = await model_call(APIS[path], "POST", query, headers, caller, incoming)
        call.candidates = self.candidates
        report = Report()
        exchange = await self.house.gateway._failover.run(call, report)
        self.house.gateway._failover.end(exchange, report.charge)
        incoming.close()
        assert incoming.intake.held == incoming.intake.spooled == 0
        assert report.model_name == NAMES[-1]
        status: int = exchange.answer.status
        return status

    def requests(self) -> list[Recorded]:
        assert [len(server.requests) for server in self.servers] == [1, 1, 1, 1]
        return [server.requests[0] for server in self.servers]


@pytest.fixture
async def pools(house: GatewayHouse) -> AsyncIterator[dict[Modality, Pool]]:
    pools = {}
    async with AsyncExitStack() as stack:
        for type, kind in ((Modality.LANGUAGE, "language"), (Modality.SPEECH_TO_TEXT, "hearing")):
            pool = pools[type] = Pool(house)
            providers = ("openai", "openai_compatible", "azure", "groq")
            for provider, name in zip(providers, NAMES, strict=True):
                server: OpenAIServer = AzureServer() if provider == "azure" else OpenAIServer()
                server.models = {name: kind}
                await stack.enter_async_context(server)
                await pool.add(provider, server, name, type)
            for failing in pool.servers[:-1]:
                failing.fault = 503
        yield pools


DEPLOYED = "/openai/deployments/prod%2F4o%20%C3%BC"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("size", [10, 2 * READ_AT_ONCE])
async def test_in_a_body(pools: dict[Modality, Pool], size: int, stream: bool) -> None:  # noqa: FBT001
    pool = pools[Modality.LANGUAGE]
    rest = {"messages": [{"role": "user", "content": "x" * size, "model": PUBLIC}], "stream": stream}
    body = msgspec.json.encode({"model": PUBLIC, **rest})

    incoming = arriving(*in_pieces(body, [60_000] * (len(body) // 60_000)))
    status = await pool.call("/v1/chat/completions", [(b"content-type", b"application/json")], incoming)

    assert status == 200
    asks = {"stream_options": {"include_usage": True}} if stream else {}
    assert [request.json() for request in pool.requests()] == [{"model": name, **asks, **rest} for name in NAMES]
    assert [int(request.headers["content-length"]) for request in pool.requests()] == [
        len(request.body) for request in pool.requests()
    ]
    assert pool.requests()[2].path == DEPLOYED + "/chat/completions"


@pytest.mark.parametrize("size", [10, 500_000])
async def test_in_a_form(pools: dict[Modality, Pool], size: int) -> None:
    pool = pools[Modality.SPEECH_TO_TEXT]
    sound = b"RIFF" + b"x" * size
    form = a_form(("file", sound), ("model", PUBLIC.encode()), ("prompt", PUBLIC.encode()))

    incoming = arriving(*in_pieces(form, [60_000] * (len(form) // 60_000)))
    kind = b"multipart/form-data; boundary=b"
    await pool.call("/v1/audio/transcriptions", [(b"content-type", kind)], incoming)

    assert [request.form()["model"].decode() for request in pool.requests()] == list(NAMES)
    assert {request.form()["file"] for request in pool.requests()} == {sound}
    assert {request.form()["prompt"].decode() for request in pool.requests()} == {PUBLIC}
    assert pool.requests()[2].path == DEPLOYED + "/audio/transcriptions"


async def test_in_a_query(pools: dict[Modality, Pool]) -> None:
    pool = pools[Modality.LANGUAGE]
    body = msgspec.json.encode({"model": PUBLIC, "messages": [{"role": "user", "content": "Hello"}]})

    query = urlencode({"a": PUBLIC, "model": PUBLIC, "api-version": "2025-01-01"})
    await pool.call("/v1/chat/completions", [], arriving(body), query)

    assert [request.query for request in pool.requests()] == [
        {"a": PUBLIC, "model": name, "api-version": "2025-01-01"} for name in NAMES
    ]
