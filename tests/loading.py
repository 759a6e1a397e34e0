"""What a process of its own loads."""

import asyncio
import json
import sys
from collections.abc import Mapping

SERVICE = frozenset({"litestar", "surrealdb", "uvicorn", "cryptography", "aiohttp", "jwt"})
"""What only the service needs."""
COMMAND = "from keycairn.app.cli import main; main()"
_TOLD = """
import json, sys
try:
    exec(sys.argv.pop(1))
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


async def loaded_by(code: str, *words: str, env: Mapping[str, str] | None = None) -> frozenset[str]:
    """The top packages that are loaded when `code` has run with the arguments `words`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _TOLD, code, *words),
        env=env,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return frozenset(name.partition(".")[0] for name in json.loads(said.splitlines()[-1]))
