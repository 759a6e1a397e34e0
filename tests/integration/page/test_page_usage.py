"""Usage on the page and over HTTP, by the hour."""

from collections.abc import AsyncIterator

import pytest
from tests.house import House
from tests.page import Browser, browsing

from keycairn.domain.change import AddUsage
from keycairn.domain.usage import Usage, UsageKey

ADMIN = "admin-0123456789-0123456789-0123456789"


@pytest.fixture
async def house() -> House:
    house = House(admin_token=ADMIN)
    await house.open()
    today = house.keycairn.clock.now().date()

    def key(model: str) -> UsageKey:
        return UsageKey(day=today, workspace="default", token="t", credential="c", model=model)

    used = [
        (key("a"), Usage(requests=3, input_tokens=10).within(7)),
        (key("b"), Usage(requests=4, failed=1, nanos=5_000_000_000).within(7)),
        (key("b"), Usage(requests=5).within(23)),
        (key("b"), Usage(requests=6)),
    ]
    await house.store.commit(tuple(AddUsage(one, usage) for one, usage in used))
    return house


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    async with browsing(house, token=ADMIN) as browser:
        yield browser


async def test_the_last_days_are_shown_by_the_hour(house: House, browser: Browser) -> None:
    today = house.keycairn.clock.now().date()
    shown = (await browser.get("/usage?by=hour")).text
    for word in ("Calls an hour", f"{today} 07:00", f"{today} 23:00", f"{today} at an unknown hour"):
        assert word in shown
    assert "6 calls of these days were kept without the hour" in shown
    lines = (await browser.get("/usage.csv?by=hour")).text.splitlines()
    assert [line.split(",")[0::2][:2] for line in lines[1:]] == [
        [f"{today} at an unknown hour", "6"],
        [f"{today} 23:00", "5"],
        [f"{today} 07:00", "7"],
    ]


async def test_more_days_than_can_be_read_by_the_hour_are_asked_for_otherwise(browser: Browser) -> None:
    assert (
        "Ask for 1 to 7 days by the hour." in (await browser.get("/usage?by=hour&from=2020-01-01&to=2020-03-01")).text
    )


async def test_the_hours_are_told_over_http(house: House, browser: Browser) -> None:
    answer = await browser.client.get("/api/usage?by=day&by=hour", headers={"Authorization": f"Bearer {ADMIN}"})
    found = [(one["day"], one["hour"], one["requests"], one["cost"]) for one in answer.json()]
    today = str(house.keycairn.clock.now().date())
    assert found == [(today, None, 6, 0.0), (today, 7, 7, 5.0), (today, 23, 5, 0.0)]
    plain = await browser.client.get("/api/usage?by=day", headers={"Authorization": f"Bearer {ADMIN}"})
    assert [(one["hour"], one["requests"]) for one in plain.json()] == [(None, 18)]
