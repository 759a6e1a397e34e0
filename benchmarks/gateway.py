"""What the gateway costs, side by side in one run with the same upstream.

    python benchmarks/gateway.py [--seconds 5] [--litellm PYTHON] [--gomodel BINARY] [--json FILE] [--plot FILE]
    python benchmarks/gateway.py --rounds 15

Measured are a direct call, nginx, a bare handler in Python, Keycairn, GoModel and LiteLLM's proxy. nginx and the
handler only add a header. nginx is left out where it is not installed, LiteLLM where `--litellm` names no interpreter
that has it, GoModel where `--gomodel` names no binary (`go build ./cmd/gomodel` in its repository).
Keycairn, started with `keycairn serve` as anybody would, checks the token, resolves the model, opens the sealed key,
counts usage and metrics.

Requests/s and streams/s (200 events each) are at concurrency 32; "added" is at concurrency 1, minus direct. CPU is that
of the proxy's processes, in milliseconds for each request; memory is their resident set after the load, in MiB.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import uvloop
from wire import Client, Upstream, request_of

CONCURRENCY = 32
KEY = "sk-bench-0123456789abcdef"
ADMIN = "bench-admin-0123456789abcdef0123456789"
HERE = Path(__file__).resolve()
WHOLE = json.dumps({"model": "bench", "messages": [{"role": "user", "content": "Hello " * 20}]}).encode()
STREAM = json.dumps({"model": "bench", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}).encode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def serve_upstream(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def serve_bare(port: int, upstream: int) -> None:
    """An ASGI handler that adds a header and does nothing else: about what one Python process can reach."""
    import aiohttp  # noqa: PLC0415  # only this process needs them
    import uvicorn  # noqa: PLC0415

    session = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        async with session.post(f"http://127.0.0.1:{upstream}{scope['path']}", data=body, headers=headers) as answer:
            kept = [pair for pair in answer.raw_headers if pair[0].lower() != b"transfer-encoding"]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    options: dict[str, Any] = {"loop": "uvloop", "http": "httptools", "ws": "none", "lifespan": "off"}
    await uvicorn.Server(uvicorn.Config(handle, port=port, log_config=None, **options)).serve()


class Process:
    """A server in processes of its own, with what they used."""

    def __init__(self, *command: str, env: dict[str, str] | None = None) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        self._child = subprocess.Popen(  # noqa: S603  # our own commands
            command, stdout=self._log, stderr=self._log, start_new_session=True, env={**os.environ, **(env or {})}
        )

    def ids(self) -> list[int]:
        """The process and all below it."""
        found, wait = [], [self._child.pid]
        while wait:
            id = wait.pop()
            found.append(id)
            with contextlib.suppress(OSError):
                wait += [int(one) for one in Path(f"/proc/{id}/task/{id}/children").read_text().split()]
        return found

    def cpu(self) -> float:
        """Seconds."""
        total = 0.0
        for id in self.ids():
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{id}/task").iterdir():
                    total += int((task / "schedstat").read_text().split()[0]) / 10**9
        return total

    def memory(self) -> float:
        """MiB."""
        total = 0
        for id in self.ids():
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{id}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        return total / 2**20

    def wait_for(self, port: int, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.1)
        self._log.seek(0)
        raise RuntimeError(self._log.read().decode()[-2000:])

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGTERM)
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, signal.SIGKILL)


def keycairn(folder: Path, port: int) -> Process:
    variables = {
        "DATA_DIR": str(folder / "data"),
        "PORT": str(port),
        "ADMIN_TOKEN": ADMIN,
        "ENV_FILE": "",
        "LOG_LEVEL": "error",
    }
    environment = {f"KEYCAIRN_{name}": value for name, value in variables.items()}
    return Process(str(Path(sys.executable).parent / "keycairn"), "serve", env=environment)


def furnish(port: int, upstream: int) -> str:
    """Give Keycairn an account and a model; a token that may call it."""
    headers = {"Authorization": f"Bearer {ADMIN}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", headers=headers, timeout=60) as client:

        def post(path: str, **body: object) -> Any:
            return client.post(path, json=body).raise_for_status().json()

        base = f"http://127.0.0.1:{upstream}/v1"
        made = post("/credentials", name="bench", provider="openai_compatible", base_url=base, api_key=KEY)
        post("/models", name="bench", provider="openai_compatible", type="language", credential=made["id"])
        return str(post("/tokens", name="bench", scopes=["invoke"])["token"])


def nginx(folder: Path, port: int, upstream: int) -> Process:
    config = folder / "nginx.conf"
    config.write_text(
        f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://mock; proxy_http_version 1.1; proxy_buffering off; keepalive_requests 1000000;
      proxy_set_header Connection ""; proxy_set_header Authorization "Bearer {KEY}"; }} }} }}
"""
    )
    return Process("nginx", "-c", str(config), "-p", str(folder))


def gomodel(folder: Path, binary: str, port: int, upstream: int) -> Process:
    config = folder / "gomodel" / "config" / "config.yaml"
    config.parent.mkdir(parents=True)
    settings = {
        "server": {"port": str(port), "master_key": "sk-master"},
        "storage": {"type": "sqlite", "sqlite": {"path": str(folder / "gomodel" / "gomodel.db")}},
        "cache": {"model": {"local": {"cache_dir": str(folder / "gomodel" / "cache")}}},
        "usage": {"enabled": True},
        "logging": {"enabled": False},
        "providers": {
            "bench": {
                "type": "openai",
                "base_url": f"http://127.0.0.1:{upstream}/v1",
                "api_key": KEY,
                "models": ["bench"],
            }
        },
    }
    config.write_text(json.dumps(settings))  # JSON is YAML
    command = f'cd "{config.parents[1]}" && exec "{Path(binary).resolve()}"'
    return Process("/bin/sh", "-c", command, env={"CONFIGURED_PROVIDER_MODELS_MODE": "allowlist"})


def litellm(folder: Path, python: str, port: int, upstream: int) -> Process:
    config = folder / "litellm.yaml"
    params = {"model": "openai/bench", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": KEY}
    settings = {
        "model_list": [{"model_name": "bench", "litellm_params": params}],
        "general_settings": {"master_key": "sk-master"},
    }
    config.write_text(json.dumps(settings))  # JSON is YAML
    command = (str(Path(python).parent / "litellm"), "--config", str(config), "--host", "127.0.0.1")
    return Process(*command, "--port", str(port), env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"})


async def load(port: int, token: str, body: bytes, *, concurrency: int, seconds: float) -> list[Client]:
    """The clients after so many seconds of sending as fast as they are answered."""
    end = time.monotonic() + seconds
    loop = asyncio.get_running_loop()
    request = request_of(f"127.0.0.1:{port}", token, body)
    clients = []
    for _ in range(concurrency):
        _, client = await loop.create_connection(
            lambda: Client(request, lambda: time.monotonic() < end), "127.0.0.1", port
        )
        clients.append(client)
    await asyncio.gather(*(client.ended for client in clients))
    return clients


def percentiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    return median(values) * 1000, quantiles(values, n=100)[98] * 1000


async def measure(port: int, token: str, process: Process | None, seconds: float) -> dict[str, float]:
    await load(port, token, WHOLE, concurrency=4, seconds=min(1.0, seconds))
    row: dict[str, float] = {}
    before = process.cpu() if process else 0.0
    began = time.monotonic()
    clients = await load(port, token, WHOLE, concurrency=CONCURRENCY, seconds=seconds)
    done = sum(len(client.total) for client in clients)
    row["requests/s"] = done / (time.monotonic() - began)
    row["cpu ms"] = (process.cpu() - before) * 1000 / done if process else 0.0
    began = time.monotonic()
    clients = await load(port, token, STREAM, concurrency=CONCURRENCY, seconds=seconds)
    row["streams/s"] = sum(len(client.total) for client in clients) / (time.monotonic() - began)
    (client,) = await load(port, token, WHOLE, concurrency=1, seconds=seconds)
    row["p50 ms"], row["p99 ms"] = percentiles(client.total)
    (client,) = await load(port, token, STREAM, concurrency=1, seconds=seconds / 2)
    row["first byte ms"] = median(client.first) * 1000
    row["MiB"] = process.memory() if process else 0.0
    return row


@contextlib.contextmanager
def running(process: Process, port: int) -> Iterator[Process]:
    try:
        process.wait_for(port)
        yield process
    finally:
        process.stop()


def run(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}

    def measured(port: int, token: str, process: Process | None) -> dict[str, float]:
        return asyncio.run(measure(port, token, process, arguments.seconds))

    upstream = free_port()
    mine = (sys.executable, str(HERE))
    with (
        tempfile.TemporaryDirectory() as name,
        running(Process(*mine, "--serve-upstream", str(upstream)), upstream),
    ):
        folder = Path(name)
        rows["direct"] = measured(upstream, KEY, None)
        if shutil.which("nginx"):
            port = free_port()
            with running(nginx(folder, port, upstream), port) as process:
                rows["nginx"] = measured(port, KEY, process)
        port = free_port()
        with running(Process(*mine, "--serve-bare", str(port), str(upstream)), port) as process:
            rows["bare"] = measured(port, KEY, process)
        port = free_port()
        with running(keycairn(folder, port), port) as process:
            rows["keycairn"] = measured(port, furnish(port, upstream), process)
        if arguments.litellm:
            port = free_port()
            with running(litellm(folder, arguments.litellm, port, upstream), port) as process:
                time.sleep(5)
                rows["litellm"] = measured(port, "sk-master", process)
        if arguments.gomodel:
            port = free_port()
            with running(gomodel(folder, arguments.gomodel, port, upstream), port) as process:
                rows["gomodel"] = measured(port, "sk-master", process)
    return rows


def beside_bare(arguments: argparse.Namespace) -> str:
    """What Keycairn costs to what the bare handler costs, in short rounds by turns: a busy machine slows both alike."""

    async def turn(port: int, token: str, process: Process, concurrency: int) -> tuple[float, float]:
        before = process.cpu()
        clients = await load(port, token, WHOLE, concurrency=concurrency, seconds=0.5)
        times = [seconds for client in clients for seconds in client.total]
        return (process.cpu() - before) / len(times), median(times)

    upstream = free_port()
    mine = (sys.executable, str(HERE))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        stack.enter_context(running(Process(*mine, "--serve-upstream", str(upstream)), upstream))
        bare, ours = free_port(), free_port()
        both = [
            (bare, stack.enter_context(running(Process(*mine, "--serve-bare", str(bare), str(upstream)), bare))),
            (ours, stack.enter_context(running(keycairn(Path(name), ours), ours))),
        ]
        tokens = {bare: KEY, ours: furnish(ours, upstream)}
        for port, process in both:
            asyncio.run(measure(port, tokens[port], process, 0.5))
        ratios: dict[str, list[float]] = {"CPU at 32": [], "CPU at 1": [], "added p50 at 1": []}
        for _ in range(arguments.rounds):
            (direct,) = asyncio.run(load(upstream, KEY, WHOLE, concurrency=1, seconds=0.3))
            none = median(direct.total)
            many = [asyncio.run(turn(port, tokens[port], process, 32)) for port, process in both]
            one = [asyncio.run(turn(port, tokens[port], process, 1)) for port, process in both]
            ratios["CPU at 32"].append(many[1][0] / many[0][0])
            ratios["CPU at 1"].append(one[1][0] / one[0][0])
            ratios["added p50 at 1"].append((one[1][1] - none) / (one[0][1] - none))
    return "\n".join(
        f"{what}: {median(found):.2f}x the bare handler's ({min(found):.2f} to {max(found):.2f})"
        for what, found in ratios.items()
    )


def table(rows: dict[str, dict[str, float]]) -> str:
    """The rows as Markdown, with what each adds to direct, and its ratios."""
    columns = ("requests/s", "streams/s", "added p50 ms", "added p99 ms", "first byte ms", "cpu ms", "MiB")
    lines = ["| | " + " | ".join(columns) + " |", "|-" * (len(columns) + 1) + "|"]
    direct = rows["direct"]
    for name, row in rows.items():
        shown: dict[str, Any] = {**row, "added p50 ms": row["p50 ms"] - direct["p50 ms"]}
        shown["added p99 ms"] = row["p99 ms"] - direct["p99 ms"]
        lines.append(f"| {name} | " + " | ".join(f"{shown[column]:,.2f}" for column in columns) + " |")
    for other in ("nginx", "bare", "gomodel", "litellm"):
        if other in rows:
            ratios = (
                f"{what} {rows['keycairn'][what] / rows[other][what]:.2f}x" for what in ("requests/s", "streams/s")
            )
            lines.append(f"\nKeycairn to {other}: {', '.join(ratios)}")
    return "\n".join(lines)


def plot(rows: dict[str, dict[str, float]]) -> str:
    """The requests and streams a second as an SVG: bars on a logarithmic scale."""
    height, wide, left = 26, 640, 150
    bars = [(what, name, row[what]) for what in ("requests/s", "streams/s") for name, row in rows.items()]
    most = math.log10(max(value for *_, value in bars))
    size = f'width="{wide}" height="{height * len(bars) + 10}"'
    style = 'font-family="sans-serif" font-size="13"'
    white = '<rect width="100%" height="100%" fill="white"/>'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{white}']
    for number, (what, name, value) in enumerate(bars):
        y = number * height + 5
        length = (wide - left - 90) * math.log10(value) / most
        colour = "#1f6f54" if name == "keycairn" else "#9aa5b1"
        parts.append(f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{name}, {what}</text>')
        parts.append(f'<rect x="{left}" y="{y + 3}" width="{length:.0f}" height="{height - 8}" fill="{colour}"/>')
        parts.append(f'<text x="{left + length + 6:.0f}" y="{y + 16}">{value:,.0f}</text>')
    return "".join(parts) + "</svg>\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--litellm", help="a Python interpreter that has litellm[proxy]")
    parser.add_argument("--gomodel", help="GoModel's binary")
    parser.add_argument("--rounds", type=int, help="compare the bare handler and Keycairn alone, in turns, so often")
    parser.add_argument("--json", type=Path, help="write the numbers there")
    parser.add_argument("--plot", type=Path, help="draw the rates there, as SVG")
    parser.add_argument("--serve-upstream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--serve-bare", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    uvloop.install()
    if arguments.serve_upstream:
        asyncio.run(serve_upstream(arguments.serve_upstream))
    elif arguments.serve_bare:
        asyncio.run(serve_bare(*arguments.serve_bare))
    elif arguments.rounds:
        print(beside_bare(arguments))
    else:
        rows = run(arguments)
        print(table(rows))
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1))
        if arguments.plot:
            arguments.plot.write_text(plot(rows))


if __name__ == "__main__":
    main()
