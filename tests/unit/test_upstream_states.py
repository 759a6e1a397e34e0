"""A connection to a provider is used again after a complete exchange, and after nothing else."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from keycairn.adapters.httptools_upstream.connection import UpstreamConnection
from keycairn.adapters.httptools_upstream.states import ConnectionState, Event, after
from keycairn.domain.errors import NotSentError

EVENTS = "".join(chr(97 + event) for event in Event)
LETTER = dict(zip(Event, EVENTS, strict=True))
B, S, I, K, E, R = (
    LETTER[event] for event in (Event.BEGIN, Event.SEND, Event.INTERIM_HEAD, Event.KEPT_HEAD, Event.END, Event.RELEASE)
)
COMPLETE = re.compile(f"(?:{B}{S}(?:{I}{E})*{K}{E}{R})*")
"""Whole exchanges: begun, sent, interim answers, a head that keeps the connection, its end, and the release."""
GOOD = [Event.BEGIN, Event.SEND, Event.KEPT_HEAD, Event.END, Event.RELEASE]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(Event), max_size=12))
@example([*GOOD, *GOOD])
@example([Event.BEGIN, Event.SEND, Event.INTERIM_HEAD, Event.END, *GOOD[2:]])
@example([*GOOD[:4], Event.EXCESS, Event.RELEASE])
def test_only_whole_exchanges_lead_back_to_where_another_may_begin(events: list[Event]) -> None:
    state = ConnectionState.IDLE
    seen = ""
    for event in events:
        state = after(state, event)
        seen += LETTER[event]
        assert (state is ConnectionState.IDLE) == (COMPLETE.fullmatch(seen) is not None)


@pytest.mark.parametrize("at", range(len(GOOD)))
@pytest.mark.parametrize("other", list(Event))
def test_one_event_out_of_turn_is_the_end(at: int, other: Event) -> None:
    state = ConnectionState.IDLE
    for event in [*GOOD[:at], other, *GOOD[at:]]:
        state = after(state, event)
    assert state is ConnectionState.CLOSED


@pytest.mark.parametrize("event", list(Event))
def test_what_is_closed_stays_closed(event: Event) -> None:
    assert after(ConnectionState.CLOSED, event) is ConnectionState.CLOSED


@pytest.mark.parametrize("state", list(ConnectionState))
def test_every_state_can_be_reached_and_cut(state: ConnectionState) -> None:
    reached, before = {ConnectionState.IDLE}, set[ConnectionState]()
    while reached != before:
        before = set(reached)
        reached |= {after(one, event) for one in before for event in Event}
    assert state in reached
    assert after(state, Event.CUT) is ConnectionState.CLOSED


class FakeTransport(asyncio.Transport):
    """Takes what is written. `waiting` is how many bytes of it have not gone out."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = socket.socketpair()
        self.written = bytearray()
        self.waiting = 0
        self.aborted = self.paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.pair[0] if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
KEPT = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    LARGE,
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
OTHERS = (
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    b"no HTTP",
    b"\r\n",
    b"",
)
WIRE = st.tuples(
    st.lists(st.sampled_from((INTERIM,)), max_size=2).map(b"".join),
    st.sampled_from((*KEPT, *OTHERS)),
    st.sampled_from((b"", b"", b"", b"x", b"\r\n", KEPT[0])),
).map(b"".join)
STEPS = st.one_of(
    st.tuples(st.just("data"), st.integers(1, 120)),
    st.tuples(st.sampled_from(["turn", "turn", "eof", "lost", "cut", "close", "unsent", "sent"]), st.just(0)),
)


class Exchange:
    """One exchange of a connection, driven step by step, and what an onlooker makes of it."""

    def __init__(self, request: str, wire: bytes, steps: Sequence[tuple[str, int]]) -> None:
        self.request, self.wire, self.steps = request, wire, [*steps]
        self.given = b""
        self.out = self.broken = False
        self.source_ended = request in {"whole", "head"}

    @property
    def complete(self) -> bool:
        """Whether all of the request went out, exactly one answer came, and nobody ended anything."""
        # Blank lines around an answer are nobody's, and no parser takes them for one (RFC 9112, 2.2).
        answer = self.given.lstrip(b"\r\n")
        while answer.startswith(INTERIM):
            answer = answer.removeprefix(INTERIM).lstrip(b"\r\n")
        alone = any(answer.startswith(one) and not answer.removeprefix(one).strip(b"\r\n") for one in KEPT)
        return self.out and self.source_ended and not self.broken and self.request != "head" and alone


async def body_of(exchange: Exchange, ending: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"x"
    await ending.wait()
    exchange.source_ended = True


async def turn() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def play(exchanges: Sequence[Exchange]) -> int:
    """Drive one connection through the exchanges, as far as it may be used. How many were complete."""
    released: list[bool] = []
    connection = UpstreamConnection(lambda _, keep: released.append(keep), lambda _: None)
    transport = FakeTransport()
    connection.connection_made(transport)
    try:
        return await play_on(connection, transport, released, exchanges)
    finally:
        connection.cut()
        for end in transport.pair:
            end.close()


async def play_on(
    connection: UpstreamConnection, transport: FakeTransport, released: list[bool], exchanges: Sequence[Exchange]
) -> int:
    complete = 0
    for number, exchange in enumerate(exchanges, 1):
        assert connection.open
        ending = asyncio.Event()
        body = body_of(exchange, ending) if exchange.request in {"stream", "endless"} else b"{}"
        if exchange.request == "stream":
            ending.set()
        head = exchange.request == "head"
        answer = connection.exchange(b"HEAD\r\n\r\n", body, length=None, bodiless=head, within=5)
        exchange.out = not isinstance(body, bytes)
        for step, size in [*exchange.steps, ("turn", 0), *[("data", 100_000)] * 4, ("cut", 0)]:
            if len(released) == number:
                break
            if step == "data" and exchange.wire and not transport.aborted:
                data, exchange.wire = exchange.wire[:size], exchange.wire[size:]
                exchange.given += data
                exchange.broken = exchange.broken or not exchange.out
                connection.data_received(data)
            elif step == "turn":
                exchange.out = True
                await turn()
            elif step in {"unsent", "sent"}:
                transport.waiting = 9 if step == "unsent" else 0
                continue
            elif step in {"eof", "lost", "cut", "close"}:
                exchange.broken = True
                {
                    "eof": connection.eof_received,
                    "lost": lambda: connection.connection_lost(None),
                    "cut": connection.cut,
                    "close": answer.close,
                }[step]()
        assert len(released) == number, "every exchange gives its connection back, once"
        sent = exchange.complete and not transport.waiting
        assert connection.open == released[-1] == sent, exchange.given[:80]
        assert transport.aborted != sent
        ending.set()
        await turn()
        if not sent:
            assert bool(connection.open) is False  # type: ignore[unreachable]  # it changes while it is awaited
            with pytest.raises(NotSentError):
                await asyncio.wait_for(connection.exchange(b"", None, length=None, bodiless=False, within=5).head(), 1)
            break
        assert not transport.paused, "what is idle must hear that it is closed"
        complete += 1
    return complete


REQUESTS = st.sampled_from(["whole", "whole", "stream", "endless", "head"])


@settings(max_examples=300, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(st.builds(Exchange, REQUESTS, WIRE, st.lists(STEPS, max_size=8)), min_size=1, max_size=4))
def test_no_connection_is_used_again_after_anything_but_a_whole_exchange(exchanges: list[Exchange]) -> None:
    asyncio.run(play(exchanges))


@pytest.mark.parametrize("wire", KEPT)
@pytest.mark.parametrize("interim", [0, 2])
@pytest.mark.parametrize("request_", ["whole", "stream"])
def test_a_whole_exchange_keeps_its_connection(wire: bytes, interim: int, request_: str) -> None:
    exchanges = [Exchange(request_, INTERIM * interim + wire, [("turn", 0)]) for _ in range(3)]

    assert asyncio.run(play(exchanges)) == 3


async def test_an_exchange_on_a_connection_that_is_not_free_is_not_sent() -> None:
    connection, transport = UpstreamConnection(lambda *_: None, lambda _: None), FakeTransport()
    with pytest.raises(NotSentError):
        connection.exchange(b"first", None, length=None, bodiless=False, within=5)
    connection.connection_made(transport)
    answer = connection.exchange(b"second", None, length=None, bodiless=False, within=5)
    with pytest.raises(NotSentError):
        connection.exchange(b"third", None, length=None, bodiless=False, within=5)
    await turn()
    connection.data_received(KEPT[0])

    await answer.head()
    assert (bytes(transport.written), answer.status, connection.open) == (b"second", 200, True)
    connection.cut()
    for end in transport.pair:
        end.close()
