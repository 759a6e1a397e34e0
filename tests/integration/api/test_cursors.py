"""What a cursor tells and where it holds: nothing, and only where it was given."""

from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from itertools import product
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from litestar import Litestar
from tests.app_client import AppClient
from tests.house import House

from keycairn.adapters.aesgcm import AesGcmKeysets
from keycairn.app.plugin import KeycairnPlugin
from keycairn.domain.audit import Caller
from keycairn.domain.modality import Modality
from keycairn.domain.reach import EVERYWHERE, Reach
from keycairn.domain.rootkey import parse_root_key
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope

SCOPES = (Scope.CREDENTIALS_READ, Scope.MODELS_READ, Scope.AUDIT_READ)
LISTS = (
    "/api/credentials",
    "/api/credentials?provider=openai",
    "/api/credentials/by-provider/anthropic",
    "/api/models",
    "/api/models?type=language",
    "/api/models?type=embedding",
    "/api/models/by-provider/openai",
    "/api/models/by-provider/anthropic",
    "/api/audit",
    "/api/audit?action=model.created",
    "/api/audit?actor=tests",
)
FEW = 2
Client = AppClient


class Scene(NamedTuple):
    client: Client
    house: House
    tokens: dict[str, str]

    async def get(self, path: str, token: str) -> tuple[list[dict[str, object]], str | None]:
        """The page and its cursor."""
        answer = await self.client.get(path, headers={"Authorization": f"Bearer {self.tokens[token]}"})
        assert answer.status_code == 200, answer.text
        link = answer.headers.get("link")
        return answer.json(), parse_qs(urlsplit(link[1 : link.index(">")]).query)["cursor"][0] if link else None

    async def status(self, path: str, token: str) -> tuple[int, object]:
        answer = await self.client.get(path, headers={"Authorization": f"Bearer {self.tokens[token]}"})
        return answer.status_code, {**answer.json(), "request_id": ""} if answer.status_code != 200 else None


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    house = House(keysets=AesGcmKeysets())
    kc = await house.open(parse_root_key(Secret("base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGho=")))
    for workspace in ("default", "theirs"):
        by = Caller(actor="tests", workspace=workspace)
        for number in range(12):
            provider = "anthropic" if number % 3 else "openai"
            made = await kc.credentials.create(
                provider, name=f"c{number}", secrets={"api_key": Secret(f"sk-{workspace}-{number}")}, by=by
            )
            kind = Modality.LANGUAGE if provider == "anthropic" or number % 2 else Modality.EMBEDDING
            await kc.models.create(f"m{number}", provider=provider, type=kind, credential=made.credential.id, by=by)
    tokens = {}
    for name, workspace, reach in (
        ("whole", "default", EVERYWHERE),
        ("another", "default", EVERYWHERE),
        ("bounded", "default", Reach(providers=("openai",))),
        ("theirs", "theirs", EVERYWHERE),
    ):
        _, text = await kc.tokens.create(name, SCOPES, reach=reach, workspace=workspace)
        tokens[name] = text.reveal()
    async with AppClient(Litestar(plugins=[KeycairnPlugin(keycairn=kc)])) as client:
        yield Scene(client, house, tokens)


def paged(path: str, **more: object) -> str:
    extra = "&".join(f"{name}={value}" for name, value in more.items())
    return f"{path}{'&' if '?' in path else '?'}{extra}"


async def test_a_cursor_holds_for_one_token_one_list_and_its_filters(scene: Scene) -> None:
    cursors = {
        (path, token): cursor
        for path, token in product(LISTS, scene.tokens)
        if not (token == "bounded" and "audit" in path)
        if (cursor := (await scene.get(paged(path, limit=FEW), token))[1])
    }
    assert len(cursors) > 35
    refusals = set()
    for ((path, token), cursor), (other_path, other_token) in product(cursors.items(), cursors):
        code, problem = await scene.status(paged(other_path, limit=FEW, cursor=cursor), other_token)
        if (path, token) == (other_path, other_token):
            assert code == 200
        else:
            assert code == 400, (path, token, other_path, other_token)
            refusals.add(str(problem))
    assert len(refusals) == 1, "one message for all"


async def test_an_edited_cursor_is_as_one_that_was_made_up(scene: Scene) -> None:
    _, cursor = await scene.get("/api/credentials?limit=2", "whole")
    assert cursor
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    edited = [
        cursor[:place] + alphabet[(alphabet.index(cursor[place]) + step) % 64] + cursor[place + 1 :]
        for place in range(0, len(cursor), 7)
        for step in (1, 33)
    ]
    told = {str(await scene.status(f"/api/credentials?limit=2&cursor={one}", "whole")) for one in edited}
    for other in ("x", cursor[:-1], cursor + "A", cursor + "=", "e30", cursor * 2):
        told.add(str(await scene.status(f"/api/credentials?limit=2&cursor={other}", "whole")))
    assert len(told) == 1
    assert "invalid_cursor" in told.pop()


async def test_a_cursor_tells_its_bearer_nothing(scene: Scene) -> None:
    for path in LISTS:
        _, cursor = await scene.get(paged(path, limit=FEW), "whole")
        again = (await scene.get(paged(path, limit=FEW + 1), "whole"))[1]
        assert cursor
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        for word in (b"credential:", b"model:", b"openai", b"anthropic", b"2026", b"provider", b"{"):
            assert word not in raw.lower() or len(word) == 1
        assert again is None or again[:40] != cursor[:40]


@pytest.mark.parametrize("path", ["/api/credentials", "/api/models", "/api/credentials/by-provider/openai"])
async def test_the_pages_of_a_bounded_token_are_full_and_its_own(scene: Scene, path: str) -> None:
    seen: list[object] = []
    sizes: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = await scene.get(paged(path, limit=3, **({"cursor": cursor} if cursor else {})), "bounded")
        sizes.append(len(page))
        seen += [one["id"] for one in page]
        assert {one["provider"] for one in page} <= {"openai"}
    everything, _ = await scene.get(path, "bounded")
    assert seen == [one["id"] for one in everything]
    assert sizes == [3, 1], "no page is short for what is not shown"


async def test_what_is_out_of_reach_changes_nothing_that_a_bounded_token_sees(scene: Scene) -> None:
    before = [(await scene.get(f"{path}?limit=3", "bounded"))[0] for path in ("/api/credentials", "/api/models")]
    for number in range(30):
        await scene.house.keycairn.credentials.create(
            "anthropic", name=f"more{number}", secrets={"api_key": Secret(f"sk-more-{number}")}
        )
    after = [(await scene.get(f"{path}?limit=3", "bounded"))[0] for path in ("/api/credentials", "/api/models")]
    assert after == before
