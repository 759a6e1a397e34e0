"""Hands on a page of the browser: a mouse, a keyboard alone, and a mouse where scripts are off."""

import asyncio
import re
from pathlib import Path
from typing import Any, Protocol

from playwright.async_api import Locator, Page, expect
from tests.browser import Place

MOST_STOPS = 400
STOP = """(wanted) => {
  const now = document.activeElement;
  const style = getComputedStyle(now);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  const seen = outlined || now === document.body || now.matches("main, .note, .card");
  return { there: now === wanted, seen, what: now.outerHTML.slice(0, 120) };
}"""
"""Whether the focus is where it is wanted, and can be seen where it is."""


class Hands(Protocol):
    """How a person acts. Each way leads to the same; names are those that are read, or read out."""

    page: Page

    async def open(self, place: Place, path: str) -> None:
        """Come to the page at `path`, signed in."""

    async def go(self, label: str) -> None:
        """Go to a page of the navigation."""

    async def press(self, name: str, *, role: str = "button", exact: bool = False) -> None:
        """Press a button, or follow a link. Its name begins so, or with `exact` is so."""

    async def watch(self, where: str, word: str) -> None:
        """Wait until a part of the page that changes by itself says a word; without scripts, look again."""

    async def fill(self, label: str, text: str) -> None:
        """Put a text into a field, in place of what is in it."""

    async def choose(self, label: str, option: str) -> None:
        """Choose from a list."""

    async def tick(self, label: str) -> None:
        """Tick a box, or a choice of several."""

    async def unfold(self, name: str) -> None:
        """Open what is folded."""

    async def hand_in(self, label: str, file: Path) -> None:
        """Choose a file."""


def named(page: Page, role: Any, name: str, *, exact: bool = False) -> Locator:
    """The first thing of that role whose name begins so, or with `exact` is so."""
    whole = re.compile(rf"^\s*{re.escape(name)}{'$' if exact else ''}", re.IGNORECASE)
    return page.locator("main").get_by_role(role, name=whole).first


def field(page: Page, label: str) -> Locator:
    """The field with a label that begins so."""
    return page.locator("main").get_by_label(re.compile(rf"^\s*{re.escape(label)}", re.IGNORECASE)).first


class Mouse:
    """Points and clicks. With `scripts` off, nothing of ours runs in the browser."""

    page: Page

    def __init__(self, *, scripts: bool = True) -> None:
        self.scripts = scripts

    async def open(self, place: Place, path: str) -> None:
        self.page = await place.opened(path, scripts=self.scripts)

    async def go(self, label: str) -> None:
        await self.page.get_by_role("navigation", name="Pages").get_by_role("link", name=label, exact=True).click()
        await expect(named(self.page, "heading", label)).to_be_visible()

    async def press(self, name: str, *, role: str = "button", exact: bool = False) -> None:
        await named(self.page, role, name, exact=exact).click()

    async def watch(self, where: str, word: str) -> None:
        if self.scripts:
            await expect(self.page.locator(where)).to_contain_text(word)
            return
        for _ in range(50):
            if word in await self.page.locator(where).inner_text():
                return
            await asyncio.sleep(0.1)
            await self.page.reload()
        raise AssertionError(word)

    async def fill(self, label: str, text: str) -> None:
        await field(self.page, label).fill(text)

    async def choose(self, label: str, option: str) -> None:
        await field(self.page, label).select_option(label=option)

    async def tick(self, label: str) -> None:
        await field(self.page, label).check()

    async def unfold(self, name: str) -> None:
        await self.page.locator("main summary", has_text=name).click()

    async def hand_in(self, label: str, file: Path) -> None:
        await field(self.page, label).set_input_files(file)


class Keyboard:
    """Never touches a mouse: comes to everything by the Tab key, and sees at each stop where it is."""

    page: Page

    async def open(self, place: Place, path: str) -> None:
        self.page = await place.opened(path)

    async def go(self, label: str) -> None:
        await self.page.keyboard.press("Control+k")
        await expect(self.page.get_by_role("combobox", name="Page, credential, model or token")).to_be_focused()
        await self.page.keyboard.type(label)
        await expect(self.page.get_by_role("dialog").get_by_role("option").first).to_have_text(label)
        await self.page.keyboard.press("Enter")
        await expect(named(self.page, "heading", label)).to_be_visible()

    async def press(self, name: str, *, role: str = "button", exact: bool = False) -> None:
        await self._come_to(named(self.page, role, name, exact=exact))
        await self.page.keyboard.press("Enter")

    async def watch(self, where: str, word: str) -> None:
        await expect(self.page.locator(where)).to_contain_text(word)

    async def fill(self, label: str, text: str) -> None:
        await self._come_to(field(self.page, label))
        await self.page.keyboard.press("Control+a")
        await self.page.keyboard.press("Delete")
        await self.page.keyboard.insert_text(text)

    async def choose(self, label: str, option: str) -> None:
        chosen = field(self.page, label)
        await self._come_to(chosen)
        await self.page.keyboard.press("Home")
        for _ in range(MOST_STOPS):
            if await chosen.evaluate("(list) => list.selectedOptions[0].label") == option:
                return
            await self.page.keyboard.press("ArrowDown")
        raise AssertionError(option)

    async def tick(self, label: str) -> None:
        box = field(self.page, label)
        if await box.get_attribute("type") == "radio":
            await self._come_to(self.page.locator(f'[name="{await box.get_attribute("name")}"]:checked'))
            for _ in range(5):
                if not await box.is_checked():
                    await self.page.keyboard.press("ArrowDown")
        else:
            await self._come_to(box)
            if not await box.is_checked():
                await self.page.keyboard.press("Space")
        await expect(box).to_be_checked()

    async def unfold(self, name: str) -> None:
        await self._come_to(self.page.locator("main summary", has_text=name))
        await self.page.keyboard.press("Enter")

    async def hand_in(self, label: str, file: Path) -> None:
        await self._come_to(field(self.page, label))
        async with self.page.expect_file_chooser() as choosing:
            await self.page.keyboard.press("Space")
        await (await choosing.value).set_files(file)

    async def _come_to(self, wanted: Locator) -> None:
        """Tab to it. Each stop on the way can be seen."""
        await expect(wanted).to_be_visible()
        handle = await wanted.element_handle()
        for _ in range(MOST_STOPS):
            at = await self.page.evaluate(STOP, handle)
            assert at["seen"], f"the focus cannot be seen: {at['what']}"
            if at["there"]:
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"no stop leads to {wanted}")
