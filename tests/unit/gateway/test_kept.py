"""A streamed body is kept while it may be needed again: bounded, on disk where it is long, and gone at the end."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bodies import FakeSpools, arriving, in_pieces

from keycairn.app.gateway.kept import KEPT_IN_MEMORY, LARGEST_KEPT, KeptBody
from keycairn.app.gateway.request_body import ClientGoneError, Incoming, Intake
from keycairn.domain.errors import BodyTooSlowError, RequestRefusedError

CHUNK = 65_536
_NUMBERS = b"".join(b"%08d" % number for number in range(20 * KEPT_IN_MEMORY // 8))


def numbered(size: int) -> bytes:
    """Bytes of which each place looks different."""
    return _NUMBERS[:size]


async def all_of(kept: KeptBody) -> bytes:
    return b"".join([chunk async for chunk in kept.chunks()])


@settings(deadline=None)
@given(st.integers(0, 6 * KEPT_IN_MEMORY), st.lists(st.integers(1, 400_000), max_size=8), st.integers(0, 20))
async def test_what_one_attempt_drew_the_next_one_sends_again(size: int, sizes: list[int], drawn: int) -> None:
    body = numbered(size)
    intake = Intake(spools=FakeSpools())
    incoming = arriving(*in_pieces(body, sizes), intake=intake)
    kept = KeptBody(incoming)

    async with aclosing(kept.chunks()) as first:  # type: ignore[type-var]  # a generator
        begun = [await anext(first, b"") for _ in range(drawn)]

    assert body.startswith(b"".join(begun))
    assert await all_of(kept) == body
    assert await all_of(kept) == body
    assert kept.whole
    assert intake.held <= 2 * max(KEPT_IN_MEMORY, *sizes, size if not sizes else 0)
    incoming.close()
    assert intake.held == intake.spooled == 0


@pytest.mark.parametrize("turns", range(12))
async def test_an_attempt_that_is_cancelled_anywhere_loses_nothing(turns: int) -> None:
    body = numbered(8 * CHUNK)
    spools = FakeSpools()
    incoming = arriving(*in_pieces(body, [CHUNK] * 7), intake=Intake(spools=spools))
    kept = KeptBody(incoming)

    first = asyncio.create_task(all_of(kept))
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    second = await all_of(kept)

    assert second == body
    incoming.close()
    assert incoming.intake.held == incoming.intake.spooled == 0
    assert all(spool.closed for spool in spools.opened)


@pytest.mark.parametrize("room", [0, KEPT_IN_MEMORY, 3 * KEPT_IN_MEMORY])
async def test_with_a_full_disk_a_body_goes_on_once(room: int) -> None:
    body = numbered(20 * KEPT_IN_MEMORY)
    spools = FakeSpools(room)
    incoming = arriving(*in_pieces(body, [CHUNK] * 79), intake=Intake(spools=spools))
    kept = KeptBody(incoming)

    assert await all_of(kept) == body
    assert not kept.whole
    assert incoming.intake.held == incoming.intake.spooled == 0
    assert spools.opened[0].closed


async def test_with_a_full_disk_what_is_needed_is_held_in_memory() -> None:
    body = numbered(20 * KEPT_IN_MEMORY)
    incoming = arriving(*in_pieces(body, [CHUNK] * 79), intake=Intake(spools=FakeSpools(3 * KEPT_IN_MEMORY)))
    kept = KeptBody(incoming)

    while not kept.complete:
        await kept.draw(needed=True)

    assert await all_of(kept) == body
    assert kept.whole
    incoming.close()
    assert incoming.intake.held == incoming.intake.spooled == 0


async def test_all_bodies_together_keep_no_more_than_may_be() -> None:
    body = numbered(6 * KEPT_IN_MEMORY)
    intake = Intake(most=3 * KEPT_IN_MEMORY, spools=FakeSpools(), most_spooled=8 * KEPT_IN_MEMORY)
    incoming = [arriving(*in_pieces(body, [CHUNK] * 23), intake=intake) for _ in range(6)]
    kept = [KeptBody(one) for one in incoming]

    sent = await asyncio.gather(*map(all_of, kept))

    assert sent == [body] * 6
    assert 1 <= sum(one.whole for one in kept) < 6
    assert intake.spooled <= 8 * KEPT_IN_MEMORY
    for one in incoming:
        one.close()
    assert intake.held == intake.spooled == 0


async def test_what_is_known_to_be_too_long_is_never_written() -> None:
    spools = FakeSpools()
    chunks = [bytes(CHUNK)] * 10
    kept = KeptBody(arriving(*chunks, intake=Intake(spools=spools), length=LARGEST_KEPT + 1))

    assert await all_of(kept) == bytes(10 * CHUNK)
    assert spools.written == 0
    assert not kept.whole


async def test_what_turns_out_too_long_is_given_up() -> None:
    spools = FakeSpools()
    intake = Intake(spools=spools)
    chunk = bytes(2**20)
    count = LARGEST_KEPT // 2**20 + 3
    kept = KeptBody(arriving(*[chunk] * count, intake=intake))

    size = sum([len(piece) async for piece in kept.chunks()])

    assert size == count * 2**20
    assert not kept.whole
    assert intake.held == intake.spooled == 0
    assert spools.opened[0].closed


async def test_a_chunk_that_is_refused_is_sent_to_nobody() -> None:
    def watch(chunk: bytes) -> None:
        if b"second" in chunk:
            raise RequestRefusedError("No.")

    kept = KeptBody(arriving(b"first", b"second", b"third"), watch)
    chunks = aiter(kept.chunks())

    assert await anext(chunks) == b"first"
    with pytest.raises(RequestRefusedError):
        await anext(chunks)


async def test_a_client_that_leaves_leaves_nothing() -> None:
    spools = FakeSpools()
    intake = Intake(spools=spools)
    left = 6

    async def receive() -> Any:
        nonlocal left
        left -= 1
        return (
            {"type": "http.request", "body": bytes(CHUNK), "more_body": True} if left else {"type": "http.disconnect"}
        )

    incoming = Incoming(receive, intake, None)
    with pytest.raises(ClientGoneError):
        await all_of(KeptBody(incoming))
    assert intake.spooled
    incoming.close()

    assert intake.held == intake.spooled == 0
    assert spools.opened[0].closed


async def test_a_body_that_does_not_come_in_time_ends_its_receive_in_its_own_way() -> None:
    ended: list[str] = []

    async def receive() -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("ended")

    with pytest.raises(BodyTooSlowError):
        await Incoming(receive, Intake(within=0.01), None).take()
    reading = asyncio.create_task(Incoming(receive, Intake(), None).draw())
    await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert ended == ["ended", "ended"]


@pytest.mark.parametrize("steps", range(4))
async def test_a_body_that_comes_later_is_taken_whole_from_any_server(steps: int) -> None:
    async def receive() -> Any:
        for _ in range(steps):
            await asyncio.sleep(0)
        return {"type": "http.request", "body": b"whole", "more_body": False}

    assert await Incoming(receive, Intake(), None).read() == b"whole"
    assert await Incoming(lambda: asyncio.ensure_future(receive()), Intake(), None).read() == b"whole"
