"""Nothing leaves the process but by the guarded clients, the database's connection, and the commands' own client."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    file
    for folder in ("domain", "ports", "adapters", "app", "plugins")
    for file in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in file.parts
)

FORBIDDEN_MODULES = frozenset(
    {"http.client", "urllib.request", "ftplib", "smtplib", "poplib", "imaplib", "telnetlib", "nntplib", "xmlrpc"}
    | {"socketserver", "subprocess", "multiprocessing", "pty", "webbrowser", "requests", "urllib3", "pycurl"}
)
FORBIDDEN_CALLS = frozenset(
    {"create_connection", "open_connection", "open_unix_connection", "create_unix_connection", "urlopen"}
    | {"start_connection", "create_datagram_endpoint", "sock_connect", "create_subprocess_exec"}
    | {
        "create_subprocess_shell",
        "connect_ex",
        "sendto",
        "socketpair",
        "system",
        "popen",
        "posix_spawn",
        "execv",
        "execve",
        "fork",
        "forkpty",
    }
    | {"connect_tcp", "connect_unix", "connect_tls", "getaddrinfo", "gethostbyname", "eval", "exec", "__import__"}
)
MAY: dict[str, frozenset[str]] = {
    # resolves, judges every answer, and connects to the judged address
    "adapters/guarded_http/backend.py": frozenset({"getaddrinfo", "connect_tcp"}),
    # connects to addresses that were judged as above
    "adapters/httptools_upstream/dialing.py": frozenset({"start_connection"}),
    # speak over sockets that were dialled there
    "adapters/httptools_upstream/pool.py": frozenset({"create_connection"}),
    "adapters/websockets_upstream/client.py": frozenset({"create_connection"}),
    # starts workers of the same program, and speaks with them over a pair of sockets that only they have
    "app/cli/supervising.py": frozenset({"create_subprocess_exec", "socketpair"}),
    "app/cli/worker.py": frozenset({"open_connection"}),
    # finds the address to listen on
    "app/cli/serving.py": frozenset({"getaddrinfo"}),
    # opens the operator's own browser at a file of this machine
    "app/cli/greeting.py": frozenset({"webbrowser"}),
}


def used(tree: ast.AST) -> Iterator[str]:
    """What a module imports or calls of what goes out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _forbidden_module(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (name for name in names if _forbidden_module(name))
            yield from (alias.name for alias in node.names if alias.name in FORBIDDEN_CALLS)
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in FORBIDDEN_CALLS:
                yield name


def _forbidden_module(name: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in FORBIDDEN_MODULES)


def test_no_module_goes_out_by_itself() -> None:
    assert len(SOURCES) > 100
    found = {str(file.relative_to(ROOT)): set(used(ast.parse(file.read_text()))) for file in SOURCES}
    beyond = {name: calls - MAY.get(name, frozenset()) for name, calls in found.items()}
    assert {name: calls for name, calls in beyond.items() if calls} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import http.client",
        "from urllib.request import urlopen",
        "from urllib import request",
        "import subprocess as s",
        "from asyncio import open_connection",
        "async def f():\n    await asyncio.open_connection('h', 1)",
        "socket.create_connection(('h', 1))",
        "loop.create_connection(P, 'h', 1)",
        "os.system('curl h')",
        "__import__('socket')",
    ],
)
def test_the_look_finds_what_it_looks_for(text: str) -> None:
    assert list(used(ast.parse(text)))


def test_every_exception_is_still_needed() -> None:
    for name, calls in MAY.items():
        assert calls <= set(used(ast.parse((ROOT / name).read_text()))), name
