"""A websocket's handshake, without a server: what an application answers it."""

from typing import Any

from litestar.types import ASGIApp

HEADERS = {
    "host": "localhost",
    "upgrade": "websocket",
    "connection": "upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def handshake(app: ASGIApp, target: str, token: str) -> int:
    """The status of the answer: 101 where the websocket is taken."""
    path, _, query = target.partition("?")
    given = {**HEADERS, **({"authorization": f"Bearer {token}"} if token else {})}
    scope: Any = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("192.0.2.9", 5000),
        "server": ("localhost", 80),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
        "state": {},
    }
    said = [{"type": "websocket.connect"}]
    answers: list[Any] = []

    async def receive() -> Any:
        return said.pop() if said else {"type": "websocket.disconnect", "code": 1001, "reason": ""}

    async def send(message: Any) -> None:
        answers.append(message)

    await app(scope, receive, send)
    if answers[0]["type"] == "websocket.accept":
        return 101
    return int(answers[0].get("status", 403))
