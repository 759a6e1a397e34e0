"""Websockets through the gateway, over real sockets and the real guarded client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.gateway_house import GatewayHouse, gateway_house
from tests.servers.listen_api import BYTES_A_SECOND, ListenServer
from tests.servers.live_api import LiveServer
from tests.servers.realtime_api import RealtimeServer, TellingRealtimeServer
from tests.servers.sockets import SocketServer, until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from keycairn.domain.credential import Credential
from keycairn.domain.ids import credential_id
from keycairn.domain.limits import Limits
from keycairn.domain.modality import Modality
from keycairn.domain.reach import Reach
from keycairn.domain.token import Scope
from keycairn.testing.server import KEY

LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
RESPOND = json.dumps({"type": "response.create"})


@pytest.fixture
async def house() -> AsyncIterator[GatewayHouse]:
    async with gateway_house() as house:
        yield house


async def realtime(house: GatewayHouse, server: RealtimeServer, model: str = "gpt-realtime") -> Credential:
    account = await house.account("openai", server.url, server.key)
    await house.model(account, model)
    return account


@asynccontextmanager
async def opened(
    house: GatewayHouse, path: str, token: str | None = None, **options: Any
) -> AsyncIterator[ClientConnection]:
    headers = {} if token == "" else {"Authorization": f"Bearer {token or house.token}"}
    url = house.url.replace("http://", "ws://") + path
    async with connect(url, additional_headers=headers, proxy=None, **options) as socket:
        yield socket


async def heard(socket: ClientConnection, type: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            event: dict[str, Any] = json.loads(await socket.recv())
            if event["type"] == type:
                return event


async def endless(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


async def ended(socket: ClientConnection) -> tuple[int, str]:
    """How the gateway ends it, after whatever else it says."""
    with pytest.raises(ConnectionClosed) as error:
        await asyncio.wait_for(endless(socket), 8)
    assert error.value.rcvd is not None
    return error.value.rcvd.code, error.value.rcvd.reason


async def refusal(house: GatewayHouse, path: str, token: str | None = None, **options: Any) -> tuple[int, Any]:
    with pytest.raises(InvalidStatus) as error:
        async with opened(house, path, token, **options):
            pass
    return error.value.response.status_code, json.loads(error.value.response.body)


async def test_a_session_of_a_model_is_passed_on_and_counted(house: GatewayHouse) -> None:
    async with RealtimeServer() as server:
        account = await realtime(house, server)
        async with opened(house, "/v1/realtime?model=gpt-realtime") as socket:
            assert (await heard(socket, "session.created"))["session"]["id"] == "sess_1"
            for _ in range(2):
                await socket.send(RESPOND)
                assert (await heard(socket, "response.done"))["response"]["usage"]["total_tokens"] == 30
            [(_, running)] = (await house.usage()).items()
            assert (running.requests, running.input_tokens, running.output_tokens) == (0, 40, 20)
        await until(lambda: server.closes)
        assert server.closes == [(1000, "")]
        await until(lambda: not house.gateway._admission._calls)
        [(key, used)] = (await house.usage()).items()
        assert key.credential == account.id
        assert (used.requests, used.failed, used.input_tokens, used.output_tokens) == (1, 0, 40, 20)
        assert (used.cached_tokens, used.estimated) == (16, 0)
        assert server.query() == {"model": "gpt-realtime"}
        assert house.token not in repr(server.handshakes[0].headers)


@pytest.mark.parametrize("done", [True, False])
async def test_a_turn_that_tells_nothing_or_is_cut_off_is_estimated(house: GatewayHouse, *, done: bool) -> None:
    async with RealtimeServer() as server:
        server.done, server.usage = done, None
        await realtime(house, server)
        async with opened(house, "/v1/realtime?model=gpt-realtime") as socket:
            await socket.send(RESPOND)
            await heard(socket, "response.done" if done else "response.output_audio.delta")
        await until(lambda: not house.gateway._admission._calls)
        [used] = (await house.usage()).values()
        assert used.estimated == 1
        assert used.output_tokens == 2 + 2


@pytest.mark.parametrize(
    ("headers", "subprotocols", "query"),
    [
        ({}, ["realtime", "openai-insecure-api-key.{}", "openai-beta.realtime-v1"], ""),
        ({"x-goog-api-key": "{}"}, None, ""),
        ({"api-key": "{}"}, None, ""),
        ({"xi-api-key": "{}"}, None, ""),
        ({"Authorization": "Token {}"}, None, ""),
        ({"authorization": "bearer {}"}, None, ""),
        ({}, ["token", "{}"], ""),
        ({}, ["bearer", "{}"], ""),
        ({}, None, "&key={}"),
        ({"Authorization": "Bearer {}"}, ["realtime", "openai-insecure-api-key.{}"], "&key={}"),
    ],
)
async def test_the_token_is_taken_from_wherever_a_client_puts_its_key(
    house: GatewayHouse, headers: dict[str, str], subprotocols: list[str] | None, query: str
) -> None:
    async with RealtimeServer() as server:
        await realtime(house, server)
        url = f"{house.url.replace('http', 'ws', 1)}/v1/realtime?model=gpt-realtime{query.format(house.token)}"
        given = {name: value.format(house.token) for name, value in headers.items()}
        offered = [one.format(house.token) for one in subprotocols or ()]
        async with connect(url, additional_headers=given, subprotocols=offered or None, proxy=None) as socket:  # type: ignore[arg-type]  # plain texts
            await heard(socket, "session.created")
            assert socket.subprotocol == (offered[0] if offered else None)
        assert house.token not in str(server.handshakes[0].headers) + server.handshakes[0].path


@pytest.mark.parametrize(
    ("path", "token", "status", "code"),
    [
        ("/v1/realtime?model=gpt-realtime", "kc_wrong", 401, "unauthenticated"),
        ("/v1/realtime?model=gpt-realtime", "", 401, "unauthenticated"),
        ("/v1/realtime?model=gpt-realtime&key=kc_other", None, 400, "ambiguous_request"),
        ("/v1/realtime?model=nothing", None, 404, "model_not_found"),
        ("/v1/realtime", None, 400, "invalid_request"),
        ("/v1/realtime?model=gpt-realtime&model=b", None, 400, "invalid_request"),
        ("/v1/realtime?model=gpt-realtime&call_id=rtc_1", None, 400, "invalid_request"),
        ("/v1/realtime?model=gpt-realtime&api_key=x", None, 400, "invalid_request"),
        ("/v1/chat/completions", None, 404, "not_found"),
        ("/v1/responses", None, 404, "not_found"),
        ("/v1/nothing", None, 404, "not_found"),
        ("/v1/realtime/../realtime?model=gpt-realtime", None, 400, "ambiguous_request"),
        ("/native/nobody/realtime", None, 404, "credential_not_found"),
    ],
)
async def test_a_handshake_that_is_refused_says_why(
    house: GatewayHouse, path: str, token: str | None, status: int, code: str
) -> None:
    async with RealtimeServer() as server:
        await realtime(house, server)
        got, body = await refusal(house, path, token)
        assert (got, body["error"]["code"]) == (status, code)
        assert not server.handshakes


async def test_native_paths_open_what_their_plugin_declares_alone(house: GatewayHouse) -> None:
    async with ListenServer() as server:
        account = await house.account("deepgram", server.url, KEY)
        status, body = await refusal(house, f"/native/{account.id}/agent")
        assert (status, body["error"]["code"]) == (404, "not_found")
        assert not server.handshakes


@pytest.mark.parametrize("version", ["", "/v1"])
async def test_sound_is_transcribed_as_it_comes(house: GatewayHouse, version: str) -> None:
    async with ListenServer() as server:
        account = await house.account("deepgram", server.url, KEY)
        async with opened(house, f"/native/{account.id}{version}/listen?model=nova-3&encoding=linear16") as socket:
            await socket.send(bytes(BYTES_A_SECOND))
            assert (await heard(socket, "Results"))["channel"]["alternatives"][0]["transcript"] == "you"
            await socket.send(json.dumps({"type": "CloseStream"}))
            assert (await heard(socket, "Metadata"))["duration"] == 1.0
            assert await ended(socket) == (1000, "")
        assert server.query() == {"model": "nova-3", "encoding": "linear16"}
        [used] = (await house.usage()).values()
        assert (used.requests, used.failed, used.input_tokens) == (1, 0, 0)


async def live(house: GatewayHouse, server: LiveServer) -> str:
    account = await house.account("google", server.url, server.key)
    return f"/native/{account.id}{LIVE}"


@pytest.mark.parametrize("slashes", ["/ws/", "//ws/", "/v1beta/ws/"])
async def test_the_live_api_answers_in_binary_and_is_counted(house: GatewayHouse, slashes: str) -> None:
    async with LiveServer() as server:
        async with opened(house, (await live(house, server)).replace("/ws/", slashes) + "?alt=json") as socket:
            await socket.send(json.dumps({"setup": {"model": "models/gemini-live"}}))
            assert json.loads(await socket.recv()) == {"setupComplete": {}}
            for _ in range(3):
                await socket.send(json.dumps({"clientContent": {"turnComplete": True}}))
                told = await socket.recv()
                assert isinstance(told, bytes)
                assert b"Hello!" in told
                await socket.recv()
        await until(lambda: not house.gateway._admission._calls)
        [used] = (await house.usage()).values()
        assert (used.input_tokens, used.output_tokens, used.estimated) == (21, 9, 0)


async def test_a_key_that_is_rotated_while_a_session_opens_is_used_in_place_of_the_dead_one(
    house: GatewayHouse,
) -> None:
    async with LiveServer() as server:
        path = await live(house, server)
        account = credential_id(path.split("/")[2])
        async with opened(house, path) as socket:
            await until(lambda: server.opened)
            server.key = "AIza-rotated-0123456789abcdef"
            await house.rotate((await house.keycairn.credentials.get(account)).credential, server.key)
            await socket.send(json.dumps({"setup": {"model": "models/gemini-live"}}))
            assert json.loads(await socket.recv()) == {"setupComplete": {}}
        assert len(server.received) == 2
        assert server.closes[0][0] == 1007


async def test_a_bad_key_that_is_told_in_the_end_alone_is_told_as_ours(house: GatewayHouse) -> None:
    async with LiveServer() as server:
        path = await live(house, server)
        server.key = "AIza-another-0123456789abcdef"
        async with opened(house, path) as socket:
            await socket.send(json.dumps({"setup": {"model": "models/gemini-live"}}))
            code, reason = await ended(socket)
            assert code == 1014
            assert reason.startswith("provider_invalid_auth")
        await until(lambda: not house.gateway._admission._calls)
        [used] = (await house.usage()).values()
        assert (used.requests, used.failed) == (1, 1)
        status, body = await refusal(house, path)
        assert status == 502
        assert body["error"]["details"][0]["reason"] == "provider_invalid_auth"


@pytest.mark.parametrize("kind", [RealtimeServer, TellingRealtimeServer])
async def test_another_account_is_asked_where_one_refuses(house: GatewayHouse, kind: type[RealtimeServer]) -> None:
    async with kind() as first, RealtimeServer() as second:
        bad = await house.account("openai", first.url, "sk-refused-0123456789")
        await house.model(bad, "gpt-realtime")
        await house.model(await house.account("openai", second.url, KEY), "gpt-realtime", priority=1)
        async with opened(house, "/v1/realtime?model=gpt-realtime") as socket:
            await heard(socket, "session.created")
            assert socket.response is not None
            assert socket.response.headers["x-keycairn-attempts"] == "2"
        assert house.gateway.health.is_bad(await house.keycairn.store.credential("default", bad.id))  # type: ignore[arg-type]  # it is there


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [(429, 429, "429"), (403, 403, "403"), (503, 503, "503"), (401, 502, "provider_invalid_auth"), (404, 404, "404")],
)
async def test_a_providers_refusal_is_told_without_its_key(
    house: GatewayHouse, fault: int, status: int, code: str
) -> None:
    async with RealtimeServer() as server:
        await realtime(house, server)
        server.faults = [fault] * 4
        got, body = await refusal(house, "/v1/realtime?model=gpt-realtime")
        assert (got, body["error"]["code"]) == (status, code)
        assert KEY not in str(body)


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1011, 1013, 3000, 4999])
async def test_codes_of_an_end_are_passed_on_both_ways(house: GatewayHouse, code: int) -> None:
    class Ending(RealtimeServer):
        async def session(self, socket: Any) -> None:
            await self._say(socket, "session.created", session={})
            await self.hear(socket)
            await socket.close(code, f"because of {self.key}")

    async with Ending() as server:
        await realtime(house, server)
        async with opened(house, "/v1/realtime?model=gpt-realtime") as socket:
            await socket.send(RESPOND)
            got, reason = await ended(socket)
            assert got == code
            assert reason.startswith("because of ")
            assert KEY not in reason
        async with opened(house, "/v1/realtime?model=gpt-realtime") as socket:
            await heard(socket, "session.created")
            await socket.close(code, "enough")
        await until(lambda: len(server.closes) == 2)
        assert server.closes[1] == (code, "enough")


async def test_a_lost_provider_and_a_lost_client_are_told(house: GatewayHouse) -> None:
    async with RealtimeServer() as server:
        await realtime(house, server)
        async with opened(house, "/v1/realtime?model=gpt-realtime") as socket:
            await heard(socket, "session.created")
            server.sessions[0].transport.abort()
            code, reason = await ended(socket)
            assert code == 1014
            assert reason.startswith("provider_unreachable")
        async with opened(house, "/v1/realtime?model=gpt-realtime") as socket:
            await heard(socket, "session.created")
            socket.transport.abort()
            await until(lambda: len(server.closes) == 2)
        await until(lambda: not house.gateway._admission._calls)


async def test_no_key_comes_back_in_any_frame(house: GatewayHouse) -> None:
    half = len(KEY) // 2

    class Telling(RealtimeServer):
        async def session(self, socket: Any) -> None:
            await self._say(socket, "session.created", session={"key": self.key})
            await socket.send([f'{{"type": "split", "text": "{self.key[:half]}', f'{self.key[half:]}"}}'])
            await socket.send([b"\xff\xfe" + self.key[:4].encode(), self.key[4:].encode(), b"\x00"])
            await socket.send(json.dumps({"type": "spelled", "text": self.key.upper()[::-1]}).encode())
            await self.hear(socket)

    async with Telling() as server:
        await realtime(house, server)
        async with opened(house, "/v1/realtime?model=gpt-realtime") as socket:
            told = [await socket.recv(decode=False) for _ in range(4)]
            assert b"split" in told[1]
            assert told[2][:2] == b"\xff\xfe"
            for message in told:
                assert b"*" in message
                assert KEY.encode() not in message
                assert KEY[::-1].upper().encode() not in message


async def test_who_may_no_longer_call_loses_the_session(house: GatewayHouse) -> None:
    async with RealtimeServer() as server:
        account = await realtime(house, server)
        token, text = await house.new_token(Scope.INVOKE)
        async with (
            opened(house, "/v1/realtime?model=gpt-realtime", text) as revoked,
            opened(house, "/v1/realtime?model=gpt-realtime") as other,
        ):
            await heard(revoked, "session.created")
            await house.keycairn.tokens.revoke(token.id)
            code, reason = await ended(revoked)
            assert code == 1008
            assert reason.startswith("unauthenticated")
            await house.rotate(account, "sk-rotated-0123456789")
            await asyncio.sleep(1.2)
            await other.send(RESPOND)
            await heard(other, "response.done")  # its provider took the former key when it began
            await house.keycairn.credentials.delete(account.id)
            code, reason = await ended(other)
            assert code == 1008
            assert reason.startswith("credential_not_found")
        await until(lambda: len(server.closes) == 2)


async def test_a_limit_that_is_reached_stops_the_session(house: GatewayHouse) -> None:
    async with RealtimeServer() as server:
        await realtime(house, server)
        _, text = await house.new_token(Scope.INVOKE, limits=Limits(tokens_per_day=50, concurrent=1))
        async with opened(house, "/v1/realtime?model=gpt-realtime", text) as socket:
            status, body = await refusal(house, "/v1/realtime?model=gpt-realtime", text)
            assert (status, body["error"]["code"]) == (429, "limit_reached")
            await socket.send(RESPOND)
            await heard(socket, "response.done")
            await socket.send(RESPOND)
            await heard(socket, "response.done")
            assert (await heard(socket, "error"))["error"]["code"] == "limit_reached"
            code, reason = await ended(socket)
            assert code == 1008
            assert reason.startswith("limit_reached")
        status, _ = await refusal(house, "/v1/realtime?model=gpt-realtime", text)
        assert status == 429


async def test_a_name_of_ours_is_the_providers_in_query_and_messages(house: GatewayHouse) -> None:
    async with RealtimeServer() as server:
        account = await house.account("openai", server.url, KEY)
        await house.keycairn.models.create(
            "voice", provider="openai", type=Modality.LANGUAGE, credential=account.id, provider_model="gpt-realtime"
        )
        async with opened(house, "/v1/realtime?model=voice") as socket:
            await socket.send(json.dumps({"type": "session.update", "session": {"model": "voice", "a": "voice"}}))
            updated = await heard(socket, "session.updated")
            assert updated["session"]["model"] == "gpt-realtime"
            assert updated["session"]["a"] == "voice"
        assert server.query() == {"model": "gpt-realtime"}


@pytest.mark.parametrize(
    "message",
    [
        '{"type": "session.update", "session": {"model": "gpt-dear"}}',
        '{"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "gpt-dear"}}}}}',
        '{"type": "session.update", "session": {"model": "gpt-dear", "model": "gpt-realtime"}}',
        '{"type": "session.update", "session": {"mod\\u0065l": "gpt-dear"}}',
        '{"type": "session.update", "session": {"Model": "gpt-dear"}}',
        '{"type": "session.update", "session": {"models": ["gpt-dear"]}}',
        "no JSON",
        b"\x00\x01",
    ],
)
async def test_a_token_that_lists_its_models_names_no_other_in_a_message(
    house: GatewayHouse, message: str | bytes
) -> None:
    async with RealtimeServer() as server:
        await realtime(house, server)
        _, text = await house.keycairn.tokens.create(
            "bounded", (Scope.INVOKE,), reach=Reach(models=("gpt-realtime", "whisper-1"))
        )
        async with opened(house, "/v1/realtime?model=gpt-realtime", text.reveal()) as socket:
            await socket.send('{"type": "session.update", "session": {"transcription": {"model": "whisper-1"}}}')
            await heard(socket, "session.updated")
            await socket.send(message)
            assert (await heard(socket, "error"))["error"]["code"] in {"listed_models_only", "invalid_request"}
            assert (await ended(socket))[0] == 1008
        assert message not in server.received


async def test_a_slow_client_holds_the_provider_back(house: GatewayHouse) -> None:
    class Flooding(SocketServer):
        base, path = "/v1", "/v1/realtime"

        def __init__(self) -> None:
            super().__init__()
            self.sent = 0

        async def session(self, socket: Any) -> None:
            while True:
                await socket.send('{"type": "flood", "text": "' + "x" * 2**16 + '"}')
                self.sent += 1

    async with Flooding() as server:
        await realtime(house, server)  # type: ignore[arg-type]  # it is asked for its address alone
        async with opened(house, "/v1/realtime?model=gpt-realtime", max_queue=1) as socket:
            held = -1
            async with asyncio.timeout(20):
                while server.sent != held:
                    held = server.sent
                    await asyncio.sleep(0.5)
            assert 0 < held < 400
            await socket.recv()
            socket.transport.abort()
        await until(lambda: not house.gateway._admission._calls)
