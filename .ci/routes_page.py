"""Write docs/routes.md from the OpenAPI document that the service answers."""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from litestar import Litestar
from litestar.testing import AsyncTestClient

from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.settings import Settings

PAGE = Path(__file__).parents[1] / "docs/routes.md"
HEAD = """# Routes

Written by `make docs` from the OpenAPI document; a test compares. The service answers the document at
`/openapi/openapi.json`, and a page to read and try it at `/openapi`: fields, their bounds and examples are there.

Every request but those marked "open" carries `Authorization: Bearer kc_...`. Errors of the API are
`application/problem+json` with one of [these codes](errors.md); those of the gateway are in the words of the API that
is called.
"""


async def document() -> Any:
    """The OpenAPI document of a service with nothing in it."""
    with TemporaryDirectory(prefix="keycairn-") as folder:
        here = Settings(database_url="mem://", data_dir=Path(folder), external_plugins=False)
        app = Litestar(plugins=[KeycairnPlugin(here)], openapi_config=None, logging_config=None)
        async with AsyncTestClient(app) as client:
            return (await client.get("/openapi/openapi.json")).json()


def page(found: Any) -> str:
    """The whole page, of a document."""
    tags: dict[str, list[str]] = {}
    for path, item in found["paths"].items():
        for verb, told in item.items():
            open_one = " (open)" if told.get("security") == [{}] else ""
            ends = " ".join(status for status in told["responses"] if status != "default")
            row = f"| `{verb.upper()} {path}` | {told['summary']}{open_one} | `{told['operationId']}` | {ends} |"
            tags.setdefault(told["tags"][0], []).append(row)
    parts = [
        f"\n## {tag}\n\n| request | what | operation | ends with |\n|-|-|-|-|\n" + "\n".join(rows) + "\n"
        for tag, rows in tags.items()
    ]
    return HEAD + "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(asyncio.run(document())), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
