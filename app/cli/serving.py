"""The service as a process: its sockets, its signals, its files, and what it says at its start."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import structlog
import uvicorn
import uvloop
from litestar import Litestar
from msgspec.structs import replace

from keycairn.app.api.health import own_metrics
from keycairn.app.api.proof import proof_handler
from keycairn.app.cli import services
from keycairn.app.cli.greeting import greet
from keycairn.app.cli.protocol import BoundedHttp
from keycairn.app.cli.running import RunningServer, announce, running, withdraw
from keycairn.app.cli.show import say
from keycairn.app.cli.stopping import GracefulServer, Stopping
from keycairn.app.cli.supervising import Supervisor
from keycairn.app.cli.waiting import opened
from keycairn.app.cli.websocket_protocol import LARGEST_MESSAGE, BoundedWebsocket
from keycairn.app.cli.worker import Worker
from keycairn.app.keycairn import Keycairn
from keycairn.app.logs import CallLines, configure_logs
from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.privacy import close_off
from keycairn.app.proof import new_secret
from keycairn.app.server import create_app, fronted, guarded, hosts_of
from keycairn.app.settings import Settings
from keycairn.app.wiring import locked_data_folder
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.errors import CannotListenError, DataFolderError, DataFolderLockedError

KEEP_ALIVE = 75
"""Seconds an idle connection stays open: longer than clients and proxies keep theirs (5 to 60). So they end it, and
no request goes out on a connection that is being closed."""
_PR_SET_DUMPABLE = 4

_log = structlog.get_logger()


def serve(chosen: Settings, *, new_database: bool, as_worker: str | None = None) -> None:
    """Serve until a signal says stop. Raises what opening Keycairn raises, and CannotListenError.

    `as_worker` makes this process a worker; see `Worker.joined`.
    """
    call_lines = configure_logs(chosen.log_level)
    _keep_memory_private()
    if as_worker is not None:
        os.umask(0o077)

    async def run(stopping: Stopping) -> None:
        worker = await Worker.joined(as_worker) if as_worker is not None else None
        await _run(chosen, call_lines, stopping, worker, new_database=new_database)

    with nullcontext() if as_worker else _private_files(chosen), _runner() as runner:
        runner.run(_until_stopped(run))
    _let_go_of_dead_streams()


def supervise(chosen: Settings, words: Sequence[str], *, workers: int) -> int:
    """Have `workers` processes serve until a signal says stop; the exit code. Raises as `serve`.

    `words` are those that each of them is started with.
    """
    configure_logs(chosen.log_level)
    _keep_memory_private()
    codes: list[int] = []

    async def run(stopping: Stopping) -> None:
        await _check_free(chosen)
        with locked_data_folder(chosen), _listening(chosen) as listener:
            here = replace(chosen, port=listener.getsockname()[1])
            known = RunningServer(_url(here), os.getpid(), new_secret())
            supervisor = Supervisor(listener, known, [*words, "--port", str(here.port)], workers)
            stopping.calls(supervisor.stop, supervisor.stop)
            serving = asyncio.create_task(supervisor.run())
            await supervisor.begun.wait()
            with _announced(here.data_dir, known):
                codes.append(await serving)
            stopping.calls()

    with _private_files(chosen), _runner() as runner:
        runner.run(_until_stopped(run))
    _let_go_of_dead_streams()
    return max(codes, default=0)


def _runner() -> asyncio.Runner:
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


async def _until_stopped(run: Callable[[Stopping], Awaitable[None]]) -> None:
    stopping = Stopping()
    task = cast("asyncio.Task[None]", asyncio.current_task())
    with stopping.on_signals():
        stopping.calls(task.cancel)
        try:
            await run(stopping)
        except asyncio.CancelledError:
            if not stopping.asked:
                raise


async def _check_free(chosen: Settings) -> None:
    if (await running(chosen.data_dir))[0] is not None:
        raise DataFolderLockedError(str(chosen.data_dir))


async def _run(
    chosen: Settings, call_lines: CallLines | None, stopping: Stopping, worker: Worker | None, *, new_database: bool
) -> None:
    if worker is None:
        await _check_free(chosen)
    number = None if worker is None else worker.number
    with _listening(chosen) if worker is None else contextlib.closing(worker.listener) as listener:
        here = replace(chosen, port=listener.getsockname()[1])
        async with opened(here, listener, new_database=new_database, worker=number) as (keycairn, first_run):
            known = RunningServer(_url(here), os.getpid(), new_secret()) if worker is None else worker.server
            if keycairn.gateway is not None:
                keycairn.gateway.call_log.write = call_lines
            app = create_app(here, keycairn=keycairn, handlers=[proof_handler(known.secret)])
            server = GracefulServer(
                uvicorn.Config(
                    cast("Any", guarded(fronted(app), hosts_of(here))),  # two ASGIs
                    interface="asgi3",
                    http=BoundedHttp,
                    lifespan="on",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,  # whose word counts is for KEYCAIRN_TRUSTED_PROXIES to say
                    ws=BoundedWebsocket,
                    ws_max_size=LARGEST_MESSAGE,
                    ws_per_message_deflate=False,
                    timeout_keep_alive=KEEP_ALIVE,
                )
            )
            if not number:
                greet(here, known.url, keycairn, first_run, await keycairn.store.providers_in_use(DEFAULT_WORKSPACE))
            _forget(here)
            async with _announced_as(worker, here, known, keycairn, app):
                stopping.calls(server.stop, server.hurry)
                await server.serve(sockets=[listener])
                stopping.calls()


@asynccontextmanager
async def _announced_as(
    worker: Worker | None, here: Settings, known: RunningServer, keycairn: Keycairn, app: Litestar
) -> AsyncIterator[None]:
    """Be known: to the commands beside this server, or to the supervisor, without which a worker stops."""
    if worker is None:
        with _announced(here.data_dir, known):
            yield
        return
    meter = app.plugins.get(KeycairnPlugin).metrics
    meter.gather = worker.gather
    worker.page = partial(own_metrics, keycairn, meter)
    await worker.opened()
    listening = asyncio.create_task(worker.listen())
    listening.add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGTERM))
    try:
        yield
    finally:
        listening.cancel()


@contextmanager
def _announced(data_dir: Path, server: RunningServer) -> Iterator[None]:
    """Leave word for the commands beside this server."""
    services.note(data_dir)
    try:
        announce(data_dir, server)
    except DataFolderError as error:
        _log.warning("commands beside this server will not find it", detail=str(error))
    try:
        yield
    finally:
        withdraw(data_dir, server)
        services.forget(data_dir)


def _forget(settings: Settings) -> None:
    """Let go of what was needed to open everything, and is not needed again."""
    if settings.root_key is not None:
        settings.root_key.material.forget()
    if settings.admin_token is not None:
        settings.admin_token.forget()


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


def _url(here: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(here.host, here.host)  # noqa: S104  # where to reach ourselves
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{here.port}"


@contextmanager
def _private_files(chosen: Settings) -> Iterator[None]:
    """A context in which new files are the owner's alone. Present ones are made so too, with a word about it."""
    for exposure in close_off(chosen):
        done = "no more" if exposure.why_left is None else f"still, for {exposure.why_left}: {exposure.what_to_do}"
        say(f"Warning: {exposure.path}: {exposure.found} ({done})", "bold yellow")
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _let_go_of_dead_streams() -> None:
    """A terminal that is gone must not turn an orderly end into Python's exit code for unwritten output."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _keep_memory_private() -> None:
    """No core dumps, and no reading of this process's memory by others of the same user. Linux only."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415  # POSIX only

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
