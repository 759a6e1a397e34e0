"""What large bodies cost: memory beside the body's own, and how long everybody else waits.

    python benchmarks/bodies.py [--sizes 8 25 31] [--json FILE]

`keycairn serve` passes bodies of so many MiB and several shapes on to a local server. "memory" is the most the process
held beyond what it held when idle, as a ratio to the body; "wait" the longest answer to another client, which asks for
the list of models all the while, in milliseconds, and "idle" the same while nothing else happens; "CPU" the process's,
in milliseconds for each MiB.
"""

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway import Process, free_port, furnish, keycairn

MIB = 2**20


def shapes(size: int) -> dict[str, bytes]:
    """Bodies of about so many bytes."""
    tool = b'"tools":[{"type":"image_generation","model":"gpt-image-1"}]'
    message = b'{"role":"user","content":"Hello, how are you?\\nFine."}'
    return {
        "picture": b'{"model":"bench","input":"' + b"A" * size + b'",' + tool + b"}",
        "messages": b'{"model":"bench","messages":[' + b",".join([message] * (size // len(message))) + b"]}",
        "numbers": b'{"model":"bench","input":[' + b",".join([b"0.12345678"] * (size // 11)) + b"]}",
        "model last": b'{"input":"' + b"A" * size + b'","model":"bench"}',
    }


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A provider that reads a request and answers with nothing."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        left = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while left > 0:
            left -= len(await reader.read(MIB))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
    writer.close()


async def waits(port: int, token: str, found: list[float]) -> None:
    """The time of each answer to a client that asks all the while, in milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    while True:
        begun = time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        found.append((time.perf_counter() - begun) * 1000)
        await asyncio.sleep(0.0005)


def memory(id: int, field: str) -> int:
    text = Path(f"/proc/{id}/status").read_text()
    return int(text.partition(f"{field}:")[2].split()[0]) * 1024


def forget_peak(id: int) -> None:
    Path(f"/proc/{id}/clear_refs").write_text("5")  # see proc(5)


async def send(port: int, token: str, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode())
    for at in range(0, len(body), 65_536):
        writer.write(body[at : at + 65_536])
        await writer.drain()
    line = await reader.readline()
    writer.close()
    return line


async def measured(process: Process, port: int, token: str, body: bytes, idle: int) -> dict[str, float]:
    id = process.ids()[-1]
    forget_peak(id)
    cpu = process.cpu()
    found: list[float] = []
    asking = asyncio.create_task(waits(port, token, found))
    line = await send(port, token, body)
    asking.cancel()
    if b" 200 " not in line:
        raise RuntimeError(line)
    return {
        "memory": (memory(id, "VmHWM") - idle) / len(body),
        "wait": max(found, default=0.0),
        "cpu": (process.cpu() - cpu) * 1000 / (len(body) / MIB),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=(8, 25, 31))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    server = await asyncio.start_server(swallow, "127.0.0.1", 0, limit=2 * MIB)
    upstream = server.sockets[0].getsockname()[1]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        process = keycairn(Path(folder), port)
        try:
            process.wait_for(port)
            token = await asyncio.to_thread(furnish, port, upstream)
            await send(port, token, shapes(1000)["picture"])
            held = memory(process.ids()[-1], "VmRSS")
            idle: list[float] = []
            asking = asyncio.create_task(waits(port, token, idle))
            await asyncio.sleep(2)
            asking.cancel()
            print(f"idle: {max(idle):.1f} ms")
            print(f"{'shape':12} {'MiB':>4} {'memory':>7} {'wait':>8} {'CPU':>6}")
            for size in options.sizes:
                for shape, body in shapes(size * MIB).items():
                    row = await measured(process, port, token, body, held)
                    rows.append({"shape": shape, "size": size, **row})
                    print(
                        f"{shape:12} {size:4} {row['memory']:6.2f}x {row['wait']:6.1f}ms {row['cpu']:6.1f}", flush=True
                    )
                    await asyncio.sleep(0.2)
        finally:
            process.stop()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    asyncio.run(main())
