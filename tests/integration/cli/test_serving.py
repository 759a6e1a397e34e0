"""The service as its own process, and the commands beside it."""

import asyncio
import json
import os
import pty
import signal
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.house import House
from tests.nights import by_day
from tests.served import COMMAND, announced, serving
from tests.shell import KEY, Shell

from keycairn.app import Settings
from keycairn.app.cli.greeting import greet
from keycairn.app.first_run import FirstRun


@pytest.mark.night
async def test_it_greets_serves_its_commands_and_leaves_no_trace_of_its_address(shell: Shell) -> None:
    async with serving(shell, OPENAI_API_KEY=KEY, AZURE_OPENAI_API_KEY=KEY) as served:
        token_file, address = shell.data / "first-token", shell.data / "server.json"
        said = served.said()
        for word in (served.url, str(token_file), str(shell.data / "root-key"), "OPENAI_API_KEY", "migrate-env"):
            assert word in said
        assert token_file.read_text().strip() not in said, "a token is for terminals only"
        for file in (token_file, address, shell.data / "root-key"):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600

        told = await shell.run("status")
        assert f"Talking to {served.url}" in told.output
        assert [entry["provider"] for entry in await shell.read("env")] == ["openai", "azure"], "the server's, not ours"

        async with httpx.AsyncClient(base_url=served.url) as http:
            answer = await http.get("/health/ready")
        assert answer.status_code == 200
        assert "server" not in answer.headers

        assert await served.stop() == 0
    assert not address.exists()
    assert "this process" in (await shell.run("status")).output


async def said_on_a_terminal(shell: Shell) -> str:
    """What `keycairn serve` says to somebody who looks, until it stops by Ctrl-C."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "dumb", **shell.variables}
    process = await asyncio.create_subprocess_exec(
        COMMAND, "serve", "--port", "0", env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    reading = asyncio.create_task(asyncio.to_thread(all_of, ours))
    await announced(shell, process)
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 20) == 0
    return await reading


def all_of(terminal: int) -> str:
    said = b""
    with suppress(OSError):  # the terminal is gone when the last one who writes to it is
        while chunk := os.read(terminal, 4096):
            said += chunk
    os.close(terminal)
    return said.decode()


@pytest.mark.night
async def test_a_terminal_is_told_the_first_token_once(shell: Shell) -> None:
    first = await said_on_a_terminal(shell)
    token = (shell.data / "first-token").read_text().strip()
    assert first.count(token) == 1
    second = await said_on_a_terminal(shell)
    assert token not in second
    assert str(shell.data / "first-token") in second


@pytest.mark.night
async def test_the_second_start_makes_nothing_and_says_where_things_are(shell: Shell) -> None:
    async with serving(shell) as first:
        await first.stop()
    made = {name: (shell.data / name).read_text() for name in ("root-key", "first-token")}
    async with serving(shell) as served:
        assert "Made" not in served.said()
        assert str(shell.data / "first-token") in served.said()
        assert await served.stop(signal.SIGINT) == 0
    assert made == {name: (shell.data / name).read_text() for name in made}


@pytest.mark.night
async def test_a_lost_root_key_is_said_loudly_and_the_service_stays_up(shell: Shell) -> None:
    async with serving(shell) as first:
        await first.stop()
    (shell.data / "root-key").unlink()
    async with serving(shell) as served:
        assert "SEALED" in served.said()
        async with httpx.AsyncClient(base_url=served.url) as http:
            assert (await http.get("/health/live")).status_code == 200
            assert (await http.get("/health/ready")).status_code == 503
        for command in ("doctor", "status"):
            looked = await shell.run(command)
            assert looked.exit_code == 1
            assert "KEYCAIRN_ROOT_KEY" in looked.output


async def test_a_wrong_root_key_is_said_with_the_reason_and_exit_code_1(shell: Shell) -> None:
    await shell.begin()
    told = await shell.run("status", KEYCAIRN_ROOT_KEY="base64:ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7gA=")
    assert told.exit_code == 1
    assert "opens none of the keyset's slots" in told.output
    assert "No root key" not in told.output


async def test_where_it_listens_on_every_address_its_own_one_is_not_taken_for_the_only_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = Settings(host="0.0.0.0", port=4711)  # nothing is bound by it
    house = House()
    await house.open()
    greet(here, "http://127.0.0.1:4711", house.keycairn, FirstRun(), ())
    assert "listens on every address of this machine; in a container, on its port 4711" in capsys.readouterr().out


async def test_a_port_or_a_folder_that_is_taken_is_one_sentence_and_exit_code_1(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = await shell.run("serve", KEYCAIRN_PORT=str(port))
    assert refused.exit_code == 1
    assert f"port {port}" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1

    async with serving(shell):
        refused = await shell.run("serve", "--port", "0")
        assert refused.exit_code == 1
        assert "Another Keycairn process" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert (shell.data / "server.json").exists(), "the first one's word stays"


@pytest.mark.night
async def test_word_of_a_server_that_was_killed_is_not_believed(shell: Shell) -> None:
    async with serving(shell) as served:
        await served.stop(signal.SIGKILL)
    assert (shell.data / "server.json").exists()
    assert "this process" in (await shell.run("status")).output


async def test_a_server_elsewhere_gets_no_token_but_one_meant_for_it(shell: Shell) -> None:
    async with serving(shell) as served:
        other = {"KEYCAIRN_URL": served.url, "KEYCAIRN_DATA_DIR": str(shell.folder / "other")}
        (shell.folder / "other").mkdir()
        token = (shell.data / "first-token").read_text()
        (shell.folder / "other" / "first-token").write_text(token)

        refused = await shell.run("status", **other)
        assert refused.exit_code == 2
        assert "KEYCAIRN_TOKEN" in refused.stderr

        assert (await shell.run("status", **other, KEYCAIRN_TOKEN=token)).exit_code == 0
        unknown = await shell.run("status", **other, KEYCAIRN_TOKEN="kc_" + "a" * 40)
        assert unknown.exit_code == 1
        assert "token" in unknown.stderr


@pytest.mark.parametrize(
    "url", by_day(["keycairn.example", "http://[::1", "https://user:canary@keycairn.example", "ftp://x"], one_in=4)
)
async def test_an_address_that_is_none_is_an_unusable_setting(shell: Shell, url: str) -> None:
    refused = await shell.run("status", KEYCAIRN_URL=url, KEYCAIRN_TOKEN="kc_x")
    assert refused.exit_code == 2
    assert "KEYCAIRN_URL" in refused.stderr
    assert "canary" not in refused.output


async def test_somebody_else_at_the_address_is_said_in_one_sentence(shell: Shell) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")
        writer.close()

    other = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with other:
        url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
        refused = await shell.run("status", KEYCAIRN_URL=url, KEYCAIRN_TOKEN="kc_x")
    assert refused.exit_code == 1
    [said] = refused.stderr.splitlines()
    assert said.startswith(f"keycairn: What answers at {url} is no Keycairn, so it got no token.")
    nobody = await shell.run("status", KEYCAIRN_URL=url, KEYCAIRN_TOKEN="kc_x")
    assert (nobody.exit_code, "no service listens there" in nobody.stderr) == (1, True)


def seen_in_proc(pid: int) -> tuple[str, int]:
    shown = Path("/proc", str(pid))
    return (shown / "limits").read_text(), shown.stat().st_uid


@pytest.mark.skipif(sys.platform != "linux", reason="what the kernel shows of a process")
async def test_its_memory_is_private(shell: Shell) -> None:
    async with serving(shell) as served:
        limits, owner = seen_in_proc(served.process.pid)
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]
    assert owner == 0, "the kernel keeps to itself what may not be dumped"


@pytest.mark.night
async def test_a_database_that_is_gone_is_exit_code_2_until_a_new_one_is_meant(shell: Shell) -> None:
    async with serving(shell) as served:
        await served.stop()
    former = (shell.data / "first-token").read_text()
    (shell.data / "db").rename(shell.folder / "unmounted")
    for command in (("serve", "--port", "0"), ("status",), ("doctor",), ("doctor", "--lost-root-key", "--yes")):
        refused = await shell.run(*command)
        assert refused.exit_code == 2, command
        assert len(refused.stderr.splitlines()) == 1
        for word in (str(shell.data / "db"), "serve --new-database"):
            assert word in refused.stderr
    assert (shell.data / "first-token").read_text() == former

    async with serving(shell, "--new-database") as served:
        token = (shell.data / "first-token").read_text().strip()
        async with httpx.AsyncClient(base_url=served.url, headers={"Authorization": f"Bearer {token}"}) as http:
            assert (await http.get("/api/credentials")).json() == []
        await served.stop()
    [kept] = shell.data.glob("first-token.former-*")
    assert kept.read_text() == former
    async with serving(shell, "--new-database") as served:  # where there is one, it is used
        assert "Made" not in served.said()


@pytest.mark.night
async def test_an_open_data_folder_is_closed_and_said(shell: Shell) -> None:
    async with serving(shell) as served:
        await served.stop()
    shell.data.chmod(0o777)
    (shell.data / "root-key").chmod(0o644)
    looked = await shell.run("doctor", "--json")
    assert looked.exit_code == 1
    found = {finding["subject"]: finding for finding in json.loads(looked.stdout)}
    for path, mode in ((shell.data, "700"), (shell.data / "root-key", "600")):
        assert found[str(path)]["what_to_do"] == f"chmod {mode} {path}"
        assert found[str(path)]["broken"]
    async with serving(shell) as served:
        assert f"{shell.data}: others can change it (no more)" in "".join(served.said().split("\n"))
        assert (await shell.run("doctor")).exit_code == 0
        files = [path for path in shell.data.rglob("*") if path.is_file()]
        assert [path for path in files if path.stat().st_mode & 0o077] == []
