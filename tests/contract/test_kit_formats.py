"""The kit takes providers that sign, and those that answer something else than JSON."""

import hmac
from dataclasses import replace
from hashlib import sha256

import httpx
import pytest

from keycairn.domain.modality import Modality
from keycairn.domain.provider import Account
from keycairn.plugins import Http, OpenAICompatible, Request, Secret, keyed_spec, required_header_secret
from keycairn.plugins.base import Headers, authorized
from keycairn.testing import (
    KEY,
    Answer,
    LocalServer,
    Matching,
    OpenAIServer,
    ProviderCase,
    ProviderConformance,
    Recorded,
    openai_case,
)

SPEC = keyed_spec("acme", "Acme", Modality.LANGUAGE, docs_url="https://acme.example/keys")


class Signing(OpenAICompatible):
    """Sends no key, but a signature of each call's path with it."""

    def headers(self, account: Account, type: Modality | None = None) -> Headers:
        return {"X-Sig": self._signature(account, "any")}

    async def authorize(self, account: Account, request: Request, http: Http) -> Request:
        return authorized(request, {"X-Sig": self._signature(account, request.url)})

    def _signature(self, account: Account, text: str) -> Secret:
        key = required_header_secret(account).reveal().encode()
        return Secret("v1=" + hmac.new(key, text.encode(), sha256).hexdigest())


class SigningServer(OpenAIServer):
    def authorized(self, recorded: Recorded) -> bool:
        given = recorded.headers.get("x-sig", "")
        return self.key is None or given == "v1=" + hmac.new(self.key.encode(), b"any", sha256).hexdigest()


class TestSigning(ProviderConformance):
    @pytest.fixture
    def case(self) -> ProviderCase:
        case = openai_case(Signing(SPEC, url="https://api.acme.example/v1"))
        return replace(case, server=SigningServer, auth={"X-Sig": Matching("v1=[0-9a-f]{64}")})


class Lines(LocalServer):
    """Lists its models as lines of JSON, and fails in XML."""

    def answer(self, recorded: Recorded) -> Answer:
        return Answer(body=b'{"id": "one"}\n{"id": "two"}\n', type="application/x-ndjson")

    def error(self, status: int) -> object:
        return Answer(body=f"<error code='{status}'/>".encode(), type="application/xml")


class Xml(Lines):
    def answer(self, recorded: Recorded) -> Answer:
        return Answer(body=b"<models><m>one</m></models>", type="application/xml")


class XmlEmptied(Xml):
    def without_models(self, good: Answer) -> Answer:
        return Answer(body=b"<models/>", type=good.type)


async def asked(server: LocalServer, *, key: str = KEY, body: bytes = b"") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.post(server.url + "/models", headers={"Authorization": f"Bearer {key}"}, content=body)


async def test_lines_of_json_are_emptied_and_errors_keep_their_format() -> None:
    async with Lines() as server:
        assert len((await asked(server)).text.splitlines()) == 2
        server.fault = "no_models"
        assert (await asked(server)).content == b""
        server.fault = 503
        refused = await asked(server)
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/xml")
        assert refused.headers["retry-after"] == "7"
        server.fault = None
        assert (await asked(server, key="wrong")).text == "<error code='401'/>"


async def test_another_format_says_itself_how_it_is_without_models() -> None:
    async with XmlEmptied() as server:
        server.fault = "no_models"
        assert (await asked(server)).text == "<models/>"
    with pytest.raises(NotImplementedError, match=r"Xml\.without_models"):
        Xml().without_models(Answer(body=b"<models/>", type="application/xml"))


async def test_a_body_beyond_a_mebibyte_is_taken_whole() -> None:
    async with Lines() as server:
        assert (await asked(server, body=b"x" * (3 * 1024 * 1024))).status_code == 200
        assert len(server.requests[0].body) == 3 * 1024 * 1024


def test_a_matcher_equals_what_matches_as_a_whole() -> None:
    signature = Matching("v1=[0-9a-f]{4}")
    assert signature == "v1=00ff"
    assert {"X": signature} == {"X": "v1=00ff"}
    assert signature not in ("v1=00ff0", "xv1=00ff", None, 1)
    assert "v1=" in repr(signature)
