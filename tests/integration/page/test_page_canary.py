"""A key typed into any field of any form of the page comes back from none of them, and is kept nowhere in the clear.

The pages are those of the application's routes, and the fields those of the forms on them: a new page is tried too.
"""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import msgspec
from litestar import Litestar
from tests.app_client import AppClient
from tests.canary import scan
from tests.page import Browser, fields_of
from tests.permissions import FIXED_TOKEN, PAGE_RULES, Scene, filled

import keycairn.app.page
from keycairn.domain.secret import Secret

STRAY = "sk-stray-5c1D8e2F7a4B9063"
OWN = "sk-own-9B3d0F6a2C7e5184XYZ"
FORM = re.compile(r'<form method="post"[^>]*action="([^"]*)"(.*?)</form>', re.DOTALL)
TYPED = re.compile(r'<(?:input|textarea)[^>]*?name="([^"]+)"[^>]*>')
SPENDS = ("/sign-out", "/encryption/rotate")
PAGE = Path(keycairn.app.page.__file__).parent
QUERIES = sorted({name for file in PAGE.glob("*.py") for name in re.findall(r'query\("(\w+)"\)', file.read_text())})
ID = re.compile(r"(?:credential|model|token):\w+")


def forms(html: str) -> Iterator[tuple[str, str]]:
    """Where each form is sent, and its text."""
    for match in FORM.finditer(html):
        yield unescape(match[1]), match[2]


async def test_a_key_in_any_field_of_any_form_comes_back_from_nowhere() -> None:
    scene = Scene()
    await scene.furnish()
    kept = await scene.house.keycairn.credentials.create("openai", name="kept", secrets={"api_key": Secret(OWN)})
    async with AppClient(Litestar(plugins=[scene.plugin]), raise_server_exceptions=False) as http:
        browser = Browser(http)
        await browser.sign_in(FIXED_TOKEN)
        told: list[str] = []
        tried: set[tuple[str, str]] = set()
        for _, path in sorted(route for route in PAGE_RULES if route[0] == "GET"):
            for target in {filled(scene, path, "default"), path.replace("{id}", kept.credential.id)}:
                if "{" in target:
                    continue
                page = await browser.get(target)
                told.append(page.text + repr(page.headers))
                for sent_to, form in forms(page.text):
                    names = [unescape(name) for name in TYPED.findall(form)]
                    for name in dict.fromkeys(names):
                        kind = ID.sub("ID", sent_to), ID.sub("ID", name)
                        if name == "form_key" or sent_to.startswith(SPENDS) or kind in tried:
                            continue
                        tried.add(kind)
                        answer = await browser.post(sent_to, {**fields_of(form), name: STRAY})
                        assert answer.status_code != 500, (sent_to, name)
                        told += [f"{sent_to} {name} {answer.text} {answer.headers!r}"]
                        assert scan(told[-1], STRAY, OWN) == [], (sent_to, name)
                if await scene.house.store.credential("default", scene.ids["default", "openai"][0]) is None:
                    await scene.accounts("default")
        assert len(tried) > 40, tried
        for _, path in sorted(route for route in PAGE_RULES if route[0] == "GET"):
            asked = "&".join(f"{name}={STRAY}" for name in QUERIES)
            answer = await browser.get(f"{filled(scene, path, 'default')}?{asked}")
            told.append(answer.text + repr(answer.headers))
        http.cookies.clear()
        for target in (*(f"{path}?{asked}" for path in ("/", "/credentials", "/sign-in")), f"/credentials/{STRAY}"):
            answer = await browser.get(target)
            told.append(answer.text + repr(answer.headers))
    assert scan("\n".join(told), STRAY, OWN) == []
    async with scene.house.store.snapshot() as records:
        stored = [msgspec.to_builtins(record, str_keys=True, enc_hook=repr) async for record in records]
    assert scan(repr(stored), STRAY, OWN) == []
