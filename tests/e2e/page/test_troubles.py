"""What goes wrong, who may do less, and who comes with much, seen in a browser."""

import socket
from secrets import token_hex

import pytest
from playwright.async_api import Page, expect
from tests.browser import KEY, Place, needs_chromium, served
from tests.fakes import FakeEnvironment

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.adapters.clock import SystemClock
from keycairn.adapters.guarded_http import GuardedHttp
from keycairn.adapters.ids import UlidIds
from keycairn.adapters.memory import MemoryStore
from keycairn.app.keycairn import Keycairn
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.ids import CredentialId
from keycairn.domain.reach import Reach
from keycairn.domain.token import Scope
from keycairn.plugins.registry import PluginRegistry

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium, pytest.mark.timeout(180)]
NAMES = [
    "<script>document.title='x'</script>",
    "x" * 200,
    "{{7*7}} '\"><b>",
    "حساب للعمل",
    "Donaudampfschifffahrtsgesellschaftskapitaensmuetze",
]
SPILLS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
KEPT = "JSON.stringify([{...localStorage}, {...sessionStorage}, location.href, history.state])"
MANY = 500


async def save(page: Page) -> None:
    await page.get_by_role("button", name="Save", exact=True).click()


async def test_the_second_of_two_people_sees_both_versions_and_chooses(place: Place) -> None:
    id = await place.account("ours")
    mine = await place.opened(f"/credentials/{id}/edit")
    theirs = await place.another(f"/credentials/{id}/edit")
    await theirs.get_by_label("Name").fill("theirs")
    await theirs.locator("summary", has_text="What it is for").click()
    await theirs.get_by_label("Calls a minute").fill("60")
    await save(theirs)
    await expect(theirs.get_by_role("heading", name="theirs")).to_be_visible()
    await mine.get_by_label("Name").fill("mine")
    await save(mine)
    await expect(mine.get_by_role("heading", name="Somebody else saved this meanwhile")).to_be_visible()
    await expect(mine.get_by_label("Yours: mine")).to_be_checked()
    await expect(mine.get_by_label("Theirs: 60")).to_be_checked()
    await mine.get_by_label("Theirs: theirs").check()
    await save(mine)
    await expect(mine.get_by_role("heading", name="theirs")).to_be_visible()
    await expect(mine.locator("main")).to_contain_text("60 calls")


async def test_a_plugins_provider_has_its_form_and_its_key_is_nowhere_in_the_browser(place: Place) -> None:
    key = f"{KEY}{token_hex(8)}"
    page = await place.opened("/credentials/new?provider=acme")
    await page.get_by_label("Name").fill("of a plugin")
    await page.get_by_label("Zugangsschluessel").fill(key)
    await page.get_by_label("Base URL").fill(place.provider.url)
    await page.locator("summary", has_text="More settings").click()
    await page.get_by_label("Region").select_option("us")
    await page.get_by_label("Seats").fill("many")
    await save(page)
    await expect(page.locator("#f-setting-seats-error")).to_contain_text("must be a positive whole number")
    await expect(page.get_by_label("Zugangsschluessel")).to_have_value(key)
    assert await page.get_by_label("Zugangsschluessel").get_attribute("autocomplete") == "new-password"
    await page.get_by_label("Seats").fill("3")
    await page.get_by_role("button", name="Save and test").click()
    await expect(page.locator("#state")).to_contain_text("Works")
    for path in ("", "/edit"):
        await page.goto(page.url.partition("?")[0].removesuffix("/edit") + path)
        kept = await page.evaluate(
            "JSON.stringify([{...localStorage}, {...sessionStorage}, location.href, history.state])"
        )
        assert key not in kept + await page.content()
    await page.go_back()
    await page.go_back()
    assert key not in [await one.input_value() for one in await page.locator("input, textarea").all()]


@pytest.mark.night
async def test_a_provider_that_is_down_is_told_and_nothing_is_lost(place: Place) -> None:
    page = await place.opened("/credentials/new?provider=openai_compatible")
    await page.get_by_label("Name").fill("nobody listens")
    await page.get_by_label("API key", exact=True).fill(f"{KEY}{token_hex(8)}")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    await page.get_by_label("Base URL").first.fill(nowhere)
    await page.get_by_role("button", name="Save and test").click()
    await expect(page.locator("#f-secret-api_key-error")).to_contain_text("cannot be reached")
    await expect(page.get_by_label("API key", exact=True)).not_to_have_value("")
    await save(page)
    await expect(page.get_by_role("heading", name="nobody listens")).to_be_visible()
    await page.get_by_role("button", name="Test", exact=True).click()
    await expect(page.locator("#state")).to_contain_text("No connection")
    await page.get_by_role("link", name="Models", exact=True).nth(1).click()
    await page.get_by_role("button", name="Ask the provider").click()
    await expect(page.locator("main [role=alert]")).to_be_visible()


@pytest.mark.night
async def test_a_form_of_an_ended_session_comes_back_without_scripts(place: Place) -> None:
    id = await place.account("before it ended")
    page = await place.opened(f"/credentials/{id}/edit", scripts=False)
    await page.get_by_label("Name").fill("after it ended")
    await page.context.clear_cookies()
    await save(page)
    await expect(page.get_by_role("alert")).to_contain_text("what you filled in is kept")
    await page.get_by_label("Token").fill("kc_mistyped")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#token-error")).to_contain_text("No such token works here")
    await page.get_by_label("Token").fill(place.token)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("button", name="Send again").click()
    await expect(page.get_by_role("heading", name="after it ended")).to_be_visible()


async def test_a_record_that_is_gone_leaves_what_was_typed(place: Place) -> None:
    id = await place.account("going")
    page = await place.opened(f"/credentials/{id}/edit")
    await page.get_by_label("Name").fill("typed at length")
    await place.keycairn.credentials.delete(id)
    await save(page)
    await expect(page.get_by_role("alert")).to_contain_text("It may have been deleted")
    await expect(page.get_by_label("Name")).to_have_value("typed at length")


@pytest.mark.night
@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_a_text_wherever_it_stands(place: Place, name: str) -> None:
    id = await place.account(name)
    for path in ("/credentials", f"/credentials/{id}", f"/credentials/{id}/edit", f"/credentials/{id}/delete"):
        page = await place.opened(path, width=320)
        assert name in (await page.locator("main").inner_text() if path == "/credentials" else name)
        assert await page.evaluate(SPILLS) <= 0, path
        assert "Keycairn" in await page.title()
    await place.keycairn.credentials.delete(id)


async def test_a_bounded_token_and_a_tenant_see_their_part(place: Place) -> None:
    own, other = await place.account("own part"), await place.account("beyond reach")
    scopes = (Scope.CREDENTIALS_READ, Scope.INVOKE)
    _, bounded = await place.keycairn.tokens.create("bounded", scopes, reach=Reach(credentials=(own,)))
    _, tenant = await place.keycairn.tokens.create("tenant", (Scope.ADMIN,), workspace="theirs")
    page = await place.opened("/credentials", token=bounded.reveal())
    names = await page.get_by_role("navigation", name="Pages").get_by_role("link").all_inner_texts()
    assert names == ["Overview", "Credentials", "Playground", "Plugins"]
    await expect(page.locator("main")).to_contain_text("own part")
    assert "beyond reach" not in await page.content()
    assert await page.get_by_role("link", name="Add").count() == 0
    await page.keyboard.press("Control+k")
    await page.keyboard.type("beyond")
    await expect(page.get_by_role("dialog").get_by_role("option")).to_have_count(0)
    await page.goto(f"/credentials/{other}")
    await expect(page.locator("main")).not_to_contain_text("beyond reach")
    await place.opened("/credentials", token=tenant.reveal())
    await expect(page.get_by_role("heading", name="No credential yet")).to_be_visible()
    names = await page.get_by_role("navigation", name="Pages").get_by_role("link").all_inner_texts()
    assert not {"Encryption", "Backups", "Settings"} & {*names}
    await expect(page.locator(".who summary")).to_have_text("theirs")


@pytest.mark.night
async def test_without_the_right_root_key_everybody_is_told_which_setting_is_missing(place: Place) -> None:
    policy = EgressPolicy()
    sealed = Keycairn(
        store=MemoryStore(),
        opener=AesGcmKeysets(),
        registry=PluginRegistry(external=False),
        http=GuardedHttp(policy),
        environment=FakeEnvironment({}),
        clock=SystemClock(),
        ids=UlidIds(),
    )
    async with served(sealed) as url:
        page = await place.opened()
        await page.goto(url)
        await expect(page.get_by_role("heading", name="Keycairn is sealed")).to_be_visible()
        await expect(page.locator("main")).to_contain_text("KEYCAIRN_ROOT_KEY")


@pytest.mark.night
async def test_five_hundred_credentials_stay_quick_by_keyboard(place: Place) -> None:
    made = [await place.account(f"account {number:03}") for number in range(MANY)]
    page = await place.opened("/credentials?q=account")
    await expect(page.locator("tbody tr")).to_have_count(100)
    await page.keyboard.press("Control+k")
    await page.keyboard.type("account 437")
    await expect(page.get_by_role("dialog").get_by_role("option")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="account 437")).to_be_visible()
    await page.goto("/credentials?q=account")
    seen = 0
    for _ in range(MANY // 100):
        seen += await page.locator("tbody tr").count()
        following = page.get_by_role("link", name="Next page")
        if await following.count():
            await following.focus()
            async with page.expect_navigation():
                await page.keyboard.press("Enter")
    assert seen == MANY
    for id in made:
        await place.keycairn.credentials.delete(CredentialId(id))
