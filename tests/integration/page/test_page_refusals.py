"""Every field of every form, filled in wrongly: the reason stands beside the field, and what was typed is kept.

The forms are those of the pages of the route table, and the fields those of the forms: a new one is tried too.
"""

import re
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from html import unescape
from typing import NamedTuple

import pytest
import pytest_asyncio
from litestar import Litestar
from tests.app_client import AppClient
from tests.nights import by_day
from tests.page import Browser, fields_of
from tests.permissions import FIXED_TOKEN, PAGE_RULES, Scene, filled

pytestmark = pytest.mark.asyncio(loop_scope="module")
FORM = re.compile(r'<form method="post"[^>]*action="([^"]*)"(.*?)</form>', re.DOTALL)
FIELD = re.compile(r"<(input|textarea|select)\b[^>]*>")
ID = re.compile(r"(?:credential|model|token):\w+")
PAGES = [
    *sorted(path for method, path in PAGE_RULES if method == "GET" and "{job}" not in path),
    "/credentials/new?provider=openai",
    "/credentials/new?provider=vertex",
]
ENDS = ("/sign-out", "/encryption/rotate", "/sign-in", "/leaked", "/remove")
"""Of forms without a field that could be wrong, or that end what the others need."""
WRONG = {
    "words": "no such thing",
    "empty": "",
    "long": "x" * 9000,
    "negative": "-5",
    "fraction": "1.5",
    "exponent": "1e3",
    "control": "a\x00b\x07",
    "underscore": "1_0",
    "other digits": "\u0663",
    "huge": "9" * 30,
    "lines": "a\nb",
    "unknown id": "credential:01ARZ3NDEKTSV4RRFFQ69G5FAV",
}
ROOT_KEY = "base64:" + b64encode(sha256(b"another").digest()).decode()
BESIDE = {
    "/credentials/new": {"secret:api_key": "sk-abcdefghijklmnop1234"},
    "/edit": {"name": "work", "secret:api_key": "sk-abcdefghijklmnop1234"},
    "/tokens/new": {"name": "app"},
    "/models/ID": {"name": "a-name", "price.input": "1", "price.output": "1"},
    "/root-key": {"secret:current_root_key": ROOT_KEY, "secret:root_key": ROOT_KEY},
}
"""By the end of where a form is sent: what stands in its other fields, so that one alone is wrong."""


class Field(NamedTuple):
    """A field as it stands in a form. `flag`: a box that is ticked or not, whatever its value."""

    name: str
    kind: str
    flag: bool = False

    @property
    def chosen(self) -> bool:
        """Whether its value is one of a list, so that another one means nothing."""
        return self.kind in {"checkbox", "radio", "select"} and not self.flag

    @property
    def anchor(self) -> str:
        """The id of the field in its page. The choice what becomes of a secret belongs to the secret's field."""
        return "f-" + re.sub("[:.]", "-", self.name.replace("do:", "secret:"))


def forms(html: str) -> Iterator[tuple[str, str]]:
    for match in FORM.finditer(html):
        yield unescape(match[1]), match[2]


def fields(form: str) -> list[Field]:
    """The fields a person fills in, each once."""
    found: dict[str, Field] = {}
    for match in FIELD.finditer(form):
        given: dict[str, str] = dict(re.findall(r'([\w-]+)="([^"]*)"', match[0]))
        name, kind = unescape(given.get("name", "")), given.get("type", str(match[1]))
        if name and kind not in {"hidden", "file"}:
            found[name] = Field(name, kind, kind == "checkbox" and given.get("value") in {"1", "on"})
    return list(found.values())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> Scene:
    scene = Scene()
    await scene.furnish()
    return scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(scene: Scene) -> AsyncIterator[Browser]:
    async with AppClient(Litestar(plugins=[scene.plugin]), raise_server_exceptions=False) as http:
        browser = Browser(http)
        await browser.sign_in(FIXED_TOKEN)
        yield browser


def held_by(sent_to: str, form: str) -> dict[str, str | list[str]]:
    """What a form holds, with what is right in the fields beside the one that is tried."""
    beside = next((held for end, held in BESIDE.items() if ID.sub("ID", sent_to).endswith(end)), {})
    return {**fields_of(form), **beside}


@pytest.mark.parametrize("typed", by_day(WRONG.values(), one_in=6), ids=WRONG)
async def test_what_cannot_be_used_is_told_beside_its_field(scene: Scene, browser: Browser, typed: str) -> None:
    tried: set[tuple[str, str]] = set()
    for page in PAGES:
        target = page if "?" in page else filled(scene, page, "default")
        for sent_to, text in list(forms((await browser.get(target)).text)):
            if sent_to.endswith(ENDS):
                continue
            held = held_by(sent_to, text)
            for field in fields(text):
                where = ID.sub("ID", sent_to), field.name
                if where in tried:
                    continue
                tried.add(where)
                scene.house.clock.tick(61 if sent_to.endswith("/root-key") else 0)
                answer = await browser.post(sent_to, {**held, field.name: typed})
                check(answer.status_code, answer.text, field, typed, where)
                if answer.status_code == 303:
                    again = dict(forms((await browser.get(target)).text))
                    held = held_by(sent_to, again[sent_to])
    assert len(tried) > 50, tried


def check(status: int, text: str, field: Field, typed: str, where: tuple[str, ...]) -> None:
    if field.flag:
        return
    if status in {200, 303}:
        assert not (field.chosen and typed.strip()), (*where, "was taken for nothing")
        return
    assert status == 422, (*where, status)
    assert "<title>Error: " in text, where
    told = re.findall(r'class="error-text" id="([^"]+)"', text)
    assert f"{field.anchor}-error" in told, (*where, "is told elsewhere", told)
    if field.kind in {"text", "textarea"}:
        assert typed.strip().replace("\r", "") in unescape(text), (*where, "was lost")
