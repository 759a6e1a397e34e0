"""What holds on every page: everyone can use it, nothing moves or sticks out, and it is light.

The pages are those of the route table, so that a new one is tried too; by day some of them, each in one of its looks.
"""

from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect
from tests.browser import KEY, Place, needs_chromium
from tests.nights import by_day
from tests.permissions import PAGE_RULES

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium, pytest.mark.timeout(180)]
NO_PAGES = {"/assets/{name}", "/places.json", "/usage.csv", "/move-in/{job}", "/move-in/file/{job}"}
"""Files, and pages of what was begun on another, which are reached from there."""
PAGES = [
    *sorted(path for method, path in PAGE_RULES if method == "GET" and path not in NO_PAGES),
    "/credentials/new?provider=acme",
    "/credentials/new?provider=vertex",
    "/credentials?q=nobody-is-called-so",
    "/models?type=poetry",
    "/usage?by=hour",
    "/usage?by=model",
    "/usage?from=2020-01-01&to=2020-01-02",
    "/audit?follow=1",
    "/credentials/credential:NOBODY",
    "/no-such-page",
]
BY_DAY = 13
LOOKS = [(dark, width) for dark in (False, True) for width in (1280, 320)]
MOST_BYTES = 60_000
SPILLS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WEIGHT = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((one) => one.initiatorType !== "fetch" && one.initiatorType !== "xmlhttprequest")
  .reduce((sum, one) => sum + one.encodedBodySize, 0)"""
SHIFTS = """() => new Promise((resolve) => {
  const moved = [];
  const told = (one) => one.sources.map((part) => (part.node?.outerHTML ?? "a text").slice(0, 80));
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) moved.push(...told(one));
  }).observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => resolve(moved)));
})"""
"""What moved while the page came, but for what a person did."""


async def check(page: Page, looks: list[tuple[bool, int]]) -> None:
    """axe finds no fault of any level in these looks, and nothing sticks out at the side."""
    if "follow=1" not in page.url:  # there, what comes in moves what is older
        if await page.evaluate(SHIFTS):  # a busy machine may show a page before all of it is there: what is ours, stays
            await page.reload()
        assert await page.evaluate(SHIFTS) == [], page.url
    assert await page.evaluate(WEIGHT) < MOST_BYTES, page.url
    for dark, width in looks:
        await page.set_viewport_size({"width": width, "height": 800})
        await page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
        found = await Axe().run(page)
        assert not found.response["violations"], (page.url, dark, width, found.generate_report())
        assert await page.evaluate(SPILLS) <= 0, (page.url, width)


@pytest.mark.parametrize("path", by_day(PAGES, one_in=BY_DAY))
async def test_everyone_can_use_every_page(place: Place, request: pytest.FixtureRequest, path: str) -> None:
    credential = await place.account("Donaudampfschifffahrtsgesellschaft " + "x" * 120, models=("gpt-4o",))
    [model] = await place.keycairn.store.models("default", credential=credential, limit=None)
    token = (await place.keycairn.tokens.list())[0].id
    id = {"/tokens": token, "/models": model.id}.get(f"/{path.split('/')[1]}", credential)
    number = PAGES.index(path)
    looks = LOOKS if request.node.get_closest_marker("night") else [LOOKS[number // BY_DAY % len(LOOKS)]]
    dark, width = looks[0]
    page = await place.opened(path.replace("{id}", id), dark=dark, width=width)
    await check(page, looks)
    await place.keycairn.credentials.delete(credential)


@pytest.mark.night
async def test_everyone_can_use_the_pages_of_what_was_begun(place: Place, tmp_path: Path) -> None:
    table = tmp_path / "keys.csv"
    rows = [f"openai_compatible,row {number},{KEY}{number:016},{place.provider.url}" for number in range(3)]
    table.write_text("\n".join(["provider,name,api_key,base_url", *rows, "no_such_provider,x,y,"]))
    page = await place.opened("/move-in")
    await page.get_by_role("button", name="See plan").click()
    await expect(page.locator("#f-file-error")).to_contain_text("choose a file")
    await check(page, LOOKS)
    await page.get_by_label("File").set_input_files(table)
    await page.get_by_label("It is").select_option(label="a table, CSV or JSON")
    await page.get_by_role("button", name="See plan").click()
    await expect(page.get_by_role("heading", name="Move in from keys.csv")).to_be_visible()
    await check(page, LOOKS)
    await page.get_by_role("button", name="Move 3 credentials").click()
    await expect(page.locator("#moved")).to_contain_text("3 credentials came in")
    await check(page, LOOKS)


@pytest.mark.night
@pytest.mark.parametrize("path", ["/credentials/new?provider=acme", "/tokens/new", "/playground", "/encryption"])
async def test_everyone_can_use_a_form_that_was_refused(place: Place, path: str) -> None:
    page = await place.opened(path)
    if path == "/encryption":
        await page.locator("summary", has_text="Change the root key").click()
    for one in await page.locator("main form input[type=text]").all():
        if await one.is_visible():
            await one.fill("")
    await page.locator("main form button.primary, main form button.danger").last.click()
    await expect(page.locator("main .error-text").first).to_be_visible()
    await check(page, LOOKS)


@pytest.mark.night
async def test_everyone_can_use_the_palette(place: Place) -> None:
    page = await place.opened("/")
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("dialog").get_by_role("option").first).to_be_visible()
    for dark in (False, True):
        await page.emulate_media(color_scheme="dark" if dark else "light")
        found = await Axe().run(page)
        assert not found.response["violations"], found.generate_report()
