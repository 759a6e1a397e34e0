"""What an account says of its calls holds for the gateway's calls and for its tests and discoveries alike."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.gateway_house import GatewayHouse
from tests.servers.handling import handling
from tests.tls import make_authority

from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.credential import Credential
from keycairn.domain.errors import InvalidInputError, SecretReentryRequiredError
from keycairn.domain.options import LONGEST_TIME, Options
from keycairn.domain.secret import Secret
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}
PEM = make_authority("llm.example").pem.decode()


@pytest.fixture
async def credential(house: GatewayHouse, openai_server: OpenAIServer) -> Credential:
    credential = await house.credential("openai", KEY, base_url=openai_server.url)
    await house.model(credential, "gpt-4o")
    return credential


@pytest.fixture
async def client(house: GatewayHouse) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {house.token}"}
    async with httpx.AsyncClient(base_url=house.url, headers=headers) as client:
        yield client


async def change(house: GatewayHouse, credential: Credential, **options: Any) -> Credential:
    patch = CredentialPatch(options=Options(**options))
    return (await house.keycairn.credentials.update(credential.id, patch)).credential


async def test_headers_go_along_with_every_call_test_and_discovery(
    house: GatewayHouse, client: httpx.AsyncClient, credential: Credential, openai_server: OpenAIServer
) -> None:
    said = {"X-Team": "blue", "HTTP-Referer": "https://app.example", "OpenAI-Beta": "realtime=v1", "X-Org-Id": "org-1"}
    await change(house, credential, headers=said)

    answer = await client.post("/v1/chat/completions", json=BODY, headers={"openai-beta": "mine", "x-team": "red"})
    await client.get(f"/native/{credential.id}/models")
    await house.keycairn.probing.test(credential.id)
    await house.keycairn.probing.discover(credential.id)

    assert answer.status_code == 200
    assert len(openai_server.requests) == 4
    for request in openai_server.requests:
        assert {name: request.headers.get(name) for name in ("x-team", "http-referer", "openai-beta", "x-org-id")} == {
            "x-team": "blue",
            "http-referer": "https://app.example",
            "openai-beta": "realtime=v1",
            "x-org-id": "org-1",
        }
        assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "x-api-key", "api-key", "x-goog-api-key", "Proxy-Authorization", "cookie", "X-Auth-Token"),
        *("connection", "host", "content-length", "transfer-encoding", "te", "upgrade", "keep-alive", "expect"),
        *("content-type", "accept-encoding", "x-forwarded-for", "x-amz-security-token", "x-keycairn-credential"),
        *("", "a b", "a:b", "a\r\nb", "ä", "x" * 65, "x-http-method-override", "x-client-secret", "sessionid-token"),
    ],
)
async def test_a_header_that_proves_or_frames_something_is_refused(
    house: GatewayHouse, credential: Credential, name: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await change(house, credential, headers={name: "x"})
    assert list(refused.value.fields) == ["options.headers"]


@pytest.mark.parametrize(
    "value", ["", " ", "a\r\nb", "ü", "x" * 2049, KEY, "sk-live-4f9A7c2E81b6D05x4f9A7c2E81b6D05x", "a\0"]
)
async def test_a_value_no_header_carries_or_that_is_a_secret_is_refused(
    house: GatewayHouse, credential: Credential, value: str
) -> None:
    with pytest.raises(InvalidInputError):
        await change(house, credential, headers={"x-team": value})


@pytest.mark.parametrize("headers", [{f"x-{number}": "v" for number in range(21)}, {"x-team": "a", "X-Team": "b"}])
async def test_headers_are_few_and_each_is_there_once(
    house: GatewayHouse, credential: Credential, headers: dict[str, str]
) -> None:
    with pytest.raises(InvalidInputError):
        await change(house, credential, headers=headers)


@pytest.mark.parametrize("name", ["first_byte_timeout", "idle_timeout", "total_timeout"])
@pytest.mark.parametrize("seconds", [0, -1, 0.01, LONGEST_TIME + 1, 10**400])
async def test_a_time_that_cannot_be_kept_is_refused(
    house: GatewayHouse, credential: Credential, name: str, seconds: float
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await change(house, credential, **{name: seconds})
    assert list(refused.value.fields) == [f"options.{name}"]


async def test_a_provider_that_is_slower_than_its_account_allows_is_passed_over(
    house: GatewayHouse, client: httpx.AsyncClient, credential: Credential
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        while await reader.read(2**16):
            pass

    async with handling(silent) as port:
        slow = await house.credential("groq", "sk-slow-canary-0123456789", base_url=f"http://127.0.0.1:{port}")
        await house.model(slow, "slow")
        await change(house, slow, first_byte_timeout=0.2)
        begun = asyncio.get_running_loop().time()
        answer = await client.post("/v1/chat/completions", json={**BODY, "model": "slow"}, timeout=5)
        report = await house.keycairn.probing.test(slow.id)
        await change(house, slow, total_timeout=0.2)
        again = await client.post("/v1/chat/completions", json={**BODY, "model": "slow"}, timeout=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "provider_timeout")
    assert again.status_code == 504
    assert not report.success
    assert asyncio.get_running_loop().time() - begun < 3


@pytest.mark.parametrize(
    "text",
    ["nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", PEM + "-----BEGIN PRIVATE KEY-----"],
)
async def test_what_is_no_certificate_is_refused_when_it_comes_in(
    house: GatewayHouse, credential: Credential, text: str
) -> None:
    patch = CredentialPatch(options=Options(ca_certificates=text), secrets={"api_key": Secret(KEY)})
    with pytest.raises(InvalidInputError) as refused:
        await house.keycairn.credentials.update(credential.id, patch)
    assert list(refused.value.fields) == ["options.ca_certificates"]


async def test_only_the_certificates_of_a_text_are_kept(house: GatewayHouse, credential: Credential) -> None:
    text = f"subject: x\r\n{PEM}\n# more\n{make_authority('other.example').pem.decode()}bye"
    patch = CredentialPatch(options=Options(ca_certificates=text), secrets={"api_key": Secret(KEY)})
    kept = (await house.keycairn.credentials.update(credential.id, patch)).credential.options.ca_certificates
    assert (kept.count("BEGIN CERTIFICATE"), "subject" in kept, kept.endswith("-----\n")) == (2, False, True)


async def test_whoever_vouches_for_a_host_anew_brings_its_secrets_along(
    house: GatewayHouse, credential: Credential
) -> None:
    with pytest.raises(SecretReentryRequiredError):
        await change(house, credential, ca_certificates=PEM)
    patch = CredentialPatch(options=Options(ca_certificates=PEM), secrets={"api_key": Secret(KEY)})
    await house.keycairn.credentials.update(credential.id, patch)
    kept = await change(house, credential, ca_certificates=PEM, any_model=True)
    assert kept.options.any_model
    assert (await change(house, credential)).options == Options()
