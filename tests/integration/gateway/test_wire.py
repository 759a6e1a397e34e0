"""What goes over the wire goes on as it came, and whatever goes wrong can be found again."""

from collections.abc import Sequence

import httpx
import pytest
from tests.gateway_house import GatewayHouse, behind
from tests.servers.azure_api import AzureServer
from tests.servers.gemini_api import GeminiServer

from keycairn.app.gateway.call_log import CallLine
from keycairn.domain.modality import Modality
from keycairn.domain.token import Scope
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
CANARY = "sk-canary-0123456789"
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("sent", "name", "got"),
    [
        ([("openai-beta", "a"), ("OpenAI-Beta", "b")], "openai-beta", "a, b"),
        ([("accept", "text/plain"), ("accept", "text/html")], "accept", "text/plain, text/html"),
        ([("user-agent", "a"), ("user-agent", "b")], "user-agent", "b"),
    ],
)
async def test_headers_of_several_lines_go_on_whole(
    house: GatewayHouse, sent: Sequence[tuple[str, str]], name: str, got: str
) -> None:
    async with OpenAIServer(key=CANARY) as server, await behind(house, server.url) as client:
        client.headers.pop("accept", None)
        client.headers.pop("user-agent", None)
        answer = await client.post(CHAT, json=BODY | {"model": "m"}, headers=[*client.headers.items(), *sent])
        assert answer.status_code in {200, 404}
        assert server.requests[-1].headers[name] == got


@pytest.mark.parametrize("value", [b"M\xc3\xbcller/1", b"M\xfcller/1", b"a\tb"])
async def test_a_header_beyond_ascii_goes_on_as_it_is(house: GatewayHouse, value: bytes) -> None:
    async with OpenAIServer(key=CANARY) as server, await behind(house, server.url) as client:
        await client.post(CHAT, json=BODY, headers=[(b"user-agent", value)])
        assert server.requests[-1].headers["user-agent"].encode("utf-8", "surrogateescape") == value


@pytest.mark.parametrize("path", ["completions", "images/generations"])
async def test_azure_is_called_at_the_deployment(house: GatewayHouse, path: str) -> None:
    async with AzureServer() as server:
        listed = await house.credential("azure", KEY, endpoint=server.url)
        await house.model(listed, "d1")
        async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
            await client.post(f"/v1/{path}", json={"model": "d1", "prompt": "a"})
        assert server.requests[-1].path == f"/openai/deployments/d1/{path}"


async def test_azures_responses_have_a_version_that_has_them(house: GatewayHouse) -> None:
    async with AzureServer() as server:
        old = await house.credential("azure", KEY, endpoint=server.url)
        await house.model(old, "d1")
        async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
            await client.post("/v1/responses", json={"model": "d1", "input": "a"})
        assert server.requests[-1].path == "/openai/responses"
        assert server.requests[-1].query["api-version"] == "2025-03-01-preview"


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "header"),
        [(CHAT, "x-request-id"), ("/anthropic/v1/messages", "request-id")],
    )
    async def test_one_of_ours_carries_the_id_of_the_call(self, house: GatewayHouse, path: str, header: str) -> None:
        lines: list[CallLine] = []
        house.gateway.call_log.write = lines.extend
        async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
            answer = await client.post(path, json=BODY)
        assert answer.status_code == 404
        house.gateway.call_log.flush()
        (line,) = lines
        assert answer.headers[header] == answer.headers["x-keycairn-call"] == line.id
        assert (line.status, line.error) == (404, "model_not_found")

    async def test_googles_own_client_gets_an_error_in_googles_form(self, house: GatewayHouse) -> None:
        async with GeminiServer() as server:
            account = await house.credential("google", KEY, base_url=server.url)
        async with httpx.AsyncClient(headers={"x-goog-api-key": house.token}) as client:
            url = f"{house.url}/native/{account.id}/v1beta/models/m:generateContent"
            answer = await client.post(url, json={"contents": []})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["status"]) == (502, 502, "UNAVAILABLE")
        assert isinstance(error["message"], str)

    async def test_anthropics_own_client_gets_one_in_anthropics(self, house: GatewayHouse) -> None:
        async with OpenAIServer() as server:
            account = await house.credential("anthropic", KEY, base_url=server.url)
        async with httpx.AsyncClient(headers={"x-api-key": house.token}) as client:
            answer = await client.post(f"{house.url}/native/{account.id}/v1/messages", json={})
        assert answer.json()["type"] == "error"
        assert answer.json()["request_id"] == answer.headers["x-keycairn-call"]


class TestTheLog:
    async def test_each_call_is_one_line_without_a_word_of_it(self, house: GatewayHouse) -> None:
        lines: list[CallLine] = []
        house.gateway.call_log.write = lines.extend
        async with OpenAIServer(key=CANARY) as server, await behind(house, server.url) as client:
            credential = (await house.keycairn.store.credentials("default", limit=1))[0]
            await house.model(credential, "gpt-4o", type=Modality.LANGUAGE)
            said = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a word in private"}]}
            answer = await client.post(CHAT, json=said)
        house.gateway.call_log.flush()
        (line,) = lines
        assert answer.headers["x-keycairn-call"] == line.id
        told = ("api", "status", "error", "attempts", "input_tokens", "output_tokens")
        assert {name: getattr(line, name) for name in told} == {
            "api": "chat",
            "status": 200,
            "error": "",
            "attempts": 1,
            "input_tokens": 8,
            "output_tokens": 2,
        }
        assert (line.model, line.credential, line.provider) == ("gpt-4o", credential.id, "openai_compatible")
        assert "private" not in str(line)
        assert CANARY not in str(line)
        assert house.token not in str(line)

    async def test_who_has_no_token_writes_no_line(self, house: GatewayHouse) -> None:
        lines: list[CallLine] = []
        house.gateway.call_log.write = lines.extend
        async with httpx.AsyncClient(base_url=house.url) as client:
            for _ in range(5):
                await client.post(CHAT, json=BODY, headers={"authorization": "Bearer kc_wrong"})
        house.gateway.call_log.flush()
        assert lines == []

    async def test_the_name_a_client_made_up_is_in_no_line(self, house: GatewayHouse) -> None:
        lines: list[CallLine] = []
        house.gateway.call_log.write = lines.extend
        async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
            await client.post(CHAT, json={**BODY, "model": "sk-pasted-by-mistake"})
        house.gateway.call_log.flush()
        assert lines
        assert "pasted" not in str(lines)


async def test_a_key_of_a_repetition_is_its_callers_alone(house: GatewayHouse) -> None:
    async with OpenAIServer(key=CANARY) as server, await behind(house, server.url) as client:
        _, text = await house.keycairn.tokens.create("other", (Scope.INVOKE,))
        other = {"authorization": f"Bearer {text.reveal()}"}
        calls = [("job-1", {}), ("job-1", {}), ("job-2", {}), ("job-1", other)]
        for key, more in calls:
            await client.post(CHAT, json=BODY | {"model": "m"}, headers={"idempotency-key": key, **more})
        first, again, second, others = (request.headers["idempotency-key"] for request in server.requests[-4:])
        assert first == again, "what is repeated is known as that"
        assert len({first, second, others}) == 3
        assert "job-1" not in (first, others)
        await client.post(CHAT, json=BODY | {"model": "m"})
        assert "idempotency-key" not in server.requests[-1].headers
