"""Credentials on the page: saving without showing or losing a key, two editors, deleting by impact."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.canary import scan
from tests.house import LANGUAGE, House
from tests.page import Browser, browsing, fields_of

from keycairn.domain.audit import Caller
from keycairn.domain.errors import InvalidAuthError
from keycairn.domain.ids import CredentialId, credential_id
from keycairn.domain.reach import Reach
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

ADMIN = "admin-0123456789-0123456789-0123456789"
KEY = "sk-canary-4f9A7c2E81b6D05x"
OTHER = "sk-canary-8d1B3e6F92a7C40y"
NAMES = [
    "<script>alert(1)</script>",
    "x" * 200,
    "Donaudampfschifffahrtsgesellschaftskapitän",
    "{{ 7*7 }}",
    "'\"><b>",
    "حساب للعمل",
]


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


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def empty(house: House) -> None:
    """No credential of a test before."""
    for one in await house.store.credentials("default"):
        await house.keycairn.credentials.delete(one.id)


async def stored(house: House, name: str = "work", **settings: str) -> CredentialId:
    made = await house.keycairn.credentials.create(
        "openai", name=name, secrets={"api_key": Secret(KEY)}, settings=dict(settings)
    )
    return made.credential.id


async def test_saving_an_untouched_form_changes_nothing_and_the_key_stays(house: House, browser: Browser) -> None:
    id = await stored(house, base_url="https://api.example.com")
    before = await house.store.credential("default", id)
    for _ in range(2):
        answer = await browser.post(f"/credentials/{id}/edit", await browser.filled(f"/credentials/{id}/edit"))
        assert answer.headers["location"].endswith("done=unchanged")
    assert await house.store.credential("default", id) == before
    assert await house.key_of(id) == KEY


async def test_a_new_name_keeps_the_key_and_a_typed_key_replaces_it(house: House, browser: Browser) -> None:
    id = await stored(house)
    path = f"/credentials/{id}/edit"
    await browser.post(path, await browser.filled(path, name="renamed"))
    assert await house.key_of(id) == KEY
    fields = await browser.filled(path)
    answer = await browser.post(path, {**fields, "secret:api_key": OTHER})
    assert answer.status_code == 303
    assert await house.key_of(id) == OTHER


async def test_a_key_is_in_no_page_whatever_happened_to_it(house: House, browser: Browser) -> None:
    id = await stored(house)
    path = f"/credentials/{id}/edit"
    fields = {**await browser.filled(path), "secret:api_key": OTHER, "name": ""}
    pages = [
        await browser.post(path, fields),
        await browser.post(path, {**fields, "name": "work", "version": "99"}),
        await browser.post("/credentials/new", {"provider": "openai", "secret:api_key": OTHER, "id": "x"}),
    ]
    assert [page.status_code for page in pages] == [422, 412, 400]
    for path in ("/", "/credentials", f"/credentials/{id}", f"/credentials/{id}/edit", f"/credentials/{id}/models",
                 f"/credentials/{id}/delete", "/credentials/new?provider=openai", "/move-in", "/audit", "/settings",
                 "/encryption", "/tokens", "/models", "/places.json", "/plugins", "/usage", "/backups"):  # fmt: skip
        pages.append(await browser.get(path))
        assert pages[-1].status_code == 200, path
    for page in pages:
        assert not scan(page.content, KEY, OTHER, ADMIN)
        assert not scan(str(page.headers), KEY, OTHER)


async def test_a_refused_form_comes_back_as_it_was_typed_with_the_reason_beside(house: House, browser: Browser) -> None:
    answer = await browser.post(
        "/credentials/new",
        {"provider": "openai", "id": house.keycairn.credentials.new_id(), "name": "typed <i>",
         "setting:base_url": "no url", "secret:api_key": OTHER, "limits.concurrent": "many"},
    )  # fmt: skip
    assert answer.status_code == 422
    assert "<title>Error: " in answer.text
    assert 'value="typed &lt;i&gt;"' in answer.text
    assert 'value="many"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert await house.store.credentials("default") == []


async def test_sending_a_form_twice_makes_one_record(house: House, browser: Browser) -> None:
    fields = await browser.filled("/credentials/new?provider=openai", name="twice")
    for _ in range(2):
        answer = await browser.post("/credentials/new", {**fields, "secret:api_key": KEY, "then": "save"})
        assert answer.status_code == 303
    assert len(await house.store.credentials("default")) == 1


async def test_save_and_test_saves_what_is_proven_only(house: House, browser: Browser) -> None:
    house.openai.error_for = {OTHER: InvalidAuthError()}
    fields = await browser.filled("/credentials/new?provider=openai", name="tested")
    refused = await browser.post("/credentials/new", {**fields, "secret:api_key": OTHER, "then": "test"})
    assert (refused.status_code, await house.store.credentials("default")) == (422, [])
    assert "was not proven" in refused.text
    await browser.post("/credentials/new", {**fields, "secret:api_key": KEY, "then": "test"})
    [made] = await house.store.credentials("default")
    path = f"/credentials/{made.id}/edit"
    edited = {**await browser.filled(path), "secret:api_key": OTHER}
    assert (await browser.post(path, {**edited, "then": "test"})).status_code == 422
    assert await house.key_of(made.id) == KEY
    assert (await browser.post(path, {**edited, "then": "save"})).status_code == 303
    house.openai.error_for = {}


async def test_another_host_asks_for_the_key_in_the_same_form(house: House, browser: Browser) -> None:
    id = await stored(house, base_url="https://api.example.com")
    path = f"/credentials/{id}/edit"
    fields = {**await browser.filled(path), "setting:base_url": "https://elsewhere.example.com"}
    answer = await browser.post(path, fields)
    assert answer.status_code == 422
    assert "a key is bound to the host it goes to" in answer.text
    assert "elsewhere.example.com" in answer.text
    assert (await browser.post(path, {**fields, "secret:api_key": KEY})).status_code == 303


async def test_the_second_of_two_editors_sees_both_versions_and_chooses(house: House, browser: Browser) -> None:
    id = await stored(house)
    path = f"/credentials/{id}/edit"
    mine = await browser.filled(path, name="mine", **{"setting:num_ctx": "7"})
    theirs = await browser.filled(path, name="theirs")
    await browser.post(path, {**theirs, "secret:api_key": OTHER})
    answer = await browser.post(path, mine)
    assert answer.status_code == 412
    assert "mine" in answer.text
    assert "theirs" in answer.text
    assert "was replaced meanwhile" in answer.text
    form = answer.text[answer.text.rindex('<form method="post"') :]
    version = re.search(r'name="version" value="(\d+)"', form)
    assert version
    chosen = {**mine, "version": version[1], "take:name": "theirs", "theirs:name": "theirs"}
    assert (await browser.post(path, chosen)).status_code == 303
    after = await house.store.credential("default", id)
    assert after is not None
    assert (after.name, after.settings) == ("theirs", {"num_ctx": 7})
    assert await house.key_of(id) == OTHER


async def test_what_the_other_editor_alone_changed_stays_theirs(house: House, browser: Browser) -> None:
    id = await stored(house)
    path = f"/credentials/{id}/edit"
    mine = await browser.filled(path, name="mine")
    theirs = await browser.filled(path, **{"limits.concurrent": "4", "options.total_timeout": "12.3456789"})
    theirs["modalities"] = "language"
    assert (await browser.post(path, theirs)).status_code == 303
    answer = await browser.post(path, mine)
    assert answer.status_code == 412
    asked = re.findall(r'name="take:([^"]+)" value="(\w+)" checked', answer.text)
    assert asked == [
        ("name", "mine"),
        ("modalities", "theirs"),
        ("limits.concurrent", "theirs"),
        ("options.total_timeout", "theirs"),
    ]
    shown = fields_of(answer.text[answer.text.rindex('<form method="post" action="' + path) :])
    assert (await browser.post(path, shown)).status_code == 303
    after = await house.store.credential("default", id)
    assert after is not None
    assert (after.name, after.limits.concurrent, after.options.total_timeout) == ("mine", 4, 12.3456789)
    assert after.modalities == (LANGUAGE,)


async def test_what_was_chosen_between_two_versions_survives_a_wrong_field(house: House, browser: Browser) -> None:
    id = await stored(house)
    path = f"/credentials/{id}/edit"
    mine = await browser.filled(path, name="mine")
    await browser.post(path, await browser.filled(path, name="theirs"))
    answer = await browser.post(path, mine)
    chosen = {**fields_of(answer.text), "take:name": "theirs", "limits.concurrent": "many"}
    refused = await browser.post(path, chosen)
    assert refused.status_code == 422
    assert 'name="name" type="text" value="theirs"' in refused.text


async def test_deleting_shows_its_impact_and_happens_to_what_was_shown_only(house: House, browser: Browser) -> None:
    id, spare = await stored(house), await stored(house, "spare")
    await house.keycairn.models.create("gpt-4o", provider="openai", type=LANGUAGE, credential=id)
    page = await browser.get(f"/credentials/{id}/delete")
    assert "1 model" in page.text
    assert "gpt-4o" in page.text
    await house.keycairn.tokens.create("bounded", [Scope.INVOKE], reach=Reach(credentials=(credential_id(id),)))
    assert "reach nothing any more: <bdi>bounded</bdi>" in (await browser.get(f"/credentials/{id}/delete")).text
    moving = (await browser.get(f"/credentials/{id}/delete?to={spare}")).text
    assert "moved to" in moving
    assert "reach <bdi>spare</bdi> from then on: <bdi>bounded</bdi>" in moving
    stale = await browser.post(f"/credentials/{id}/delete", {"version": "7", "to": ""})
    assert stale.status_code == 412
    gone = await browser.post(f"/credentials/{id}/delete", {"version": "1", "to": spare})
    assert gone.headers["location"] == f"/credentials/{spare}?done=moved"
    [model] = await house.store.models("default")
    assert model.credential == spare
    assert (await house.keycairn.tokens.list())[-1].reach == Reach(credentials=(credential_id(spare),))


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
async def test_a_hostile_name_is_a_text_everywhere(house: House, browser: Browser, name: str) -> None:
    id = await stored(house, name)
    for path in ("/", "/credentials", f"/credentials/{id}", f"/credentials/{id}/edit", f"/credentials/{id}/delete",
                 f"/credentials?q={name[:8]}", "/places.json"):  # fmt: skip
        text = (await browser.get(path)).text
        if path.endswith(".json"):
            continue  # the palette puts it in as text
        assert "<script>alert" not in text
        assert '"><b>' not in text
        assert ">49<" not in text


async def test_lists_are_a_hundred_at_a_time_and_searched_here(house: House, browser: Browser) -> None:
    for number in range(120):
        await stored(house, f"account {number:03}")
    first = (await browser.get("/credentials")).text
    assert first.count("<tr>") == 101
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    second = (await browser.get(following[1].replace("&amp;", "&"))).text
    assert second.count("<tr>") == 21
    found = (await browser.get("/credentials?q=account+07&x=1")).text
    assert found.count(">account 07") == 10


async def test_a_tenant_sees_and_changes_its_own_only(house: House, browser: Browser) -> None:
    id = await stored(house)
    theirs = Caller(actor="tests", workspace="theirs")
    made = await house.keycairn.credentials.create("openai", name="t", secrets={"api_key": Secret(OTHER)}, by=theirs)
    for path in (f"/credentials/{made.credential.id}", f"/credentials/{made.credential.id}/edit"):
        assert (await browser.get(path)).status_code == 404
    assert (await browser.get(f"/credentials/{credential_id(id)}")).status_code == 200
