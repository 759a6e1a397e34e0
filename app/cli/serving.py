"""The command that serves."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import rich_click as click
import uvicorn
from msgspec.structs import replace

from keycairn.app.cli.client import SERVER_FILE, RunningServer
from keycairn.app.cli.group import main, settings
from keycairn.app.cli.protocol import BoundedHttp
from keycairn.app.cli.show import say
from keycairn.app.keycairn import Keycairn
from keycairn.app.logs import configure_logs
from keycairn.app.server import create_app, fronted, guarded, hosts_of
from keycairn.app.settings import Settings
from keycairn.app.wiring import FIRST_TOKEN_FILE, Birth, open_with_birth, write_private
from keycairn.domain.errors import KeycairnError

KEEP_ALIVE = 75
"""Seconds an idle connection stays open: longer than clients and proxies keep theirs (5 to 60). So they end it, and
no request goes out on a connection that is being closed."""
GRACE = 10
"""Seconds requests under way get to finish when the service stops."""
_PR_SET_DUMPABLE = 4


class CannotListenError(KeycairnError):
    """The address cannot be listened on."""

    code = "cannot_listen"

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"Cannot listen on {host} port {port}: {why}. Choose another with KEYCAIRN_PORT.")


@main.command()
@click.option("--host", help="Address to listen on, in place of KEYCAIRN_HOST.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, in place of KEYCAIRN_PORT.")
def serve(host: str | None, port: int | None) -> None:
    """Start the service, and say where it is.

    The first start makes a root key and an admin token in the data folder and says where they lie. Ctrl-C stops it;
    calls under way get ten seconds to finish. What can be set is listed by `keycairn settings`.
    """
    read = settings()
    chosen = replace(read, host=host or read.host, port=read.port if port is None else port)
    configure_logs(chosen.log_level)
    _keep_memory_private()
    import uvloop  # noqa: PLC0415  # only the service needs it

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(chosen))


async def _serve(chosen: Settings) -> None:
    with _listening(chosen) as listener:
        port = listener.getsockname()[1]
        here = replace(chosen, port=port)
        async with open_with_birth(here) as (keycairn, birth):
            app = guarded(fronted(create_app(here, keycairn=keycairn)), hosts_of(here))
            server = _Server(
                uvicorn.Config(
                    cast("Any", app),  # two spellings of ASGI
                    http=BoundedHttp,
                    lifespan="on",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,  # whose word counts is for KEYCAIRN_TRUSTED_PROXIES to say
                    ws="none",
                    timeout_graceful_shutdown=GRACE,
                    timeout_keep_alive=KEEP_ALIVE,
                )
            )
            url = _url(here)
            _greet(here, url, keycairn, birth)
            _forget(here)
            with server.stopped_by_signals(), _announced(here.data_dir, url):
                await server.serve(sockets=[listener])


def _forget(settings: Settings) -> None:
    """Let go of what was needed to open everything, and is not needed again."""
    if settings.root_key is not None:
        settings.root_key.material.forget()
    if settings.admin_token is not None:
        settings.admin_token.forget()


class _Server(uvicorn.Server):
    """Stops on a signal and returns. uvicorn's own way raises the signal again, before the database is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


@contextmanager
def _listening(chosen: Settings) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(chosen.host, chosen.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListenError(chosen.host, chosen.port, error.strerror or "unknown host") from None
    with contextlib.closing(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(2048)
        except OSError as error:
            raise CannotListenError(chosen.host, chosen.port, error.strerror or "unknown") from None
        yield listener


@contextmanager
def _announced(data_dir: Path, url: str) -> Iterator[None]:
    """Leave word for the commands beside this server."""
    file = data_dir / SERVER_FILE
    write_private(file, msgspec.json.encode(RunningServer(url, os.getpid())).decode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _url(here: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(here.host, here.host)  # noqa: S104  # where to reach ourselves
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{here.port}"


def _greet(here: Settings, url: str, keycairn: Keycairn, birth: Birth) -> None:
    say(f"Keycairn is at {url}", "bold")
    say(f"  API description: {url}/openapi")
    if why := keycairn.vault.why_sealed:
        say(f"  SEALED: {why}", "bold red")
        return
    if birth.root_key_file:
        say(f"  Made a root key: {birth.root_key_file}")
        say("    Keep a copy away from the database. For production, move it and set KEYCAIRN_ROOT_KEY_FILE.", "dim")
    if birth.token_file:
        say(f"  Made the first admin token: {birth.token_file}")
        if sys.stdout.isatty():
            say(f"    {birth.token_file.read_text().strip()}")
    elif not here.admin_token and (here.data_dir / FIRST_TOKEN_FILE).exists():
        say(f"  The first admin token: {here.data_dir / FIRST_TOKEN_FILE}")
    found = [account for account in keycairn.environment.found() if account.variables]
    for account in found:
        names = ", ".join(account.variables.values())
        missing = "; ".join(" or ".join(group) for group in account.missing)
        say(f"  Found {account.provider}: {names}" + (f" (also needs {missing})" if missing else ""))
    if not found:
        say("  Found no provider variables in the environment or in .env.", "dim")
    elif any(account.configured for account in found):
        say("    Move them into the database with: keycairn migrate-env", "dim")


def _keep_memory_private() -> None:
    """No core dumps, and no reading of this process's memory by others of the same user. Linux only."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415  # POSIX only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
