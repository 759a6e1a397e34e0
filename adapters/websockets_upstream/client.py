"""The client itself: places judged, sockets dialled, handshakes made."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from functools import partial

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from keycairn.adapters.httptools_upstream.client import in_the_clear
from keycairn.adapters.httptools_upstream.dialing import dialled
from keycairn.adapters.httptools_upstream.way_out import WayOut
from keycairn.adapters.websockets_upstream.connection import GuardedConnection, Held
from keycairn.adapters.websockets_upstream.socket import OpenSocket, RefusedSocket
from keycairn.domain.errors import (
    CannotConnectError,
    GarbledAnswerError,
    NotSentError,
    ProviderTimeoutError,
)
from keycairn.domain.url import Url
from keycairn.ports.upstream import UpstreamRequest

LARGEST_MESSAGE = 16 * 2**20
"""Bytes of a message. OpenAI's realtime API takes 15 MiB, Google's less."""
MOST_HELD = 128 * 2**20
"""Bytes that came from all providers together, and are not a whole message yet; who sends more is cut off."""

_OURS = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding", "accept-encoding", "origin"})
"""Headers that the handshake has of its own, or that tell who the client is."""
_LATE = "No connection to the provider came about in time."
_silent = logging.getLogger("keycairn.websockets")
_silent.setLevel(logging.CRITICAL)  # the library writes headers and messages into its log


class WebsocketsUpstream:
    """A `keycairn.ports.websocket.Websockets`."""

    def __init__(self, way: WayOut) -> None:
        self._way = way
        self._held = Held(MOST_HELD)

    async def open(
        self, request: UpstreamRequest, subprotocols: Sequence[str], *, connect_within: float, answer_within: float
    ) -> OpenSocket | RefusedSocket:
        """See `Websockets.open`."""
        pairs, secret = in_the_clear(request.headers)
        headers = [pair for pair in pairs if pair[0] not in _OURS and not pair[0].startswith("sec-")]
        url = self._way.vetted(request.url, secret=secret)
        connection = await self._connected(url, request, subprotocols, connect_within, secret=secret)
        within = answer_within if request.options.first_byte_timeout is None else request.options.first_byte_timeout
        try:
            async with asyncio.timeout(within):
                return await _agreed(connection, headers)
        except TimeoutError:
            connection.transport.abort()
            raise ProviderTimeoutError from None
        except BaseException:
            connection.transport.abort()
            raise

    async def _connected(
        self, url: Url, request: UpstreamRequest, subprotocols: Sequence[str], within: float, *, secret: bool
    ) -> GuardedConnection:
        """A connection on which nothing was said. Raises EgressRefusedError or NotSentError."""
        try:
            async with asyncio.timeout(within):
                return await self._connect(url, request, subprotocols, secret=secret)
        except TimeoutError:
            raise NotSentError(_LATE) from None
        except ssl.SSLError:
            raise NotSentError("The provider's TLS certificate or handshake is not acceptable.") from None
        except OSError:
            raise NotSentError from None

    async def _connect(
        self, url: Url, request: UpstreamRequest, subprotocols: Sequence[str], *, secret: bool
    ) -> GuardedConnection:
        addresses = await self._way.addresses(url, secret=secret)
        tls = self._way.tls(url, request.options.ca_certificates)
        protocol = ClientProtocol(
            parse_uri(f"{'wss' if tls else 'ws'}://{url.authority}{url.target}"),
            subprotocols=[Subprotocol(one) for one in subprotocols] or None,
            max_size=LARGEST_MESSAGE,
            logger=_silent,
        )
        found = await dialled(addresses, url, self._way.proxy_to(url))
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                partial(GuardedConnection, protocol, self._held),
                sock=found,
                ssl=tls,
                server_hostname=url.host if tls else None,
            )
        except BaseException:
            found.close()
            raise
        return connection


async def _agreed(connection: ClientConnection, headers: Sequence[tuple[str, str]]) -> OpenSocket | RefusedSocket:
    """The handshake. Raises CannotConnectError or GarbledAnswerError."""
    try:
        await connection.handshake(Headers(headers), user_agent_header=None)
    except InvalidStatus as refused:
        answer = refused.response
        if answer.status_code < 300:
            raise GarbledAnswerError("What answered speaks no websocket at this address.") from None
        pairs = [(name.lower(), value) for name, value in answer.headers.raw_items()]
        connection.transport.abort()
        return RefusedSocket(answer.status_code, pairs, bytes(answer.body))
    except EOFError:
        raise CannotConnectError("The provider closed the connection without an answer.") from None
    except (InvalidHandshake, WebSocketException, ValueError) as error:
        if isinstance(error.__cause__, EOFError | OSError):
            raise CannotConnectError("The provider closed the connection without an answer.") from None
        raise GarbledAnswerError from None
    except OSError:
        raise CannotConnectError from None
    connection.start_keepalive()
    return OpenSocket(connection)
