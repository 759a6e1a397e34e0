"""A model on the page: two editors, and a form that holds what it was given."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.house import LANGUAGE, House
from tests.page import Browser, browsing, fields_of

from keycairn.app.services.models import ModelPatch
from keycairn.domain.model import Model
from keycairn.domain.price import Price

ADMIN = "admin-0123456789-0123456789-0123456789"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> House:
    house = House(admin_token=ADMIN)
    await house.open()
    return house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house, token=ADMIN) as browser:
        yield browser


async def form_of(browser: Browser, model: Model) -> dict[str, str | list[str]]:
    return changed_form((await browser.get(f"/models/{model.id}")).text, model)


def changed_form(text: str, model: Model) -> dict[str, str | list[str]]:
    form = text[text.index(f'<form method="post" action="/models/{model.id}" ') :]
    return fields_of(form[: form.index("</form>")])


async def test_an_untouched_form_keeps_a_price_to_its_last_digit(house: House, browser: Browser) -> None:
    price = Price(input=0.000_000_012_345_678_9, output=1 / 3, cached=1e-7)
    model = await house.keycairn.models.create("exact", provider="openai", type=LANGUAGE, price=price)
    before = await house.keycairn.models.get(model.id)
    assert (await browser.post(f"/models/{model.id}", await form_of(browser, model))).status_code == 303
    assert await house.keycairn.models.get(model.id) == before


async def test_the_second_of_two_editors_of_a_model_sees_both_versions(house: House, browser: Browser) -> None:
    model = await house.keycairn.models.create("shared", provider="openai", type=LANGUAGE)
    mine = {**await form_of(browser, model), "weight": "7", "priority": "2"}
    await house.keycairn.models.update(model.id, ModelPatch(weight=5, context_length=9000))
    answer = await browser.post(f"/models/{model.id}", mine)
    assert answer.status_code == 412
    asked = re.findall(r'name="take:([^"]+)" value="(\w+)" checked', answer.text)
    assert asked == [("priority", "mine"), ("weight", "mine"), ("context_length", "theirs")]
    chosen = {**changed_form(answer.text, model), "take:weight": "theirs"}
    assert (await browser.post(f"/models/{model.id}", chosen)).status_code == 303
    after = await house.keycairn.models.get(model.id)
    assert (after.weight, after.priority, after.context_length) == (5, 2, 9000)


async def test_a_filter_that_there_is_not_is_said_and_left_out(browser: Browser) -> None:
    for path in ("/models?type=poetry", "/audit?action=poetry", "/usage?by=poetry", "/credentials?state=poetry"):
        answer = await browser.get(path)
        assert answer.status_code == 200
        assert "There is nothing called <bdi>poetry</bdi>" in answer.text, path
