"""Whatever is typed, sent or asked for, the page says what is wrong; and a bounded token sees its part only."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.house import House
from tests.page import SAME, Browser, browsing
from tests.samples import a_usage_key

from keycairn.domain.change import AddUsage
from keycairn.domain.ids import CredentialId
from keycairn.domain.reach import Reach
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope
from keycairn.domain.usage import Usage

ADMIN = "admin-0123456789-0123456789-0123456789"
NO_NUMBERS = ["²", "①", "\u0661", "9" * 4400, "9" * 20, "-1", "1e3", "0x10", "1_0", " ", "NaN", "1.5"]

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


@pytest.mark.parametrize("text", NO_NUMBERS, ids=[str(number) for number in range(len(NO_NUMBERS))])
async def test_what_is_no_number_is_said_and_never_a_fault(browser: Browser, text: str) -> None:
    assert (await browser.client.get("/audit", params={"before": text})).status_code == 200
    for field in ("days", "limits.concurrent", "limits.requests_per_minute", "limits.tokens_per_day"):
        sent = await browser.post("/tokens/new", {"name": "app", "scopes": "invoke", field: text})
        assert sent.status_code == (200 if not text.strip() else 422), field


@pytest.mark.parametrize("kind", ["env", "litellm", "table", "open-notebook"])
@pytest.mark.parametrize(
    "content",
    [
        b"A=\xe9",
        "OPENAI_API_KEY=sk-0123456789".encode("utf-16"),
        b"\0\1\2\xff" * 40,
        b"",
        b"FOO=bar",
        b"name,provider\n",
    ],
    ids=["latin-1", "utf-16", "binary", "empty", "nothing of ours", "only a header"],
)
async def test_a_file_with_nothing_to_move_in_is_said_at_once(browser: Browser, kind: str, content: bytes) -> None:
    answer = await browser.client.post(
        "/move-in/file",
        data={"form_key": browser.key, "kind": kind},
        files={"file": ("x.csv" if kind == "table" else "x", content)},
        headers=SAME,
        follow_redirects=False,
    )
    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["/move-in/file", "/models/slots", "/backups/download", "/credentials/x/test"])
async def test_an_address_that_only_takes_forms_answers_a_person_with_a_page(browser: Browser, path: str) -> None:
    answer = await browser.client.get(path, headers={"Accept": "text/html"})
    assert answer.status_code == 405
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["allow"]


async def test_a_field_or_a_parameter_that_is_there_twice_is_refused(browser: Browser) -> None:
    """Which of the two counts would be the reader's choice: somebody may have looked at the other one."""
    twice = await browser.post("/tokens/new", {"name": "app", "scopes": "invoke", "days": ["1", "9"]})
    assert (twice.status_code, "more than once" in twice.text) == (400, True)
    asked = [(await browser.client.get(f"/credentials?{query}")).status_code for query in ("q=a&q=b", "q=a;q=b")]
    assert asked == [400, 400]
    assert (await browser.client.get("/credentials?q=a&unknown=b")).status_code == 200


async def test_a_bounded_token_sees_no_calls_of_others(house: House, browser: Browser) -> None:
    made = await house.keycairn.credentials.create(
        "openai", name="its", secrets={"api_key": Secret("sk-its-0123456789")}
    )
    today = house.keycairn.clock.now().date()
    key = a_usage_key(workspace="default", day=today, credential=CredentialId("credential:other"))
    await house.store.commit((AddUsage(key, Usage(requests=4321)),))
    _, token = await house.keycairn.tokens.create(
        "bounded", (Scope.CREDENTIALS_READ, Scope.AUDIT_READ), reach=Reach(credentials=(made.credential.id,))
    )
    browser.client.cookies.clear()
    assert (await browser.sign_in(token.reveal())).status_code == 303
    text = (await browser.get("/")).text
    assert "4,321" not in text
    for path in ("/usage", "/audit"):
        assert f'href="{path}"' not in text
        assert (await browser.get(path)).status_code == 403
