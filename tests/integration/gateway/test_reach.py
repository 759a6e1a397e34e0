"""A token calls the accounts it reaches and no others, in its own workspace."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.gateway_house import GatewayHouse

from keycairn.domain.credential import Credential
from keycairn.domain.model import Slot
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.token import Scope
from keycairn.testing.openai_server import OpenAIServer
from keycairn.testing.server import KEY


@pytest.fixture
async def accounts(house: GatewayHouse, openai_server: OpenAIServer) -> tuple[Credential, Credential]:
    """Both have `shared`; each has one of its own."""
    openai_server.models |= dict.fromkeys(("shared", "local"), openai_server.models["gpt-4o"])
    first = await house.credential("openai", KEY, base_url=openai_server.url)
    second = await house.credential("openai_compatible", KEY, base_url=openai_server.url)
    for credential, own in ((first, "gpt-4o"), (second, "local")):
        await house.model(credential, own)
        await house.model(credential, "shared")
    return first, second


@pytest.fixture
async def client(house: GatewayHouse) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=house.url) as client:
        yield client


async def token(house: GatewayHouse, reach: Reach = EVERYWHERE, workspace: str = "default") -> dict[str, str]:
    _, text = await house.keycairn.tokens.create("t", (Scope.INVOKE,), reach=reach, workspace=workspace)
    return {"authorization": f"Bearer {text.reveal()}"}


def body(model: str) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("by", ["provider", "credential"])
async def test_a_bounded_token_uses_its_own_account_even_for_a_name_that_others_serve_too(
    house: GatewayHouse, client: httpx.AsyncClient, accounts: tuple[Credential, Credential], by: str
) -> None:
    first, second = accounts
    reach = Reach(providers=("openai_compatible",)) if by == "provider" else Reach(credentials=(second.id,))
    headers = await token(house, reach)
    for _ in range(6):
        answer = await client.post("/v1/chat/completions", json=body("shared"), headers=headers)
        assert (answer.status_code, answer.headers["x-keycairn-credential"]) == (200, second.id)
    assert (await client.post("/v1/chat/completions", json=body("local"), headers=headers)).status_code == 200
    refused = await client.post("/v1/chat/completions", json=body("gpt-4o"), headers=headers)
    nothing = await client.post("/v1/chat/completions", json=body("no-such"), headers=headers)
    assert (refused.status_code, refused.json()) == (404, nothing.json())
    assert "GET /v1/models lists those it may" in refused.text
    listed = (await client.get("/v1/models", headers=headers)).json()["data"]
    assert first.id not in str(listed)
    native = await client.get(f"/native/{first.id}/models", headers=headers)
    assert native.status_code == 404


async def test_a_default_out_of_reach_is_as_one_that_is_not_set(
    house: GatewayHouse, client: httpx.AsyncClient, accounts: tuple[Credential, Credential]
) -> None:
    first, second = accounts
    models = house.keycairn.models
    own = (await house.keycairn.credentials.linked_models(second.id))[0]
    other = (await house.keycairn.credentials.linked_models(first.id))[0]
    headers = await token(house, Reach(credentials=(second.id,)))

    async def answers() -> list[tuple[int, object]]:
        names = ("default:chat", "default:tools")
        sent = [await client.post("/v1/chat/completions", json=body(name), headers=headers) for name in names]
        return [(answer.status_code, answer.json()) for answer in sent]

    unset = await answers()
    assert "default:chat is not set, or its model is not among those this token may call" in str(unset)
    await models.set_defaults({Slot.CHAT: other.id, Slot.TOOLS: other.id})
    assert await answers() == unset
    await models.set_defaults({Slot.CHAT: own.id})
    served = await client.post("/v1/chat/completions", json=body("default:tools"), headers=headers)
    assert served.status_code == 200, "as where tools is not set, chat serves"


async def test_a_name_out_of_reach_hides_no_other(
    house: GatewayHouse, client: httpx.AsyncClient, accounts: tuple[Credential, Credential]
) -> None:
    _, second = accounts
    await house.model(second, "openai/gpt-4o")
    headers = await token(house, Reach(credentials=(second.id,)))
    answer = await client.post("/v1/chat/completions", json=body("openai/gpt-4o"), headers=headers)
    assert answer.headers["x-keycairn-credential"] == second.id


async def test_a_token_of_another_workspace_finds_nothing(
    house: GatewayHouse, client: httpx.AsyncClient, accounts: tuple[Credential, Credential]
) -> None:
    first, _ = accounts
    headers = await token(house, workspace="theirs")
    assert (await client.post("/v1/chat/completions", json=body("gpt-4o"), headers=headers)).status_code == 404
    assert (await client.get("/v1/models", headers=headers)).json()["data"] == []
    assert (await client.get(f"/native/{first.id}/models", headers=headers)).status_code == 404


async def test_a_used_token_and_refused_ones_are_told(house: GatewayHouse, client: httpx.AsyncClient) -> None:
    headers = await token(house)
    await client.get("/v1/models", headers=headers)
    await client.get("/v1/models", headers={"authorization": "Bearer nonsense"})
    await house.keycairn.audit_counters.flush()
    assert any(one.last_used for one in await house.keycairn.tokens.list())
    events = await house.keycairn.audit.events()
    assert [(e.actor, e.outcome) for e in events if e.action == "access.refused"] == [("anonymous", "unauthenticated")]
