"""What an operator does on the page, done in a browser."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect
from tests.browser import KEY, Place, needs_chromium

from keycairn.domain.credential import Credential
from keycairn.domain.secret import Secret

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium, pytest.mark.timeout(180)]
MOST_CLICKS = 6


async def a_credential(place: Place, name: str = "work") -> Credential:
    made = await place.keycairn.credentials.create(
        "openai_compatible",
        name=name,
        settings={"base_url": place.provider.url},
        secrets={"api_key": Secret(KEY)},
    )
    return made.credential


async def key_of(place: Place, credential: Credential) -> str:
    stored = await place.keycairn.store.credential("default", credential.id)
    assert stored is not None
    return (await place.keycairn.credential_opener.open(stored)).secrets["api_key"].reveal()


async def emptied(place: Place) -> None:
    for one in await place.keycairn.store.credentials("default"):
        await place.keycairn.credentials.delete(one.id)


def clicking(page: Page) -> tuple[Callable[[str, str], Any], list[str]]:
    clicks: list[str] = []

    async def click(role: str, name: str) -> None:
        clicks.append(name)
        await page.get_by_role(role, name=name).first.click()  # type: ignore[arg-type]  # a role's name

    return click, clicks


@pytest.mark.parametrize("scripts", [True, pytest.param(False, marks=pytest.mark.night)], ids=["scripts", "no scripts"])
async def test_from_the_first_link_to_a_tested_key_in_six_clicks(place: Place, *, scripts: bool) -> None:
    await emptied(place)
    token = (await place.keycairn.tokens.list())[0]
    code = place.keycairn.sessions.code(token.id).reveal()
    page = await place.opened(scripts=scripts)
    click, clicks = clicking(page)
    await page.goto(f"/sign-in?code={code}")
    await click("button", "Sign in")
    await click("link", "See plan")
    await page.wait_for_url("**/move-in")
    if await page.get_by_role("link", name="Bring back what was deleted").count():
        await click("link", "Bring back what was deleted")
    await page.locator("main button.primary").click()
    clicks.append("Move 1 key")
    await page.wait_for_url("**/move-in/*")
    await click("button", "Test all")
    if scripts:
        await expect(page.locator("#moved")).to_contain_text("Works")
    else:
        await page.wait_for_timeout(500)
        await page.reload()
        assert "Works" in await page.locator("#moved").inner_text()
    assert len(clicks) <= MOST_CLICKS
    assert KEY not in await page.content()


async def test_an_untouched_save_keeps_the_key_and_a_failed_one_what_was_typed(place: Place) -> None:
    credential = await a_credential(place)
    page = await place.opened(f"/credentials/{credential.id}/edit")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_text("Nothing was changed.")).to_be_visible()
    await page.goto(f"/credentials/{credential.id}/edit")
    await page.get_by_label("Name").fill("")
    await page.get_by_label("New API key").fill("sk-typed-0123456789abcdef")
    await expect(page.get_by_label("Replace it").first).to_be_checked()
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page).to_have_title("Error: Edit work · Keycairn")
    await expect(page.get_by_label("New API key")).to_have_value("sk-typed-0123456789abcdef")
    assert "sk-typed" not in await page.content()
    assert await key_of(place, credential) == KEY


async def test_a_session_that_ends_in_the_middle_of_a_form_loses_nothing(place: Place) -> None:
    credential = await a_credential(place, "before")
    page = await place.opened(f"/credentials/{credential.id}/edit")
    await page.get_by_label("Name").fill("after")
    await page.context.clear_cookies()
    await page.get_by_role("button", name="Save", exact=True).click()
    await page.get_by_role("dialog").get_by_label("Token").fill(place.token)
    await page.get_by_role("button", name="Sign in and send again").click()
    await expect(page.get_by_role("heading", name="after")).to_be_visible()


async def test_a_service_that_is_away_loses_nothing_either(place: Place) -> None:
    credential = await a_credential(place)
    page = await place.opened(f"/credentials/{credential.id}/edit")
    await page.get_by_label("Name").fill("typed")
    await page.context.set_offline(True)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.locator("[data-toast]")).to_contain_text("Not saved")
    await expect(page.get_by_label("Name")).to_have_value("typed")
    await page.context.set_offline(False)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("heading", name="typed")).to_be_visible()
    place.trouble.clear()  # being offline is told in the console


async def test_by_keyboard_alone_the_palette_leads_anywhere(place: Place) -> None:
    await a_credential(place, "findable <script>document.title='x'</script>")
    page = await place.opened("/")
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("combobox")).to_be_focused()
    await page.keyboard.type("findable")
    await expect(page.get_by_role("option").first).to_contain_text("findable <script>")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("<script>")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    assert "#main" in page.url, "the first stop leads past the navigation"
