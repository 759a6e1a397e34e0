"""No token is a root key: whatever is sent with whichever token, the root key stays, and so does what it opens."""

from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from litestar.routes import HTTPRoute
from tests.app_client import AppClient
from tests.house import House

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.app.plugin import KeycairnPlugin
from keycairn.domain.keyset import Keyset
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope


def text_of(name: str) -> str:
    return "base64:" + b64encode(sha256(name.encode()).digest()).decode()


PRESENT, NEW, THIEF = text_of("present"), text_of("new"), text_of("thief")
FIXED = "fixed-admin-token-" + "x" * 30
PATH = "/api/encryption/root-key"
PROOFS: dict[str, dict[str, Any]] = {
    "none": {},
    "null": {"current_root_key": None},
    "empty": {"current_root_key": ""},
    "blank": {"current_root_key": " "},
    "the new one": {"current_root_key": THIEF},
    "another": {"current_root_key": NEW},
    "no root key": {"current_root_key": "sk-0123456789"},
    "its form alone": {"current_root_key": "base64:"},
    "words": {"current_root_key": "passphrase:lantern orbit velvet crumbs"},
    "in another field": {"proof": PRESENT},
    "a list": {"current_root_key": [PRESENT]},
    "true": {"current_root_key": True},
    "the right one in a wrong form": {"current_root_key": PRESENT.removeprefix("base64:")},
    "with one letter changed": {"current_root_key": PRESENT[:20] + ("A" if PRESENT[20] != "A" else "B") + PRESENT[21:]},
}


class Scene:
    def __init__(self) -> None:
        self.house = House(keysets=AesGcmKeysets(), admin_token=FIXED)
        self.plugin = KeycairnPlugin(keycairn=self.house.keycairn)
        self.tokens = {"fixed": FIXED}
        self.http: AppClient

    async def furnish(self) -> None:
        kc = await self.house.open(parse_root_key(Secret(PRESENT)))
        await kc.credentials.create("openai", name="W", secrets={"api_key": Secret("sk-1")})
        for scope in Scope:
            for workspace in ("default", "theirs"):
                _, text = await kc.tokens.create("t", (scope,), workspace=workspace)
                self.tokens[f"{scope} of {workspace}"] = text.reveal()

    async def send(self, token: str, body: object, method: str = "POST", path: str = PATH) -> Response:
        return await self.http.request(method, path, json=body, headers={"Authorization": f"Bearer {token}"})

    async def keyset(self) -> Keyset:
        found = await self.house.store.keyset()
        assert found is not None
        return found


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.furnish()
    async with AppClient(Litestar(plugins=[scene.plugin])) as scene.http:
        yield scene


@pytest.mark.parametrize("proof", PROOFS)
async def test_no_token_changes_the_root_key_without_the_present_one(scene: Scene, proof: str) -> None:
    before = await scene.keyset()
    for name, token in [*scene.tokens.items(), ("the root key as a token", PRESENT)]:
        scene.house.clock.tick(61)
        for now in (False, True):
            answer = await scene.send(token, {"root_key": THIEF, "now": now, **PROOFS[proof]})
            assert answer.status_code in {401, 403, 422}, (name, answer.text)
            assert not [key for key in (PRESENT, NEW, THIEF) if key in answer.text]
        own = {"root_key": token, "current_root_key": token}
        assert (await scene.send(token, own)).status_code in {401, 403, 422}
    assert await scene.keyset() == before


async def test_the_present_one_is_no_token_but_lets_an_administrator_change_it(scene: Scene) -> None:
    body = {"root_key": NEW, "current_root_key": PRESENT}
    for name, token in scene.tokens.items():
        if name not in {"fixed", "admin of default"}:
            assert (await scene.send(token, body)).status_code == 403, name
    answer = await scene.send(FIXED, body)
    assert (answer.status_code, answer.json()["former"]) == (200, ["slot-1"])
    dropped = await scene.send(FIXED, {"root_key": NEW, "current_root_key": NEW, "now": True})
    assert (dropped.status_code, dropped.json()["slots"]) == (200, ["slot-2"])
    events = (await scene.send(FIXED, None, "GET", "/api/audit")).json()
    assert [event["action"] for event in events if event["action"].startswith("root_key")] == [
        "root_key.added",
        "root_key.dropped",
    ]


async def test_wrong_proofs_end_in_429_with_the_time_to_wait_whatever_the_token(scene: Scene) -> None:
    admin = scene.tokens["admin of default"]
    answers = [
        await scene.send(token, {"root_key": THIEF, "current_root_key": THIEF})
        for _ in range(10)
        for token in (admin, FIXED)
    ]
    assert [answer.status_code for answer in answers] == [403] * 5 + [429] * 15
    assert answers[0].json()["code"] == "wrong_root_key_proof"
    assert (answers[-1].json()["code"], 0 < int(answers[-1].headers["Retry-After"]) <= 60) == ("too_many_proofs", True)
    assert (await scene.send(FIXED, None, "GET", "/api/encryption")).status_code == 200, "only proofs have to wait"


async def test_no_route_at_all_puts_a_new_root_key_in_the_place_of_the_present_one(scene: Scene) -> None:
    """Each route there is, called by the mightiest token with a new root key under every name that comes to mind."""
    names = ("root_key", "new_root_key", "key", "passphrase", "re_encrypt_for", "secret")
    before = await scene.keyset()
    for route in scene.plugin.router.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for method in {method for handler in route.route_handlers for method in handler.http_methods} - {"OPTIONS"}:
            path = route.path_format.replace("{", "").replace("}", "")
            for body in ({}, *({name: THIEF} for name in names), dict.fromkeys(names, THIEF)):
                await scene.send(FIXED, body if method != "GET" else None, method, path)
    after = await scene.keyset()
    assert after.slots == before.slots
    taken = (await scene.send(FIXED, None, "GET", "/api/backup?handover=true")).content
    assert THIEF.encode() not in taken
