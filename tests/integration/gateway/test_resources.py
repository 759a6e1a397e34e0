"""What lives at one account is found there again: by every turn, after a restart, and by nobody else."""

import json
from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from tests.gateway_house import GatewayHouse
from tests.servers.keeping_api import KeepingServer

from keycairn.app.gateway.naming import READ_AT_ONCE
from keycairn.app.services.credentials import CredentialPatch
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.model import Slot
from keycairn.domain.reach import Reach
from keycairn.domain.token import Scope

KEYS = {"one": "sk-one-0123456789abcdef", "two": "sk-two-0123456789abcdef"}


@pytest.fixture
async def accounts(house: GatewayHouse) -> AsyncIterator[dict[str, KeepingServer]]:
    """Two accounts of one provider, which share the calls of a model."""
    async with KeepingServer("one", key=KEYS["one"]) as one, KeepingServer("two", key=KEYS["two"]) as two:
        servers = {"one": one, "two": two}
        for name, server in servers.items():
            credential = await house.credential("openai", KEYS[name], base_url=server.url)
            model = await house.model(credential, "gpt-4o")
        await house.keycairn.models.set_defaults({Slot.CHAT: model.id})
        yield servers


@pytest.fixture
async def sdk(house: GatewayHouse, accounts: dict[str, KeepingServer]) -> AsyncIterator[openai.AsyncOpenAI]:
    del accounts
    async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=house.token, max_retries=0) as client:
        yield client


async def test_thirty_second_turns_reach_the_account_of_the_first(
    sdk: openai.AsyncOpenAI, accounts: dict[str, KeepingServer]
) -> None:
    for turn in range(30):
        first = await sdk.responses.create(model="gpt-4o", input=f"Hello {turn}")
        second = await sdk.responses.create(model="gpt-4o", input="And?", previous_response_id=first.id)
        assert second.previous_response_id == first.id
        assert second.output_text == first.output_text
    assert all(server.kept for server in accounts.values())


async def test_the_turns_of_a_stream_do_too(sdk: openai.AsyncOpenAI) -> None:
    for _ in range(10):
        first = await sdk.responses.create(model="gpt-4o", input="Hello")
        async with sdk.responses.stream(model="gpt-4o", input="And?", previous_response_id=first.id) as events:
            ids = {
                event.response.id async for event in events if event.type in {"response.created", "response.completed"}
            }
            second = await events.get_final_response()
        assert ids == {second.id}
        assert second.output_text == first.output_text
        third = await sdk.responses.create(model="gpt-4o", input="So?", previous_response_id=second.id)
        assert third.output_text == first.output_text


async def test_a_reference_in_a_long_body_is_found(sdk: openai.AsyncOpenAI) -> None:
    picture = {"role": "user", "content": [{"type": "input_text", "text": "x" * 3 * READ_AT_ONCE}]}
    for _ in range(8):
        first = await sdk.responses.create(model="gpt-4o", input="Hello")
        second = await sdk.responses.create(model="gpt-4o", input=[picture], previous_response_id=first.id)  # type: ignore[list-item]  # a plain dict
        assert second.output_text == first.output_text


async def test_a_stored_response_can_be_read_cancelled_and_deleted(sdk: openai.AsyncOpenAI) -> None:
    made = await sdk.responses.create(model="gpt-4o", input="Hello")
    assert (await sdk.responses.retrieve(made.id)).id == made.id
    assert (await sdk.responses.cancel(made.id)).status == "cancelled"
    items = await sdk.responses.input_items.list(made.id)
    assert [item.id for item in items.data] == ["msg_0"]
    await sdk.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve(made.id)


async def test_files_and_batches_live_at_the_account_that_took_the_file(sdk: openai.AsyncOpenAI) -> None:
    for _ in range(6):
        content = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}'
        file = await sdk.files.create(file=("f.jsonl", content), purpose="batch", extra_query={"model": "gpt-4o"})
        assert (await sdk.files.retrieve(file.id)).id == file.id
        assert (await sdk.files.content(file.id)).content == content
        batch = await sdk.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        assert batch.input_file_id == file.id
        again = await sdk.batches.retrieve(batch.id)
        assert again.output_file_id == batch.output_file_id or again.output_file_id
        assert (await sdk.files.content(again.output_file_id or "")).content == b'{"custom_id": "1"}'
        assert (await sdk.batches.cancel(batch.id)).status == "cancelled"
        part = {"role": "user", "content": [{"type": "input_file", "file_id": file.id}]}
        answer = await sdk.responses.create(model="gpt-4o", input=[part])  # type: ignore[list-item]  # a plain dict
        assert answer.status == "completed"
        assert (await sdk.files.delete(file.id)).deleted


async def test_a_file_goes_to_the_account_of_the_default_chat_model_where_no_model_is_named(
    sdk: openai.AsyncOpenAI, accounts: dict[str, KeepingServer]
) -> None:
    await sdk.files.create(file=("f.jsonl", b"{}"), purpose="batch")
    assert [name for name, server in accounts.items() if server.kept] == ["two"]


async def test_nobody_else_finds_it(
    house: GatewayHouse, sdk: openai.AsyncOpenAI, accounts: dict[str, KeepingServer]
) -> None:
    made = await sdk.responses.create(model="gpt-4o", input="Hello")
    _, token = await house.new_token()
    async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=token, max_retries=0) as other:
        with pytest.raises(openai.NotFoundError):
            await other.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            await other.responses.create(model="gpt-4o", input="And?", previous_response_id=made.id)
    asked = sum(len(server.requests) for server in accounts.values())
    assert asked == 1


async def test_the_providers_own_id_is_not_told(sdk: openai.AsyncOpenAI, accounts: dict[str, KeepingServer]) -> None:
    made = await sdk.responses.create(model="gpt-4o", input="Hello")
    own = {id for server in accounts.values() for id in server.kept}
    assert made.id not in own
    assert made.id.startswith("resp_")
    assert not any(id in made.model_dump_json() for id in own)


@pytest.mark.parametrize(
    "path",
    [
        "responses/resp_one00000000000000000000000000000000000000000001",
        "responses/resp_kc_" + "A" * 90,
        "responses/kc_",
        "files/file-1",
        "files/..%2Fmodels",
        "batches/batch_1",
        "batches/batch_1/cancel",
    ],
)
async def test_an_id_that_was_not_given_out_is_404(
    house: GatewayHouse, accounts: dict[str, KeepingServer], path: str
) -> None:
    async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
        method = "POST" if path.endswith("cancel") else "GET"
        answer = await client.request(method, f"/v1/{path}")
    assert answer.status_code in {400, 404}
    assert not any(server.requests for server in accounts.values())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/files", 404),
        ("GET", "/v1/batches", 404),
        ("PUT", "/v1/files", 404),
        ("POST", "/v1/batches", 400),
        ("POST", "/v1/files", 400),
        ("GET", "/v1/responses", 405),
    ],
)
async def test_what_would_show_what_others_made_is_refused(
    house: GatewayHouse, accounts: dict[str, KeepingServer], method: str, path: str, status: int
) -> None:
    async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
        answer = await client.request(method, path, content=b"{}" if method == "POST" else None)
    assert answer.status_code == status, answer.text
    assert not any(server.requests for server in accounts.values())


async def test_what_lives_at_two_accounts_cannot_be_put_together(sdk: openai.AsyncOpenAI) -> None:
    made = {(one := await sdk.responses.create(model="gpt-4o", input=f"Hi {n}")).output_text: one.id for n in range(40)}
    assert len(made) == 2
    parts = [{"role": "user", "content": [{"type": "input_file", "file_id": id} for id in made.values()]}]
    with pytest.raises(openai.BadRequestError, match="several accounts"):
        await sdk.responses.create(model="gpt-4o", input=parts)  # type: ignore[arg-type]  # plain dicts


async def test_another_model_of_the_same_account_goes_on_with_it(house: GatewayHouse, sdk: openai.AsyncOpenAI) -> None:
    made = await sdk.responses.create(model="gpt-4o", input="Hello")
    for credential in await house.keycairn.store.credentials("default", limit=9):
        await house.keycairn.models.create(
            "gpt-5-mini", provider="openai", type=Modality.LANGUAGE, credential=credential.id, priority=0
        )
    second = await sdk.responses.create(model="gpt-5-mini", input="And?", previous_response_id=made.id)
    assert second.output_text == made.output_text


async def test_a_model_that_the_account_does_not_serve_is_refused(house: GatewayHouse, sdk: openai.AsyncOpenAI) -> None:
    async with KeepingServer("three", key="sk-three-0123456789abcdef") as server:
        credential = await house.credential("xai", "sk-three-0123456789abcdef", base_url=server.url)
        await house.model(credential, "grok-4")
        made = await sdk.responses.create(model="gpt-4o", input="Hello")
        with pytest.raises(openai.BadRequestError, match="does not serve this model"):
            await sdk.responses.create(model="grok-4", input="And?", previous_response_id=made.id)
        assert not server.requests


async def test_a_token_whose_tokens_are_counted_makes_no_batch(
    house: GatewayHouse, accounts: dict[str, KeepingServer]
) -> None:
    del accounts
    _, token = await house.new_token(limits=Limits(tokens_per_day=1000))
    async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=token, max_retries=0) as client:
        file = await client.files.create(file=("f.jsonl", b"{}"), purpose="batch")
        with pytest.raises(openai.BadRequestError, match="a limit of tokens or money"):
            await client.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")


async def test_reading_a_response_again_costs_no_tokens(house: GatewayHouse, sdk: openai.AsyncOpenAI) -> None:
    made = await sdk.responses.create(model="gpt-4o", input="Hello")
    for _ in range(3):
        await sdk.responses.retrieve(made.id)
    sums = list((await house.usage()).values())
    assert sum(one.requests for one in sums) == 4
    assert sum(one.input_tokens + one.output_tokens for one in sums) == 10


async def test_a_rotated_key_still_reaches_what_was_made_with_the_former_one(
    house: GatewayHouse, sdk: openai.AsyncOpenAI, accounts: dict[str, KeepingServer]
) -> None:
    made = await sdk.responses.create(model="gpt-4o", input="Hello")
    for credential in await house.keycairn.store.credentials("default", limit=9):
        name = next(name for name, server in accounts.items() if credential.settings["base_url"] == server.url)
        accounts[name].key = f"sk-{name}-fedcba9876543210"
        await house.rotate(credential, f"sk-{name}-fedcba9876543210")
    assert (await sdk.responses.retrieve(made.id)).id == made.id


async def test_an_answer_whose_length_was_announced_is_whole(
    house: GatewayHouse, accounts: dict[str, KeepingServer]
) -> None:
    del accounts
    async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
        answer = await client.post("/v1/responses", json={"model": "gpt-4o", "input": "Hello"})
    assert json.loads(answer.content)["object"] == "response"
    assert answer.headers.get("content-length") in {None, str(len(answer.content))}


@pytest.mark.parametrize(("models", "fine"), [(("gpt-4o",), False), (("openai/*",), True)])
async def test_a_token_with_a_list_of_models_makes_no_batch_that_may_name_others(
    house: GatewayHouse,
    accounts: dict[str, KeepingServer],
    models: tuple[str, ...],
    fine: bool,  # noqa: FBT001
) -> None:
    del accounts
    _, text = await house.keycairn.tokens.create("t", (Scope.INVOKE,), reach=Reach(models=models))
    async with openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=text.reveal(), max_retries=0) as client:
        file = await client.files.create(file=("f.jsonl", b"{}"), purpose="batch", extra_query={"model": "gpt-4o"})
        asked = client.batches.create(input_file_id=file.id, endpoint="/v1/responses", completion_window="24h")
        if fine:
            assert (await asked).input_file_id == file.id
        else:
            with pytest.raises(openai.PermissionDeniedError, match="certain models only"):
                await asked


async def test_a_chat_finds_the_file_it_refers_to(sdk: openai.AsyncOpenAI, accounts: dict[str, KeepingServer]) -> None:
    file = await sdk.files.create(file=("f.pdf", b"%PDF"), purpose="user_data", extra_query={"model": "gpt-4o"})
    (home,) = (server for server in accounts.values() if server.kept)
    for n in range(6):
        part = {
            "role": "user",
            "content": [{"type": "file", "file": {"file_id": file.id}}, {"type": "text", "text": f"{n}"}],
        }
        await sdk.chat.completions.create(model="gpt-4o", messages=[part])  # type: ignore[list-item]  # a plain dict
        assert next(iter(home.kept)).encode() in home.requests[-1].body
    assert len(home.requests) == 7


async def test_a_text_that_is_a_keycairn_token_is_no_reference(house: GatewayHouse, sdk: openai.AsyncOpenAI) -> None:
    await sdk.responses.create(model="gpt-4o", input=house.token)


async def test_an_error_names_what_was_asked_for_by_the_id_it_was_given(
    sdk: openai.AsyncOpenAI, accounts: dict[str, KeepingServer]
) -> None:
    made = await sdk.responses.create(model="gpt-4o", input="Hello")
    own = {id for server in accounts.values() for id in server.kept}
    await sdk.responses.delete(made.id)
    for again in (
        sdk.responses.retrieve(made.id),
        sdk.responses.create(model="gpt-4o", input="And?", previous_response_id=made.id),
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            await again
        assert made.id in refused.value.response.text
        assert not any(id in refused.value.response.text for id in own)


@pytest.mark.parametrize("query", ["key=abc", "api_key=x", "%6bey=abc", "_method=DELETE"])
async def test_a_query_that_says_who_calls_or_another_method_is_refused(
    house: GatewayHouse, sdk: openai.AsyncOpenAI, accounts: dict[str, KeepingServer], query: str
) -> None:
    made = await sdk.responses.create(model="gpt-4o", input="Hello")
    async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
        answer = await client.get(f"/v1/responses/{made.id}?{query}")
    assert answer.status_code == 400
    assert sum(len(server.requests) for server in accounts.values()) == 1


@pytest.mark.parametrize("filling", ["x", "x" * 2 * READ_AT_ONCE], ids=["short", "long"])
@pytest.mark.parametrize("name", ["background", r"\u0062ackground"])
async def test_a_token_whose_tokens_are_counted_has_nothing_done_in_the_background(
    house: GatewayHouse, accounts: dict[str, KeepingServer], filling: str, name: str
) -> None:
    _, token = await house.new_token(limits=Limits(tokens_per_day=100_000))
    bodies = {on: f'{{"model": "gpt-4o", "input": "{filling}", "{name}": {on}}}' for on in ("true", "false")}
    async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {token}"}) as client:
        refused = await client.post("/v1/responses", content=bodies["true"])
        assert refused.status_code == 400
        assert "in the background" in refused.text
        assert not any(server.requests for server in accounts.values())
        assert (await client.post("/v1/responses", content=bodies["false"])).status_code == 200


@pytest.mark.parametrize("query", ["include[]=a", "include%5B%5D=a"])
async def test_lists_in_a_query_go_on_escaped(
    house: GatewayHouse, sdk: openai.AsyncOpenAI, accounts: dict[str, KeepingServer], query: str
) -> None:
    made = await sdk.responses.create(model="gpt-4o", input="Hello")
    async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
        answer = await client.get(f"/v1/responses/{made.id}?{query}")
    assert answer.status_code == 200
    assert sum(len(server.requests) for server in accounts.values()) == 2


@pytest.mark.parametrize("native", [False, True])
async def test_an_account_whose_tokens_are_counted_has_nothing_done_in_the_background(
    house: GatewayHouse, accounts: dict[str, KeepingServer], *, native: bool
) -> None:
    for credential in await house.keycairn.store.credentials("default", limit=9):
        await house.keycairn.credentials.update(credential.id, CredentialPatch(limits=Limits(tokens_per_day=1000)))
    path = f"/native/{credential.id}/responses" if native else "/v1/responses"
    async with httpx.AsyncClient(base_url=house.url, headers={"authorization": f"Bearer {house.token}"}) as client:
        refused = await client.post(path, json={"model": "gpt-4o", "input": "Hi", "background": True})
        passed = await client.post(path, json={"model": "gpt-4o", "input": "Hi"})
    assert (refused.status_code, passed.status_code) == (400, 200)
    assert sum(len(server.requests) for server in accounts.values()) == 1
