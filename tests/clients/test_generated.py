"""Clients that generators make from the OpenAPI document go through the whole story, unchanged. For the night."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.clients.installed import NotInstallableError, installed

from keycairn.testing import OpenAIServer, running_keycairn

HERE = Path(__file__).parent / "generated"
SECOND_KEY = "sk-second-0123456789"
Build = Callable[[Path, Path], Sequence[str]]


def python_client(home: Path, document: Path) -> Sequence[str]:
    """A package made by openapi-python-client, and what runs the story with it."""
    python = home / "bin" / "python"
    if not python.exists():
        installed(sys.executable, "-m", "venv", str(home))
        installed(str(python), "-m", "pip", "install", "--quiet", "--no-compile", "openapi-python-client")
    package = home / "made" / "keycairn_client"
    shutil.rmtree(package, ignore_errors=True)
    package.parent.mkdir(exist_ok=True)
    make = ("generate", "--meta", "none", "--path", str(document), "--output-path", str(package))
    installed(str(python.with_name("openapi-python-client")), *make)
    story = package.parent / "story.py"
    story.write_bytes((HERE / "story.py").read_bytes())
    return (str(python), str(story))


def typescript_client(home: Path, document: Path) -> Sequence[str]:
    """Types made by openapi-typescript, the story checked by them, and what runs it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise NotInstallableError("there is no Node")
    home.mkdir(parents=True, exist_ok=True)
    tools = home / "node_modules" / ".bin"
    if not (tools / "openapi-typescript").exists():
        packages = ("openapi-typescript", "openapi-fetch", "typescript@5", "@types/node@20")
        installed(npm, "install", "--prefix", str(home), "--no-audit", "--no-fund", "--silent", *packages)
    (home / "package.json").write_text('{"type": "module"}')
    installed(str(tools / "openapi-typescript"), str(document), "-o", str(home / "schema.d.ts"))
    (home / "story.ts").write_bytes((HERE / "story.ts").read_bytes())
    strict = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "--types", "node")
    checked = subprocess.run(  # noqa: S603  # our own
        [str(tools / "tsc"), *strict, "story.ts"], cwd=home, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    return (node, str(home / "story.js"))


@pytest.mark.night
@pytest.mark.timeout(600)
@pytest.mark.parametrize("build", [python_client, typescript_client], ids=["python", "typescript"])
def test_a_generated_client_goes_through_the_whole_story(build: Build, pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    home = pytestconfig.cache.mkdir(f"generated-{build.__name__}")
    openai = OpenAIServer()
    with running_keycairn(stand_ins={"openai": openai}) as keycairn:
        document = home / "openapi.json"
        document.write_text(json.dumps(keycairn.request("GET", "/openapi/openapi.json")))
        for account in keycairn.request("GET", "/api/credentials"):
            url = account["base_url"]
            keycairn.request("DELETE", f"/api/credentials/{account['id']}")
        try:
            command = build(home, document)
        except NotInstallableError as error:
            pytest.skip(f"the generator cannot be installed here: {error}")
        arguments = (keycairn.url, keycairn.token, str(url), str(openai.key), SECOND_KEY)
        with subprocess.Popen(  # noqa: S603  # our own
            [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as story:
            assert story.stdin is not None
            assert story.stdout is not None
            if story.stdout.readline() == "rotated\n":
                openai.key = SECOND_KEY
            told, complaint = story.communicate("go on\n", timeout=120)
    assert (told, story.returncode) == ("done\n", 0), complaint
