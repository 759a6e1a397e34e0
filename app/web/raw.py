"""Problem documents of requests that never reach a handler, as ASGI sends them."""

import msgspec
from litestar.types import Send

from keycairn.app.security_headers import SECURITY_HEADERS
from keycairn.app.statuses import api_status
from keycairn.app.web.problems import MEDIA_TYPE, problem_response
from keycairn.domain.errors import IngressError, KeycairnError


def raw_problem(error: KeycairnError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of an error's problem document."""
    status = api_status(error)
    response = problem_response(status, error.code, str(error))
    body = msgspec.json.encode(response.content)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode()), *SECURITY_HEADERS]
    if isinstance(error, IngressError) and error.closes:
        headers.append((b"connection", b"close"))
    return status, headers, body


async def send_problem(send: Send, error: KeycairnError) -> None:
    """Answer with an error's problem document."""
    status, headers, body = raw_problem(error)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
