"""What ten thousand requests of strangers, of each kind, leave behind in memory and on disk."""

import asyncio
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.flood import KINDS, flood, serving


async def main(count: int) -> None:
    """Print what `count` requests of each kind leave behind."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder), {"KEYCAIRN_TRUSTED_PROXIES": "127.0.0.1"}) as service:
            for make in KINDS.values():
                await flood(service, 50, make)
            first = memory, disk = service.memory(), service.disk()
            for name, make in KINDS.items():
                await flood(service, count, make)
                await asyncio.sleep(16)  # for what is counted to be written down
                print(f"{name:28} memory {(service.memory() - memory) / 2**20:+6.2f} MiB", end="")
                print(f"  disk {(service.disk() - disk) / 2**20:+6.2f} MiB", flush=True)
                memory, disk = service.memory(), service.disk()
            print(f"all: memory {(memory - first[0]) / 2**20:+.2f} MiB, disk {(disk - first[1]) / 2**20:+.2f} MiB")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
