"""Bedrock behind the gateway: requests are signed, event streams pass as they are, and their usage is counted."""

import json
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest
from tests.gateway_house import GatewayHouse
from tests.house import LANGUAGE
from tests.servers.bedrock_api import ACCESS, NOVA, PROFILE, SECRET, TITAN, BedrockServer

from keycairn.domain.credential import Credential
from keycairn.domain.outcome import Outcome
from keycairn.domain.secret import Secret
from keycairn.testing.server import KEY

SIGNED = {"access_key_id": ACCESS, "secret_access_key": SECRET}
LENT = {**SIGNED, "session_token": "FwoGZXIvYXdzEXAMPLEsession0123456789"}
HELLO = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}


@pytest.fixture
async def server() -> AsyncIterator[BedrockServer]:
    async with BedrockServer(key=KEY) as server:
        yield server


@pytest.fixture
async def client(house: GatewayHouse) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {house.token}"}
    async with httpx.AsyncClient(base_url=house.url, headers=headers) as client:
        yield client


async def account(house: GatewayHouse, server: BedrockServer, secrets: dict[str, str]) -> Credential:
    listed = await house.keycairn.credentials.create(
        "bedrock",
        name="aws",
        settings={"region": "us-east-1", "base_url": server.url, "control_url": server.url},
        secrets={name: Secret(value) for name, value in secrets.items()},
    )
    return listed.credential


@pytest.mark.parametrize("secrets", [{"api_key": KEY}, SIGNED, LENT], ids=["key", "signed", "lent"])
@pytest.mark.parametrize("model", [NOVA, quote(NOVA, safe=""), PROFILE])
async def test_a_call_is_authorized_with_what_the_account_has(
    house: GatewayHouse, client: httpx.AsyncClient, server: BedrockServer, secrets: dict[str, str], model: str
) -> None:
    credential = await account(house, server, secrets)

    answer = await client.post(f"/native/{credential.id}/model/{model}/converse", json=HELLO)

    assert answer.status_code == 200, answer.text
    assert answer.json()["output"]["message"]["content"] == [{"text": "Hello!"}]
    assert {(one.input_tokens, one.output_tokens) for one in (await house.usage()).values()} == {(9, 3)}


@pytest.mark.parametrize("call", ["converse-stream", "invoke-with-response-stream"])
@pytest.mark.parametrize("secrets", [{"api_key": KEY}, SIGNED], ids=["key", "signed"])
async def test_an_event_stream_passes_as_it_is_and_is_counted(
    house: GatewayHouse, client: httpx.AsyncClient, server: BedrockServer, secrets: dict[str, str], call: str
) -> None:
    credential = await account(house, server, secrets)
    path = f"/model/{quote(NOVA, safe='')}/{call}"
    direct = await _direct(server, path)

    answer = await client.post(f"/native/{credential.id}{path}", json=HELLO)

    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert answer.content == direct
    sums = list((await house.usage()).values())
    assert [(one.input_tokens, one.output_tokens, one.estimated) for one in sums] == [(9, 3, 0)]


async def _direct(server: BedrockServer, path: str) -> bytes:
    async with httpx.AsyncClient() as client:
        headers = {"authorization": f"Bearer {KEY}"}
        return (await client.post(server.url + path, json=HELLO, headers=headers)).content


async def test_a_long_body_is_signed_whole(
    house: GatewayHouse, client: httpx.AsyncClient, server: BedrockServer
) -> None:
    credential = await account(house, server, SIGNED)
    body = {"messages": [{"role": "user", "content": [{"text": "x" * 900_000}]}]}
    answer = await client.post(f"/native/{credential.id}/model/{NOVA}/converse", json=body)
    assert answer.status_code == 200
    assert json.loads(server.requests[-1].body) == body


@pytest.mark.parametrize(
    "secrets",
    [
        {"api_key": "bedrock-wrong-0123456789"},
        {**SIGNED, "secret_access_key": "wrong" * 8},
    ],
    ids=["key", "signed"],
)
async def test_keys_that_are_refused_with_403_are_told_as_refused(
    house: GatewayHouse, client: httpx.AsyncClient, server: BedrockServer, secrets: dict[str, str]
) -> None:
    credential = await account(house, server, secrets)
    answer = await client.post(f"/native/{credential.id}/model/{NOVA}/converse", json=HELLO)
    report = await house.keycairn.probing.test(credential.id)
    assert (answer.status_code, report.outcome) == (502, Outcome.INVALID_AUTH)
    assert answer.headers["x-keycairn-error"] == "provider_invalid_auth"


async def test_models_are_found_tried_and_named(
    house: GatewayHouse, client: httpx.AsyncClient, server: BedrockServer
) -> None:
    credential = await account(house, server, SIGNED)
    assert (await house.keycairn.probing.sync("bedrock")).new == 3
    rows = {row.name: row for row in await house.keycairn.models.list()}
    assert set(rows) == {NOVA, TITAN, PROFILE}
    for row in rows.values():
        report = await house.keycairn.probing.try_model(row.id)
        assert report.success, (row.name, report.message)
    refused = await client.get(f"/native/{credential.id}/foundation-models")
    assert refused.status_code == 404, "lists are of the control plane, which nobody calls through here"


@pytest.mark.parametrize("secrets", [{"api_key": KEY}, SIGNED], ids=["key", "signed"])
async def test_its_api_in_openais_form_is_called_with_a_name_of_ours(
    house: GatewayHouse, client: httpx.AsyncClient, server: BedrockServer, secrets: dict[str, str]
) -> None:
    credential = await account(house, server, secrets)
    await house.keycairn.models.create(
        "open", provider="bedrock", provider_model="openai.gpt-oss-20b-1:0", type=LANGUAGE, credential=credential.id
    )
    body = {"model": "open", "messages": [{"role": "user", "content": "Hello"}]}
    answer = await client.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["model"]) == (200, "openai.gpt-oss-20b-1:0")
    assert {(one.input_tokens, one.output_tokens) for one in (await house.usage()).values()} == {(9, 3)}
