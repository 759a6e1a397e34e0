"""Sessions of the page: who gets in, what ends one, and which requests of other pages do nothing."""

import re
from collections.abc import Callable

import pytest
import pytest_asyncio
from msgspec.structs import replace
from tests.house import House
from tests.page import SAME, Browser, browsing, form_key

from keycairn.adapters.memory import MemoryStore
from keycairn.domain.audit import Action, AuditEvent, EventFilter
from keycairn.domain.errors import AuthenticationError
from keycairn.domain.ids import TokenId
from keycairn.domain.token import Scope

ADMIN = "admin-0123456789-0123456789-0123456789"


async def a_token(house: House, *scopes: Scope) -> tuple[TokenId, str]:
    token, text = await house.keycairn.tokens.create("people", scopes or (Scope.ADMIN,))
    return token.id, text.reveal()


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> House:
    house = House(admin_token=ADMIN)
    await house.open()
    return house


@pytest_asyncio.fixture(loop_scope="module")
async def house(shared: House) -> House:
    shared.clock.tick(61)  # no limit on failed attempts of a test before
    return shared


async def test_a_token_begins_a_session_and_signing_out_ends_it_for_every_copy_of_the_cookie(house: House) -> None:
    _, text = await a_token(house)
    async with browsing(house) as browser:
        answer = await browser.sign_in(text)
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Path=/;" in f"{cookie};"
        assert "Secure" not in cookie, "over plain HTTP it would not come back"
        assert (await browser.get("/")).status_code == 200
        copy = dict(browser.client.cookies)
        assert (await browser.post("/sign-out")).status_code == 303
        browser.client.cookies.update(copy)
        assert (await browser.get("/")).status_code == 401


@pytest.mark.parametrize("token", ["", "kc_garbage", "x" * 5000, ADMIN + "x"])
async def test_what_is_no_token_gets_no_session(house: House, token: str) -> None:
    async with browsing(house) as browser:
        answer = await browser.sign_in(token)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert token[:40] not in answer.text or not token


async def test_the_fixed_token_signs_in_and_its_sessions_end_when_another_is_set(house: House) -> None:
    async with browsing(house, token=ADMIN) as browser:
        assert (await browser.get("/tokens")).status_code == 200
        cookies = dict(browser.client.cookies)
    other = House(admin_token="another-" + ADMIN, store=house.store)
    await other.open()
    async with browsing(other) as browser:
        browser.client.cookies.update(cookies)
        assert (await browser.get("/tokens")).status_code == 401


async def test_revoking_the_token_ends_its_sessions_at_once(house: House) -> None:
    id, text = await a_token(house)
    async with browsing(house, token=text) as browser:
        await house.keycairn.tokens.revoke(id)
        assert (await browser.get("/")).status_code == 401


async def test_a_session_is_over_after_an_idle_hour_and_after_twelve_in_any_case(house: House) -> None:
    _, text = await a_token(house)
    async with browsing(house, token=text) as browser:
        for _ in range(13):
            house.clock.tick(50 * 60)
            last = await browser.get("/")
            if last.status_code != 200:
                break
        else:
            house.clock.tick(50 * 60)
            last = await browser.get("/")
            assert last.status_code == 200
        house.clock.tick(4 * 3600)
        assert (await browser.get("/")).status_code == 401
    async with browsing(house, token=text) as browser:
        house.clock.tick(61 * 60)
        assert (await browser.get("/")).status_code == 401
    async with browsing(house, token=text) as browser:
        for _ in range(15):
            house.clock.tick(50 * 60)
            last = await browser.get("/")
        assert last.status_code == 401, "used all the time, it still ends"


DAMAGES: dict[str, Callable[[str], str]] = {
    "chosen by the client": lambda _: "chosen",
    "another end": lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
    "another beginning": lambda text: "a" + text,
    "no MAC": lambda text: text.partition(".")[0],
    "only a MAC": lambda text: "." + text.partition(".")[2],
    "empty": lambda _: "",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_cookie_that_we_did_not_make_is_none(house: House, damage: Callable[[str], str]) -> None:
    async with browsing(house, token=ADMIN) as browser:
        [(name, text)] = browser.client.cookies.items()
        browser.client.cookies.clear()
        answer = await browser.client.get("/", headers={"Cookie": f"{name}={damage(text)}"})
        assert answer.status_code == (401 if damage(text) != text else 200)


async def test_of_two_cookies_of_ours_none_counts(house: House) -> None:
    """A page on another port, or below the same name, can set one of its own session."""
    _, text = await a_token(house)
    async with browsing(house) as browser:
        cookie = (await browser.sign_in(text)).headers["set-cookie"].partition(";")[0]
        name = cookie.partition("=")[0]
        browser.client.cookies.clear()
        for sent, expected in ((cookie, 200), (f"{name}=theirs; {cookie}", 400), (f"{cookie}; {name}=theirs", 400)):
            answer = await browser.client.get("/signed-in", headers={"Cookie": sent})
            assert answer.status_code == expected


async def test_a_code_signs_in_once_within_its_hour(house: House) -> None:
    id, _ = await a_token(house)
    code = house.keycairn.sessions.code(id).reveal()
    late = house.keycairn.sessions.code(id).reveal()
    async with browsing(house) as browser:
        for _ in range(2):
            looked = await browser.get(f"/sign-in?code={code}")
            assert looked.status_code == 200, "looking, as a mail scanner does, spends nothing"
        first = await browser.client.post("/sign-in", data={"code": code}, headers=SAME, follow_redirects=False)
        assert first.status_code == 303
        again = await browser.client.post("/sign-in", data={"code": code}, headers=SAME, follow_redirects=False)
        assert again.status_code == 401
        assert (await browser.get(f"/sign-in?code={code}")).status_code == 401
        house.clock.tick(3601)
        assert (await browser.get(f"/sign-in?code={late}")).status_code == 401
        assert (await browser.get(f"/sign-in?code={code[:-1]}0")).status_code == 401


async def test_a_code_of_a_revoked_token_is_none(house: House) -> None:
    id, _ = await a_token(house)
    code = house.keycairn.sessions.code(id).reveal()
    await house.keycairn.tokens.revoke(id)
    async with browsing(house) as browser:
        answer = await browser.client.post("/sign-in", data={"code": code}, headers=SAME, follow_redirects=False)
        assert answer.status_code == 401


async def test_another_instance_knows_of_signing_out_and_of_used_codes(house: House) -> None:
    id, _ = await a_token(house)
    code = house.keycairn.sessions.code(id)
    beside = House(store=house.store, ids=house.ids)
    await beside.open()
    await beside.keycairn.sessions.known(code)
    session = await house.keycairn.sessions.spend(code, source="", request_id="")
    cookie = house.keycairn.sessions.cookie(session)
    await beside.keycairn.sessions.recognised(cookie)
    with pytest.raises(Exception, match="valid token"):
        await beside.keycairn.sessions.known(code)
    await beside.keycairn.tokens.revoke(id)
    with pytest.raises(Exception, match="valid token"):
        await house.keycairn.sessions.recognised(cookie)


@pytest.mark.parametrize("how", ["removed", "altered"])
async def test_a_session_that_was_ended_stays_so_where_somebody_takes_the_event_away(how: str) -> None:
    house = House(admin_token=ADMIN)
    await house.open()
    id, text = await a_token(house)
    code = house.keycairn.sessions.code(id)
    await house.keycairn.sessions.spend(code, source="", request_id="")
    async with browsing(house, token=text) as browser:
        cookie = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
        await browser.post("/sign-out")
    await house.keycairn.tokens.create("later", (Scope.INVOKE,))
    assert isinstance(house.store, MemoryStore)
    events = house.store.state.tables["event"]
    for key, event in list(events.items()):
        assert isinstance(event, AuditEvent)
        if event.action in {Action.SESSION_ENDED, Action.SESSION_STARTED}:
            if how == "removed":
                del events[key]
            else:
                events[key] = replace(event, action=Action.TOKEN_CREATED)
    house.clock.tick(2)

    after = House(store=house.store, ids=house.ids, clock=house.clock, admin_token=ADMIN)
    await after.open()
    async with browsing(after) as browser:
        assert (await browser.client.get("/", headers={"Cookie": cookie})).status_code == 401
        with pytest.raises(AuthenticationError):
            await after.keycairn.sessions.known(code)
        assert (await browser.sign_in(text)).status_code == 303
        assert (await browser.get("/")).status_code == 200, "one that is begun after that is good"


async def test_a_session_opens_no_api_and_a_bearer_token_no_page(house: House) -> None:
    async with browsing(house, token=ADMIN) as browser:
        assert (await browser.client.get("/api/credentials")).status_code == 401
        browser.client.cookies.clear()
        answer = await browser.client.get("/credentials", headers={"Authorization": f"Bearer {ADMIN}"})
        assert answer.status_code == 401


FOREIGN = {
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    "another port of this host": {"Sec-Fetch-Site": "same-site", "Origin": "http://testserver.local:9"},
    "a page without an origin": {"Origin": "null"},
    "nobody who says so": {"X-Nothing": "1"},
    "a browser that typed it": {"Sec-Fetch-Site": "none"},
    "another host's form over plain HTTP": {"Origin": "http://elsewhere.example"},
}


@pytest.mark.parametrize("who", sorted(FOREIGN))
async def test_what_other_pages_send_changes_nothing(house: House, who: str) -> None:
    async with browsing(house, token=ADMIN) as browser:
        for path in ("/sign-out", "/sign-in", "/backups"):
            assert (await browser.post(path, headers=FOREIGN[who])).status_code == 403
        assert (await browser.get("/")).status_code == 200


async def test_a_page_over_plain_http_says_its_origin_and_is_let_through(house: House) -> None:
    async with browsing(house, token=ADMIN) as browser:
        answer = await browser.post("/sign-out", headers={"Origin": "http://testserver.local"})
        assert answer.status_code == 303


async def test_a_form_needs_the_key_of_its_own_session(house: House) -> None:
    async with browsing(house, token=ADMIN) as mine:
        another = mine.key
        mine.client.cookies.clear()
        await mine.sign_in(ADMIN)
        keys = {form_key(await mine.get("/signed-in")) for _ in range(3)}
        assert len(keys) == 3, "each time another text"
        for key in ("", "x", another, mine.key[:-4]):
            browser = Browser(mine.client)
            browser.key = key
            assert (await browser.post("/backups")).status_code == 403
        assert (await mine.post("/sign-out")).status_code == 303


async def test_a_form_that_comes_too_late_is_given_back_without_its_secrets(house: House) -> None:
    id, text = await a_token(house)
    async with browsing(house, token=text) as browser:
        await house.keycairn.tokens.revoke(id)
        sent = {"name": "My <b>account", "provider": "openai", "secret:api_key": "sk-canary-0123456789"}
        late = await browser.post("/credentials/new", sent)
        assert late.status_code == 401
        assert "My &lt;b&gt;account" in late.text
        assert "sk-canary" not in late.text
        _, fresh = await a_token(house)
        kept = {"again:name": "My <b>account", "again:provider": "openai", "back": "/credentials/new"}
        again = await browser.client.post(
            "/sign-in", data={"secret:token": fresh, **kept}, headers=SAME, follow_redirects=False
        )
        assert again.status_code == 200
        assert "My &lt;b&gt;account" in again.text
        assert 'action="/credentials/new"' in again.text


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_signing_in_leads_to_no_other_place(house: House, back: str) -> None:
    async with browsing(house) as browser:
        answer = await browser.sign_in(ADMIN, back=back)
        assert answer.headers["location"] == "/"


async def test_two_installations_on_two_ports_keep_their_sessions_apart(house: House) -> None:
    async with browsing(house) as browser:
        names = set()
        for port in (8765, 8766):
            answer = await browser.client.post(
                "/sign-in", data={"secret:token": ADMIN}, headers={**SAME, "Host": f"localhost:{port}"},
                follow_redirects=False,
            )  # fmt: skip
            names.add(answer.headers["set-cookie"].partition("=")[0])
        assert len(names) == 2


async def test_mounted_elsewhere_every_link_and_the_cookie_stay_below(house: House) -> None:
    async with browsing(house, path="/vault", token=ADMIN) as browser:
        page = await browser.get("/")
        links = set(re.findall(r'(?:href|src|action)="([^"]*)"', page.text))
        assert links
        assert all(link.startswith(("/vault", "#")) for link in links), links


async def test_without_the_root_key_everybody_is_told_which_setting_is_missing() -> None:
    house = House()
    async with browsing(house) as browser:
        for path in ("/", "/credentials", "/sign-in"):
            page = await browser.get(path)
            assert page.status_code == 503
            assert "KEYCAIRN_ROOT_KEY" in page.text


async def test_opening_the_page_is_no_refused_attempt_but_a_wrong_cookie_is_one(house: House) -> None:
    async def refused() -> int:
        await house.keycairn.audit_counters.flush()
        found = await house.keycairn.audit.events(matching=EventFilter(target="GET /backups"))
        return len(found)

    async with browsing(house) as browser:
        assert (await browser.get("/backups")).status_code == 401
        assert await refused() == 0
        await browser.client.get("/backups", headers={"Cookie": "keycairn-session-80=made-up"})
        assert await refused() == 1


async def test_a_path_that_leads_nowhere_is_a_page_for_people_and_a_problem_for_programs(house: House) -> None:
    async with browsing(house) as browser:
        html = {"Accept": "text/html,*/*"}
        page = await browser.client.get("/nowhere", headers=html)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        for path, headers in (("/nowhere", {}), ("/api/nowhere", html)):
            answer = await browser.client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_every_answer_keeps_strangers_out_of_the_page(house: House) -> None:
    async with browsing(house, token=ADMIN) as browser:
        for path in ("/", "/sign-in", "/credentials/credential:NOBODY"):
            policy = (await browser.get(path)).headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "require-trusted-types-for 'script'" in policy


async def test_who_guesses_too_often_is_told_how_long_to_wait(house: House) -> None:
    """Tokens and codes at the door, and the root key behind it."""
    wrong = {"root_key": "base64:" + "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/" + "AbCdE=", "current_root_key": "none"}
    for fields in ({"secret:token": "kc_wrong"}, {"code": "wrong"}):
        async with browsing(house) as browser:
            answers = [await browser.post("/sign-in", fields) for _ in range(21)]
        assert [answer.status_code for answer in answers] == [401] * 20 + [429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        house.clock.tick(61)
    async with browsing(house, token=ADMIN) as browser:
        sent = {f"secret:{name}": text for name, text in wrong.items()}
        answers = [await browser.post("/encryption/root-key", sent) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
