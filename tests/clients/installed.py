"""Where the SDKs are installed: in places of their own, since they pin other versions than the tests use."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent

PYTHON_SDKS = (
    "openai",
    "anthropic",
    "google-genai",
    "mistralai",
    "groq",
    "cohere",
    "elevenlabs",
    "deepgram-sdk",
    "voyageai",
    "ollama",
    "together",
)


NODE_SDKS = ("openai", "@anthropic-ai/sdk", "ai", "@ai-sdk/openai", "@ai-sdk/anthropic", "undici")


class NotInstallableError(Exception):
    """No index that has the SDKs answers here."""


def commands(home: Path) -> Iterator[Sequence[str]]:
    """What carries the operations out, installed once in `home`. Node's are left out where there is no Node.

    Raises NotInstallableError.
    """
    yield (str(_python(home / "python")), "-W", "ignore", str(HERE / "calls.py"))
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        yield (node, str(_node(home / "node", npm)))


def _python(home: Path) -> Path:
    python, done = home / "bin" / "python", home / "installed"
    if not done.exists():
        installed(sys.executable, "-m", "venv", "--clear", "--without-pip", str(home))
        installed(
            sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile", *PYTHON_SDKS
        )
        done.touch()
    return python


def _node(home: Path, npm: str) -> Path:
    """The calls beside the modules they import: Node looks for these where a file lies."""
    done = home / "installed"
    if not done.exists():
        home.mkdir(parents=True, exist_ok=True)
        installed(npm, "install", "--prefix", str(home), "--no-audit", "--no-fund", "--silent", *NODE_SDKS)
        done.touch()
    calls = home / "calls.mjs"
    calls.write_bytes((HERE / "calls.mjs").read_bytes())
    return calls


def installed(*command: str) -> None:
    """Run a command that installs something. Raises NotInstallableError, with its last words."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own words
    if result.returncode:
        raise NotInstallableError(result.stderr.strip()[-200:])
