"""One attempt: a call put to one credential, in its provider's own words."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from msgspec import Struct

from keycairn.app.gateway.call import ANSWER_WITHIN, CONNECT_WITHIN, Call, Report
from keycairn.app.gateway.headers import forwarded
from keycairn.app.gateway.limits import Limiter, Subject
from keycairn.app.gateway.opened import OpenAccounts, Opened
from keycairn.app.gateway.outgoing import Outgoing
from keycairn.app.gateway.peeked_response import PeekedResponse
from keycairn.app.gateway.query_naming import query_with_model
from keycairn.app.gateway.unpacking import readable
from keycairn.app.services.models import cleaned, kind_of
from keycairn.domain.credential import Credential
from keycairn.domain.errors import KeycairnError, NoRouteError, NotSentError, PluginError
from keycairn.domain.provider import Account
from keycairn.domain.redaction import Redactor
from keycairn.domain.routing import Serving
from keycairn.domain.secret import Secret
from keycairn.ports.http import Http, Request
from keycairn.ports.provider import Provider, ProviderRegistry
from keycairn.ports.upstream import Upstream, UpstreamAnswer, UpstreamRequest

PAUSE = 0.05
"""Seconds before the only credential is tried once more after no connection came about."""

_log = structlog.get_logger()


class Exchange(Struct, frozen=True):
    """An answer to pass on, and what knows the secrets that must not be seen in it."""

    answer: UpstreamAnswer
    redactor: Redactor
    subject: Subject
    key_refused: bool = False
    """Whether it says that the key is bad."""


class AttemptRunner:
    """Makes attempts. Each names the model as its own provider does, wherever the request names it."""

    def __init__(
        self, *, opened: OpenAccounts, registry: ProviderRegistry, http: Http, upstream: Upstream, limiter: Limiter
    ) -> None:
        self._opened = opened
        self._http = http
        self._upstream = upstream
        self._limiter = limiter
        self._naming: Mapping[str, Callable[[str], str]] = {
            one.spec.name: one.openai_model_name for one in registry.all() if hasattr(one, "openai_model_name")
        }
        self._refusing: Mapping[str, Callable[[int, bytes], bool]] = {
            one.spec.name: one.refuses_key for one in registry.all() if hasattr(one, "refuses_key")
        }

    async def run(self, call: Call, serving: Serving, report: Report, *, patient: bool) -> Exchange:
        """One answer, within the credential's limits, which hold until `end`. Raises KeycairnError.

        `patient`: no other credential is left, so a failure to connect is worth a second try.
        """
        subject = credential_subject(serving.credential)
        self._limiter.begin(subject)
        try:
            opened = await self._opened.open(serving.credential)
            name = self._name(call, serving)
            body = await call.body.renamed(name) if call.body else None
            request = await self._authorized(call, opened, name, body)
            report.origin = "/".join(request.url.split("/", 3)[:3])
            answer = await self._sent(call, request, body, report, patient=patient)
            try:
                answer, refused = await self._understood(readable(answer), serving.credential.provider, opened.redactor)
            except BaseException:
                answer.close()
                raise
        except BaseException:
            self._limiter.end(subject, 0)
            raise
        return Exchange(answer, _knowing(opened.redactor, call, request), subject, refused)

    def end(self, exchange: Exchange, tokens: int) -> None:
        """End an exchange, which used so many model tokens. Once only."""
        exchange.answer.close()
        self._limiter.end(exchange.subject, tokens)

    def _name(self, call: Call, serving: Serving) -> str:
        """What the credential's provider calls the model; "" for a native call, which names what it names."""
        if serving.model is None:
            return ""
        naming = None if call.api.anthropic else self._naming.get(serving.credential.provider)
        return serving.model.name if naming is None else naming(serving.model.name)

    async def _authorized(self, call: Call, opened: Opened, name: str, body: Outgoing | None) -> Request:
        provider, account = opened.provider, opened.account
        request = Request(
            method=call.method,
            url=_url(call, provider, account, name),
            headers=forwarded(call.headers, call.dialect, provider.spec.request_headers),
            body=(body.beginning if body else None) or None,
            model=name,
        )
        return await _guarded(lambda: provider.authorize(account, request, self._http), opened.redactor)

    async def _sent(
        self, call: Call, request: Request, body: Outgoing | None, report: Report, *, patient: bool
    ) -> UpstreamAnswer:
        """The answer's beginning. What did not go out is sent once more, where `patient`."""
        outgoing = UpstreamRequest(
            method=request.method,
            url=request.url,
            headers=[*request.headers.items(), ("accept-encoding", "identity")],
            body=body.content if body else None,
            length=body.length if body else None,
        )
        try:
            return await self._start(outgoing)
        except NotSentError:
            if not patient or not call.repeatable:
                raise
        await asyncio.sleep(PAUSE)
        report.attempts += 1
        return await self._start(outgoing)

    async def _start(self, outgoing: UpstreamRequest) -> UpstreamAnswer:
        return await self._upstream.start(outgoing, connect_within=CONNECT_WITHIN, answer_within=ANSWER_WITHIN)

    async def _understood(
        self, answer: UpstreamAnswer, provider: str, redactor: Redactor
    ) -> tuple[UpstreamAnswer, bool]:
        """The answer, and whether it says that the key is bad. Some providers say that in the body only."""
        if answer.status not in {400, 403} or provider not in self._refusing:
            return answer, answer.status == 401
        replay = PeekedResponse(answer)
        seen = await replay.look()
        try:
            return replay, self._refusing[provider](answer.status, seen)
        except Exception as error:  # noqa: BLE001  # a plugin's; its text may hold the key
            _log.warning("a provider plugin failed", exception=kind_of(error, redactor))
            return replay, False


def credential_subject(credential: Credential) -> Subject:
    """What a credential's own limits are counted against."""
    return Subject("credential", credential.id, credential.workspace, credential.limits)


def _url(call: Call, provider: Provider, account: Account, name: str) -> str:
    api = call.api
    if api.anthropic:
        base = getattr(provider, "anthropic_base_url", None)
        if base is None:
            raise NoRouteError("This model's provider does not speak Anthropic's API.")
        root: str = base(account)
    elif call.model is not None:
        openai = getattr(provider, "openai_base_url", None) or provider.base_url
        root = openai(account, api.type)
    else:
        root = provider.base_url(account)
    query = call.query if call.model is None else query_with_model(call.query, name)
    return f"{root}{api.path}?{query}" if query else root + api.path


def _knowing(redactor: Redactor, call: Call, request: Request) -> Redactor:
    """`redactor`, and the secrets that were made for the call, such as a token, and the caller's own."""
    for value in request.headers.values():
        if isinstance(value, Secret):
            redactor = redactor.and_also(value.reveal().rpartition(" ")[2])
    return redactor.and_also(call.token.reveal())


async def _guarded(call: Callable[[], Awaitable[Request]], redactor: Redactor) -> Request:
    """What a plugin gives. An exception it should not raise becomes a PluginError; its text may hold the key."""
    try:
        return await call()
    except KeycairnError as error:
        raise cleaned(error, redactor) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the boundary to third-party code
        raise PluginError(f"The provider plugin failed ({kind_of(error, redactor)}).") from None
