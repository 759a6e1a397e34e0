"""One attempt: a call put to one credential, in its provider's own words."""

import asyncio
import time
from collections.abc import Awaitable
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.gateway.call import ANSWER_WITHIN, CONNECT_WITHIN, HANDSHAKE_WITHIN, Call, Report
from keycairn.app.gateway.headers import forwarded
from keycairn.app.gateway.limits import FREE, Charge, Limiter, Subject
from keycairn.app.gateway.opened import OpenAccounts, Opened
from keycairn.app.gateway.outgoing import NO_BODY, Outgoing
from keycairn.app.gateway.peeked_response import FailedResponse, PeekedResponse
from keycairn.app.gateway.query_naming import query_with_model
from keycairn.app.gateway.socket_opening import heard
from keycairn.app.gateway.unpacking import readable
from keycairn.domain.credential import Credential
from keycairn.domain.errors import NoRouteError, NotSentError
from keycairn.domain.hidden_failure import NOTHING, is_suspect, is_undecided
from keycairn.domain.ids import CredentialId
from keycairn.domain.outcome import Outcome
from keycairn.domain.provider_failure import Failure, needs_body, read_failure
from keycairn.domain.redaction import Redactor
from keycairn.domain.routing import Serving
from keycairn.domain.secret import Secret
from keycairn.ports.http import Http, Request
from keycairn.ports.provider import LoadedProvider
from keycairn.ports.upstream import Upstream, UpstreamAnswer, UpstreamRequest
from keycairn.ports.websocket import SWITCHING, UpstreamSocket, Websockets

MOST_REMEMBERED = 10_000
"""Credentials of which it is remembered that their provider refuses something; then all are forgotten."""
_MALFORMED = frozenset({400, 422})
PAUSE = 0.05
"""Seconds before the only credential is tried once more after no connection came about."""

_SPELLED = str.maketrans({mark: f"%{ord(mark):02X}" for mark in "[]{}|^`\\"})
"""What clients leave in a query as it is, such as `include[]`, and RFC 3986 has escaped."""


class Exchange(Struct, frozen=True):
    """An answer to pass on, and what knows the secrets that must not be seen in it."""

    answer: UpstreamAnswer
    redactor: Redactor
    subject: Subject
    credential: CredentialId
    failure: Failure | None = None
    """What it stands for, where it is no good answer."""
    authorized: float = 0.0
    """When the call had its authorization, as `time.monotonic` tells."""
    usage_asked: bool = False
    """Whether it was asked for the usage of its stream by us, not by the client."""
    total: float | None = None
    """Seconds that the account gives for all of it, None where it says nothing."""


class AttemptRunner:
    """Makes attempts. Each names the model as its own provider does, wherever the request names it."""

    def __init__(
        self,
        *,
        opened: OpenAccounts,
        http: Http,
        upstream: Upstream,
        limiter: Limiter,
        websockets: Websockets | None = None,
    ) -> None:
        self._opened = opened
        self._http = http
        self._upstream = upstream
        self._websockets = websockets
        self._limiter = limiter
        self._tells_none: set[tuple[str, int]] = set()
        """Credentials, by id and version, whose provider refuses to be asked for the usage of a stream."""

    async def run(self, call: Call, serving: Serving, report: Report, *, patient: bool) -> Exchange:
        """One answer, within the credential's limits, which hold until `end`. Raises KeycairnError.

        A call that was refused with a token which ended early is authorized once more, with another one.
        `patient`: no other credential is left, so a failure to connect is worth a second try.
        """
        subject = credential_subject(serving.credential)
        self._limiter.begin(subject)
        try:
            exchange = await self._exchanged(call, serving, report, patient=patient)
            if exchange.usage_asked and exchange.answer.status in _MALFORMED and await self._refuses_to_tell(exchange):
                exchange.answer.close()
                self._note_refusal(serving.credential)
                exchange = await self._exchanged(call, serving, report, patient=patient)
            if key_refused(exchange) and self._another_token(call, exchange):
                exchange.answer.close()
                report.attempts += 1
                exchange = await self._exchanged(call, serving, report, patient=patient)
        except BaseException:
            self._limiter.end(subject, FREE)
            raise
        return exchange

    def end(self, exchange: Exchange, charge: Charge) -> None:
        """End an exchange, and count what it used. Once only."""
        exchange.answer.close()
        self._limiter.end(exchange.subject, charge)

    async def _exchanged(self, call: Call, serving: Serving, report: Report, *, patient: bool) -> Exchange:
        opened = await self._opened.open(serving.credential)
        name = _name(call, serving, opened.provider)
        asks = call.asks_usage and (serving.credential.id, serving.credential.version) not in self._tells_none
        body = await call.body.renamed(name, ask_usage=asks) if call.body else None
        request = await self._authorized(call, opened, name, body)
        authorized = time.monotonic()
        report.sent = (body.length or 0) if body else 0
        report.url = request.url.partition("?")[0]
        answer = await self._sent(call, opened, request, body, report, patient=patient)
        try:
            if answer.status == SWITCHING:
                answer, failure = await _opened(answer, call)
            else:
                answer, failure = await _understood(readable(answer), opened.provider, call)
        except BaseException:
            answer.close()
            raise
        return Exchange(
            answer=answer,
            redactor=_knowing(opened.redactor, call, request),
            subject=credential_subject(serving.credential),
            credential=serving.credential.id,
            failure=failure,
            authorized=authorized,
            usage_asked=asks,
            total=opened.account.options.total_timeout,
        )

    async def _refuses_to_tell(self, exchange: Exchange) -> bool:
        """Whether the request was refused because it asks for the usage, which its client did not write."""
        return isinstance(exchange.answer, PeekedResponse) and b"stream_options" in await exchange.answer.look()

    def _note_refusal(self, credential: Credential) -> None:
        if len(self._tells_none) >= MOST_REMEMBERED:
            self._tells_none.clear()
        self._tells_none.add((credential.id, credential.version))

    def _another_token(self, call: Call, exchange: Exchange) -> bool:
        """Whether the call is worth repeating with another token of the credential: the one it had ended early."""
        begun_ago = time.monotonic() - exchange.authorized
        return call.repeatable and self._http.tokens.refused(exchange.subject.id, begun_ago=begun_ago)

    async def _authorized(self, call: Call, opened: Opened, name: str, outgoing: Outgoing | None) -> Request:
        provider, account = opened.provider, opened.account
        body = outgoing or NO_BODY
        request = Request(
            method=call.method,
            url=_url(call, opened, name),
            headers=forwarded(call.headers, call.dialect, provider.spec.request_headers),
            body=body.beginning or None,
            whole=body.whole,
            body_sha256=await body.sha256() if provider.spec.signs_body else "",
            model=name,
        )
        return await provider.authorize(account, request, self._http)

    async def _sent(
        self, call: Call, opened: Opened, request: Request, body: Outgoing | None, report: Report, *, patient: bool
    ) -> UpstreamAnswer:
        """The answer's beginning. What did not go out is sent once more, where `patient`."""
        options = opened.account.options
        outgoing = UpstreamRequest(
            method=request.method,
            url=request.url,
            headers=[*options.added_to(request.headers).items()],
            body=body.content if body else None,
            length=body.length if body else None,
            options=options,
        )
        try:
            return await self._start(outgoing, call)
        except NotSentError:
            if not patient or not call.repeatable:
                raise
        await asyncio.sleep(PAUSE)
        report.attempts += 1
        return await self._start(outgoing, call)

    def _start(self, outgoing: UpstreamRequest, call: Call) -> Awaitable[UpstreamAnswer]:
        if call.api.websocket:
            if self._websockets is None:
                raise NoRouteError("This service opens no websockets.")
            return self._websockets.open(
                outgoing, call.subprotocols, connect_within=CONNECT_WITHIN, answer_within=HANDSHAKE_WITHIN
            )
        return self._upstream.start(outgoing, connect_within=CONNECT_WITHIN, answer_within=ANSWER_WITHIN)


def credential_subject(credential: Credential) -> Subject:
    """What a credential's own limits are counted against."""
    return Subject("credential", credential.id, credential.workspace, credential.limits)


def _name(call: Call, serving: Serving, provider: LoadedProvider) -> str:
    """What the credential's provider calls the model; "" for a native call, which names what it names."""
    if serving.model is None:
        return ""
    own = serving.model.own_name
    return own if call.api.anthropic else provider.openai_model_name(own)


def _url(call: Call, opened: Opened, name: str) -> str:
    api = call.api
    root = opened.root(call.dialect, api.type)
    if api.version:
        root = f"{root.rpartition('/')[0]}/{api.version}"
    query = call.query if call.model is None else query_with_model(call.query, name)
    return f"{root}{api.path}?{query.translate(_SPELLED)}" if query else root + api.path


def _knowing(redactor: Redactor, call: Call, request: Request) -> Redactor:
    """`redactor`, and the secrets that were made for the call, such as a token, and the caller's own."""
    for value in request.headers.values():
        if isinstance(value, Secret):
            redactor = redactor.and_also(value.reveal().rpartition(" ")[2])
    return redactor.and_also(call.token.reveal())


def key_refused(exchange: Exchange) -> bool:
    """Whether the answer says that the key is bad."""
    return exchange.failure is not None and exchange.failure.kind is Outcome.INVALID_AUTH


async def _opened(answer: UpstreamAnswer, call: Call) -> tuple[UpstreamAnswer, Failure | None]:
    """An open websocket, and what it stands for where its first word is a refusal."""
    return await heard(cast("UpstreamSocket", answer)) if call.api.speaks_first else (answer, None)


async def _understood(
    answer: UpstreamAnswer, provider: LoadedProvider, call: Call
) -> tuple[UpstreamAnswer, Failure | None]:
    """The answer, and what it stands for where it is a failure. Some providers say that in the body only."""
    status, headers = answer.status, answer.headers
    if 200 <= status < 300:
        first = await answer.beginning()
        if first and not is_suspect(first) and not is_undecided(first):
            return answer, None
        peeked = PeekedResponse(answer)
        hidden = await peeked.failure()
        if not peeked.seen and status == 200 and call.model is not None:
            hidden = NOTHING
        return (peeked, None) if hidden is None else (FailedResponse(peeked, hidden), hidden)
    if not needs_body(status):
        return answer, read_failure(status, headers, b"")
    peeked = PeekedResponse(answer)
    body = await peeked.look()
    failure = read_failure(status, headers, body)
    if status in {400, 403} and failure.kind is not Outcome.INVALID_AUTH and provider.refuses_key(status, body):
        failure = replace(failure, kind=Outcome.INVALID_AUTH)
    return peeked, failure
