"""However a service is told to stop, what it counted is written down and its word is taken back."""

import asyncio
import json
import os
import pty
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import date

import httpx
import pytest
from tests.nights import by_day
from tests.served import COMMAND, Served, announced, serving
from tests.servers.raw import raw_server
from tests.shell import KEY, Shell

from keycairn.app import Keycairn, Modality, NewModel, Secret, Settings, open_keycairn

CHUNK = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
CALL = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}


@asynccontextmanager
async def inside(shell: Shell) -> AsyncIterator[Keycairn]:
    settings = Settings(data_dir=shell.data, env_file=None, external_plugins=False)
    async with open_keycairn(settings) as keycairn:
        yield keycairn


@asynccontextmanager
async def with_calls(shell: Shell, calls: int) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    """A service with so many calls under way that never end by themselves, each with its first words answered."""

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        writer.write(b"data: " + json.dumps(CHUNK).encode() + b"\n\n")
        await writer.drain()
        await asyncio.sleep(3600)

    async with raw_server(endless) as url:
        async with inside(shell) as keycairn:
            made = await keycairn.credentials.create(
                "openai", name="slow", settings={"base_url": url}, secrets={"api_key": Secret(KEY)}
            )
            await keycairn.probing.register(made.credential.id, [NewModel("gpt-4o", Modality.LANGUAGE)])
        async with serving(shell) as served:
            token = (shell.data / "first-token").read_text().strip()
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=30) as http:
                reading = [asyncio.create_task(first_words(http)) for _ in range(calls)]
                answers = await asyncio.gather(*reading)
                yield served, http
                for answer in answers:
                    with suppress(httpx.HTTPError, StopAsyncIteration):
                        await anext(answer)


async def first_words(http: httpx.AsyncClient) -> AsyncIterator[bytes]:
    answer = await http.send(http.build_request("POST", "/v1/chat/completions", json=CALL), stream=True)
    assert answer.status_code == 200
    words = answer.aiter_raw()
    assert b"data:" in await anext(words)
    return words


async def nothing_was_lost(shell: Shell, calls: int) -> None:
    assert not (shell.data / "server.json").exists()
    async with inside(shell) as keycairn:
        used = await keycairn.store.usage("default", since=date.min, until=date.max)
        assert sum(usage.requests for usage in used.values()) == calls
        [token] = await keycairn.tokens.list()
        assert token.last_used is not None
        uses = [event for event in await keycairn.audit.events() if event.action == "secret.used"]
        assert sum(int(str(event.details["times"])) for event in uses) >= 1
        assert (await keycairn.audit.verify()).flaws == ()


@pytest.mark.parametrize(
    "signals",
    by_day(
        [
            (signal.SIGINT, signal.SIGINT),
            (signal.SIGTERM, signal.SIGTERM),
            (signal.SIGTERM, signal.SIGINT, signal.SIGINT, signal.SIGTERM),
            (signal.SIGQUIT, signal.SIGHUP, signal.SIGINT),
        ],
        one_in=3,
    ),
)
async def test_a_second_signal_cuts_calls_off_and_loses_nothing(
    shell: Shell, signals: tuple[signal.Signals, ...]
) -> None:
    async with with_calls(shell, 3) as (served, _):
        begun = time.monotonic()
        for number in signals:
            with suppress(ProcessLookupError):  # it may be quick
                served.process.send_signal(number)
            await asyncio.sleep(0.1)
        assert await asyncio.wait_for(served.process.wait(), 20) == 0
        assert time.monotonic() - begun < 8, "it waited for calls"
    assert "Traceback" not in served.said()
    await nothing_was_lost(shell, 3)


@pytest.mark.night
async def test_a_call_that_outlasts_the_grace_is_counted(shell: Shell) -> None:
    async with with_calls(shell, 1) as (served, _):
        begun = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(served.process.wait(), 30) == 0
        assert time.monotonic() - begun > 9
    await nothing_was_lost(shell, 1)


@pytest.mark.night
@pytest.mark.parametrize("number", by_day([signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2], one_in=3))
async def test_signals_that_mean_log_files_or_a_closed_terminal_change_nothing(
    shell: Shell, number: signal.Signals
) -> None:
    async with with_calls(shell, 1) as (served, http):
        for _ in range(3):
            served.process.send_signal(number)
        await asyncio.sleep(0.2)
        assert (await http.get("/health/ready")).status_code == 200
        assert (shell.data / "server.json").exists()
        served.process.send_signal(signal.SIGINT)
        served.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(served.process.wait(), 20) == 0
    await nothing_was_lost(shell, 1)


@pytest.mark.night
async def test_a_terminal_that_is_gone_does_not_stop_the_service_or_its_answers(shell: Shell) -> None:
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "KEYCAIRN_LOG_LEVEL": "debug", **shell.variables}
    process = await asyncio.create_subprocess_exec(
        COMMAND, "serve", "--port", "0", env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    url = await announced(shell, process)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    async with httpx.AsyncClient(base_url=url) as http:
        for _ in range(5):
            assert (await http.get("/health/ready")).status_code == 200
            assert (await http.get("/api/credentials")).status_code == 401
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert not (shell.data / "server.json").exists()


@pytest.mark.night
@pytest.mark.parametrize("moment", by_day([0.2, 0.0, 0.1, 0.4], one_in=4))
async def test_a_signal_while_it_starts_ends_it_and_the_next_start_works(shell: Shell, moment: float) -> None:
    """The moment counts from when the process has begun to look at its data folder."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "serve",
        "--port",
        "0",
        env={"PATH": os.environ["PATH"], **shell.variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    while not shell.data.exists():  # noqa: ASYNC110  # another process makes it
        await asyncio.sleep(0.005)
    await asyncio.sleep(moment)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, said
    assert b"Traceback" not in said
    assert not (shell.data / "server.json").exists()
    async with serving(shell) as served:
        token = (shell.data / "first-token").read_text().strip()
        async with httpx.AsyncClient(base_url=served.url) as http:
            answer = await http.get("/api/tokens", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        await served.stop()
    assert not [*shell.data.glob("*.next"), *shell.data.glob("db.*w*")]
