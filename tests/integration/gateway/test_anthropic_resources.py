"""Anthropic's batches and files stay at their account, and are seen by the token that made them alone."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import pytest
from tests.gateway_house import GatewayHouse
from tests.servers.anthropic_keeping import AnthropicKeeper

from keycairn.app.gateway.reading import PUBLIC_URL, address_in
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.domain.reach import Reach
from keycairn.domain.token import Scope

KEYS = {"one": "sk-ant-one-0123456789abcdef", "two": "sk-ant-two-0123456789abcdef"}
MODEL = "claude-sonnet-5"
PARAMS: dict[str, Any] = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
async def accounts(house: GatewayHouse) -> AsyncIterator[dict[str, AnthropicKeeper]]:
    async with AnthropicKeeper("one", key=KEYS["one"]) as one, AnthropicKeeper("two", key=KEYS["two"]) as two:
        servers = {"one": one, "two": two}
        for name, server in servers.items():
            account = await house.account("anthropic", server.url, KEYS[name])
            model = await house.model(account, MODEL)
        await house.keycairn.models.set_defaults({Slot.CHAT: model.id})
        yield servers


def sdk(house: GatewayHouse, token: str = "") -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=f"{house.url}/anthropic", api_key=token or house.token, max_retries=0)


def requests(count: int = 2, **params: Any) -> Any:
    return [{"custom_id": f"r{number}", "params": {**PARAMS, **params}} for number in range(count)]


async def test_batches_are_made_read_and_ended_at_their_account(
    house: GatewayHouse, accounts: dict[str, AnthropicKeeper]
) -> None:
    async with sdk(house) as client:
        for _ in range(12):
            made = await client.messages.batches.create(requests=requests())
            assert made.results_url == f"{house.url}/anthropic/v1/messages/batches/{made.id}/results"
            assert (await client.messages.batches.retrieve(made.id)).id == made.id
            results = [one async for one in await client.messages.batches.results(made.id)]
            assert [one.custom_id for one in results] == ["r0", "r1"]
            assert (await client.messages.batches.cancel(made.id)).results_url is None
            assert (await client.messages.batches.delete(made.id)).id == made.id
            with pytest.raises(anthropic.NotFoundError):
                await client.messages.batches.retrieve(made.id)
    assert all(server.requests for server in accounts.values())
    assert not any(server.kept for server in accounts.values())


async def test_files_are_used_where_they_live(house: GatewayHouse, accounts: dict[str, AnthropicKeeper]) -> None:
    async with sdk(house) as client:
        for _ in range(12):
            file = await client.beta.files.upload(file=("a.txt", b"text", "text/plain"), extra_query={"model": MODEL})
            assert (await client.beta.files.retrieve_metadata(file.id)).id == file.id
            assert await (await client.beta.files.download(file.id)).read() == b"text"
            part = {"type": "document", "source": {"type": "file", "file_id": file.id}}
            message = {"role": "user", "content": [part]}
            betas = ["files-api-2025-04-14"]
            answer = await client.beta.messages.create(**{**PARAMS, "messages": [message]}, betas=betas)
            assert answer.stop_reason == "end_turn"
            made = await client.beta.messages.batches.create(requests=requests(messages=[message]), betas=betas)
            own = next(server for server in accounts.values() if server.name in str(server.kept))
            assert file.id not in str(own.requests[-1].body)
            assert own.requests[-1].headers["anthropic-beta"].startswith(betas[0])
            await client.beta.messages.batches.delete(made.id)
            await client.beta.files.delete(file.id)
    assert not any(server.kept for server in accounts.values())


async def test_nobody_else_sees_them(house: GatewayHouse, accounts: dict[str, AnthropicKeeper]) -> None:
    _, other = await house.new_token(Scope.INVOKE)
    async with sdk(house) as mine, sdk(house, other) as theirs:
        batch = await mine.messages.batches.create(requests=requests())
        file = await mine.beta.files.upload(file=("a.txt", b"text", "text/plain"))
        for call in (
            theirs.messages.batches.retrieve(batch.id),
            theirs.messages.batches.results(batch.id),
            theirs.messages.batches.cancel(batch.id),
            theirs.messages.batches.delete(batch.id),
            theirs.beta.files.retrieve_metadata(file.id),
            theirs.beta.files.download(file.id),
            theirs.beta.files.delete(file.id),
        ):
            with pytest.raises(anthropic.NotFoundError):
                await call
        for listing in (mine.messages.batches.list(), mine.beta.files.list()):
            with pytest.raises(anthropic.NotFoundError, match="other tokens"):
                await listing
        own = next(id for server in accounts.values() for id in server.kept)
        with pytest.raises(anthropic.NotFoundError):
            await mine.messages.batches.retrieve(own)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"requests": []}, "same model"),
        ({"requests": [*requests(1), *requests(1, model="claude-opus-4-8")]}, "same model"),
        ({"requests": [{"custom_id": "a", "params": {}}]}, "model"),
        ({"requests": [{"custom_id": "a", "params": PARAMS, "x": PARAMS}]}, "nothing else"),
        ({"requests": "no"}, "nothing else"),
        ({"requests": requests(1), "model": MODEL}, "nothing else"),
        ([], "nothing else"),
    ],
)
async def test_a_batch_of_another_form_is_refused(
    house: GatewayHouse, accounts: dict[str, AnthropicKeeper], body: object, why: str
) -> None:
    headers = {"x-api-key": house.token, "anthropic-version": "2023-06-01"}
    async with httpx.AsyncClient(base_url=house.url, headers=headers) as http:
        answer = await http.post("/anthropic/v1/messages/batches", json=body)
    assert answer.status_code == 400
    assert why in answer.json()["error"]["message"]
    assert not any(server.requests for server in accounts.values())


async def test_a_name_of_ours_is_the_providers_in_every_request(
    house: GatewayHouse, accounts: dict[str, AnthropicKeeper]
) -> None:
    account = (await house.keycairn.store.credentials("default"))[0]
    await house.keycairn.models.create(
        "house",
        provider="anthropic",
        type=Modality.LANGUAGE,
        credential=account.id,
        provider_model=MODEL,
    )
    text = 'the "model": "house" is \u00fcber \\ all {"model":"house"}'
    async with sdk(house) as client:
        batch = requests(300, model="house", messages=[{"role": "user", "content": text}])
        made = await client.messages.batches.create(requests=batch)
        assert made.request_counts.succeeded == 300
    sent = next(server.requests[-1] for server in accounts.values() if server.requests).json()["requests"]
    assert {one["params"]["model"] for one in sent} == {MODEL}
    assert {one["params"]["messages"][0]["content"] for one in sent} == {text}
    assert len({one["custom_id"] for one in sent}) == 300


@pytest.mark.parametrize(
    "options", [{"limits": Limits(tokens_per_day=10)}, {"reach": Reach(models=(MODEL,))}], ids=["limited", "bounded"]
)
async def test_who_is_held_to_tokens_or_models_makes_no_batch(
    house: GatewayHouse, accounts: dict[str, AnthropicKeeper], options: dict[str, Any]
) -> None:
    _, text = await house.keycairn.tokens.create("t", (Scope.INVOKE,), **options)
    async with sdk(house, text.reveal()) as client:
        with pytest.raises((anthropic.BadRequestError, anthropic.PermissionDeniedError)):
            await client.messages.batches.create(requests=requests())
    assert not any(server.requests for server in accounts.values())


def test_the_results_are_where_people_find_the_service() -> None:
    scope: Any = {"scheme": "http", "headers": [(b"host", b"a.example:1")], "raw_path": b"/keys/v1/files", "path": ""}
    assert address_in(scope, "/v1/files") == "http://a.example:1/keys"
    assert address_in({**scope, PUBLIC_URL: "https://b.example/k"}, "/v1/files") == "https://b.example/k"
