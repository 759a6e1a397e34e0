"""A browser that runs no scripts: signs in, carries the cookie, and sends forms as a page of ours would."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import unescape
from weakref import WeakKeyDictionary

from httpx import Response
from litestar import Litestar
from tests.app_client import AppClient
from tests.house import House

from keycairn.app.plugin import KeycairnPlugin

Fields = Mapping[str, str | list[str]]
SAME = {"Sec-Fetch-Site": "same-origin"}


class Browser:
    """A client at one installation. `base` is where it is mounted."""

    def __init__(self, client: AppClient, base: str = "") -> None:
        self.client = client
        self.base = base
        self.key = ""

    async def get(self, path: str) -> Response:
        return await self.client.get(self.base + path, follow_redirects=False)

    async def sign_in(self, token: str, **more: str) -> Response:
        answer = await self.client.post(
            f"{self.base}/sign-in", data={"secret:token": token, **more}, headers=SAME, follow_redirects=False
        )
        if answer.status_code == 303:
            self.key = form_key(await self.get("/signed-in"))
        return answer

    async def post(self, path: str, fields: Fields | None = None, headers: Mapping[str, str] = SAME) -> Response:
        data = {"form_key": self.key, **(fields or {})}
        return await self.client.post(self.base + path, data=data, headers=headers, follow_redirects=False)

    async def filled(self, path: str, **changed: str) -> dict[str, str | list[str]]:
        """The fields of the page's last form as they are sent untouched, with some of them changed."""
        text = (await self.get(path)).text
        form = text[text.rindex('<form method="post"') :]
        return {**fields_of(form), **changed}


def form_key(answer: Response) -> str:
    found = re.search(r'data-form-key="([^"]+)"', answer.text)
    assert found, answer.text
    return found[1]


def fields_of(html: str) -> dict[str, str | list[str]]:
    """What a browser would send of a form that nobody touched."""
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input [^>]*>", html):
        given = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        kind = given.get("type", "text")
        if "name" not in given or (kind in {"checkbox", "radio"} and not re.search(r"\schecked\b", tag)):
            continue
        found.setdefault(unescape(given["name"]), []).append(unescape(given.get("value", "")))
    for name, options in re.findall(r'<select [^>]*name="([^"]*)"[^>]*>(.*?)</select>', html, re.DOTALL):
        values = re.findall(r'<option value="([^"]*)"( selected)?', options)
        found[unescape(name)] = [unescape(next((value for value, chosen in values if chosen), values[0][0]))]
    for name, text in re.findall(r'<textarea [^>]*name="([^"]*)"[^>]*>(.*?)</textarea>', html, re.DOTALL):
        found[unescape(name)] = [unescape(text)]
    found.pop("form_key", None)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


_apps: WeakKeyDictionary[House, dict[str, Litestar]] = WeakKeyDictionary()


def _app(house: House, path: str) -> Litestar:
    """The house as an application; building one takes half a second."""
    built = _apps.setdefault(house, {})
    if path not in built:
        plugin = KeycairnPlugin(keycairn=house.keycairn, path=path)
        built[path] = Litestar(plugins=[plugin], openapi_config=None, logging_config=None)
    return built[path]


@asynccontextmanager
async def browsing(house: House, path: str = "/", token: str = "") -> AsyncIterator[Browser]:
    """A browser at a house, signed in where a token is given."""
    async with AppClient(_app(house, path), raise_server_exceptions=False) as client:
        browser = Browser(client, path.rstrip("/"))
        if token:
            assert (await browser.sign_in(token)).status_code == 303
        yield browser
