"""The page of a key: how old it is, how it is rotated, and what is done after a leak."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace
from tests.canary import scan
from tests.fakes import FakeClock, FakeIds
from tests.key_cloud import ADMIN, FIRST, CloudHouse, KeyCloud, MortalStore
from tests.page import Browser, browsing, fields_of

from keycairn.domain.audit import IN_PROCESS
from keycairn.domain.ids import CredentialId
from keycairn.domain.key_management import KeyCreation
from keycairn.domain.key_rotation.record import Policy
from keycairn.domain.secret import Secret

TOKEN = "admin-0123456789-0123456789-0123456789"


@pytest.fixture
async def house() -> CloudHouse:
    clock = FakeClock(step=0.001)
    house = CloudHouse(KeyCloud(KeyCreation.LISTED, clock), MortalStore(), clock, FakeIds(), admin_token=TOKEN)
    await house.open()
    return house


@pytest.fixture
async def browser(house: CloudHouse) -> AsyncIterator[Browser]:
    async with browsing(house, token=TOKEN) as browser:
        yield browser


async def stored(house: CloudHouse) -> CredentialId:
    made = await house.keycairn.credentials.create("openai", name="work", secrets={"api_key": Secret(FIRST)})
    return made.credential.id


def page_of(id: CredentialId) -> str:
    return f"/credentials/{id}/key-rotation"


async def test_a_rotation_is_set_up_begun_and_seen_to_its_end(house: CloudHouse, browser: Browser) -> None:
    id = await stored(house)
    shown = [(await browser.get(f"/credentials/{id}")).text, (await browser.get(page_of(id))).text]
    assert "rotated by hand" in shown[0]
    saved = await browser.post(page_of(id), {"every_days": "90", "overlap_hours": "1", "secret:admin_key": ADMIN})
    assert (saved.status_code, saved.headers["location"]) == (303, f"{page_of(id)}?done=saved")
    begun = await browser.post(f"{page_of(id)}/rotate")
    assert begun.status_code == 303
    assert (await browser.post(f"{page_of(id)}/rotate")).status_code == 409
    shown += [(await browser.get(page_of(id))).text, (await browser.get(f"/credentials/{id}")).text]
    assert "planned" in shown[-2]
    await house.drive(id)
    assert (await browser.sign_in(TOKEN)).status_code == 303, "it took longer than a session"
    shown += [(await browser.get(page_of(id))).text]
    assert "key-1" in shown[-1]
    assert "Keycairn, at the provider" in shown[-1]
    for text in shown:
        assert not scan(text.encode(), ADMIN)
        assert not scan(text.encode(), FIRST)


async def test_saving_again_keeps_the_secret_that_manages_keys(house: CloudHouse, browser: Browser) -> None:
    id = await stored(house)
    await browser.post(page_of(id), {"secret:admin_key": ADMIN})
    await browser.post(page_of(id), {"every_days": "30"})
    found = await house.keycairn.key_rotations.get(id, workspace="default")
    assert (found.automatic, found.rotation.policy.every_days) == (True, 30)


async def test_saving_an_untouched_form_keeps_a_time_to_the_second(house: CloudHouse, browser: Browser) -> None:
    id = await stored(house)
    policy = Policy(every_days=30, at=datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC), overlap_hours=1.5)
    await house.keycairn.key_rotations.set_up(id, policy=policy)
    text = (await browser.get(page_of(id))).text
    form = text[text.index(f'action="{page_of(id)}"') :]
    assert (await browser.post(page_of(id), fields_of(form[: form.index("</form>")]))).status_code == 303
    assert (await house.keycairn.key_rotations.get(id, workspace="default")).rotation.policy == policy


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("every_days", "often"),
        ("every_days", "0"),
        ("every_days", "-1"),
        ("every_days", "9" * 40),
        ("warn_days", "1.5"),
        ("overlap_hours", "nan"),
        ("overlap_hours", "inf"),
        ("overlap_hours", "1e9"),
        ("at", "tomorrow"),
        ("at", "2026-13-45T99:99"),
        ("setting:admin_url", "ftp://admin.example"),
    ],
)
async def test_what_cannot_be_meant_is_said_beside_the_field_and_nothing_typed_is_lost(
    house: CloudHouse, browser: Browser, field: str, value: str
) -> None:
    id = await stored(house)
    answer = await browser.post(page_of(id), {"warn_days": "3", "secret:admin_key": ADMIN, field: value})
    assert answer.status_code == 422
    place = "f-" + field.replace(":", "-")
    assert f'id="{place}-error"' in answer.text
    assert f'value="{value}"' in answer.text
    assert ADMIN not in answer.text
    assert "rotated by hand" in (await browser.get(f"/credentials/{id}")).text


async def test_a_leak_closes_an_account_only_for_whoever_ticked_it(house: CloudHouse, browser: Browser) -> None:
    id = await stored(house)
    refused = await browser.post(f"{page_of(id)}/leaked")
    first = await house.keycairn.credentials.get(id)
    assert (refused.status_code, first.credential.options.closed) == (303, "")
    await browser.post(f"{page_of(id)}/leaked", {"may_close": "1"})
    closed = await house.keycairn.credentials.get(id)
    assert closed.credential.options.closed == "its key leaked"


async def test_it_is_forgotten_when_asked_and_the_key_stays(house: CloudHouse, browser: Browser) -> None:
    id = await stored(house)
    await browser.post(page_of(id), {"every_days": "30"})
    assert (await browser.post(f"{page_of(id)}/remove")).status_code == 303
    assert "rotated by hand" in (await browser.get(f"/credentials/{id}")).text
    assert (await browser.post(f"{page_of(id)}/resume")).status_code == 404


async def test_one_that_waits_for_a_person_is_called_off(house: CloudHouse, browser: Browser) -> None:
    id = await stored(house)
    await browser.post(f"{page_of(id)}/leaked", {"may_close": "1"})
    assert "Call it off" in (await browser.get(page_of(id))).text
    assert (await browser.post(f"{page_of(id)}/cancel")).status_code == 303
    shown = (await browser.get(page_of(id))).text
    assert "cancelled" in shown.lower()
    assert "Call it off" not in shown
    assert (await browser.post(f"{page_of(id)}/cancel")).status_code == 409


async def test_the_overview_says_what_a_person_has_to_do_about_a_key(house: CloudHouse, browser: Browser) -> None:
    id = await stored(house)
    await browser.post(page_of(id), {"at": "2001-01-01T00:00"})
    shown = (await browser.get("/")).text
    assert f'href="{page_of(id)}"' in shown
    assert "was to be rotated by 2001-01-01" in shown


async def test_the_overview_tells_the_installation_whose_use_holds_a_key_back(
    house: CloudHouse, browser: Browser
) -> None:
    theirs = replace(IN_PROCESS, workspace="tenant")
    used = await house.keycairn.credentials.create("openai", name="x", secrets={"api_key": Secret(FIRST)}, by=theirs)
    id = await house.account()
    await house.keycairn.key_rotations.rotate(id)
    await house.drive(id)
    assert (await browser.sign_in(TOKEN)).status_code == 303, "it took longer than a session"
    assert f"tenant/{used.credential.id}" in (await browser.get("/")).text
    assert f"tenant/{used.credential.id}" not in (await browser.get(page_of(id))).text


async def test_a_url_at_another_host_asks_for_the_accounts_key_beside_it(house: CloudHouse, browser: Browser) -> None:
    id = await stored(house)
    form = {"secret:admin_key": ADMIN, "setting:admin_url": "https://admin.example"}
    assert 'name="secret:api_key"' not in (await browser.get(page_of(id))).text
    refused = await browser.post(page_of(id), form)
    assert refused.status_code == 422
    assert 'name="secret:api_key"' in refused.text
    saved = await browser.post(page_of(id), {**form, "secret:api_key": FIRST})
    assert saved.status_code == 303
    assert FIRST not in (await browser.get(page_of(id))).text
