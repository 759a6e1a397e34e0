"""What the palette is told: every credential, model and token by its words, as far as the token reaches."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.house import LANGUAGE, House
from tests.page import Browser, browsing

from keycairn.app.services.models import NewModel
from keycairn.domain.reach import Reach
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

ADMIN = "admin-0123456789-0123456789-0123456789"
MORE_THAN_A_PAGE = 1_050

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> House:
    house = House(admin_token=ADMIN)
    await house.open()
    for number in range(3):
        made = await house.keycairn.credentials.create(
            "openai", name=f"account {number}", secrets={"api_key": Secret(f"sk-{number:030}")}
        )
        await house.keycairn.models.create(
            f"own {number}", provider="openai", type=LANGUAGE, credential=made.credential.id
        )
    many = [NewModel(f"gpt-{number:04}", LANGUAGE) for number in range(MORE_THAN_A_PAGE)]
    await house.keycairn.probing.register(made.credential.id, many)
    await house.keycairn.tokens.create("notebook & co", (Scope.INVOKE,))
    return house


@pytest_asyncio.fixture(loop_scope="module")
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house, token=ADMIN) as browser:
        yield browser


async def told(browser: Browser, words: str) -> list[tuple[str, str]]:
    answer = await browser.client.get("/places.json", params={"q": words})
    return [(one["label"], one["href"]) for one in answer.json()]


async def test_all_there_is_is_found_by_its_words_however_much_it_is(house: House, browser: Browser) -> None:
    [last] = [one for one in await house.store.models("default", limit=None) if one.name == "gpt-1049"]
    assert await told(browser, "gpt-1049") == [("gpt-1049", f"/models/{last.id}")]
    assert [label for label, _ in await told(browser, "ACCOUNT openai")] == ["account 0", "account 1", "account 2"]
    assert await told(browser, "notebook") == [("notebook & co", "/tokens?q=notebook+%26+co")]
    assert len(await told(browser, "gpt")) == 20
    assert await told(browser, "") == await told(browser, "no such thing") == []


async def test_what_is_out_of_reach_is_not_told(house: House, browser: Browser) -> None:
    one = (await house.store.credentials("default"))[1]
    scopes = (Scope.CREDENTIALS_READ, Scope.MODELS_READ)
    _, token = await house.keycairn.tokens.create("bounded", scopes, reach=Reach(credentials=(one.id,)))
    browser.client.cookies.clear()
    await browser.sign_in(token.reveal())
    assert [label for label, _ in await told(browser, "account")] == [one.name]
    assert [label for label, _ in await told(browser, "own")] == ["own 1"]
    assert await told(browser, "gpt") == await told(browser, "notebook") == []
