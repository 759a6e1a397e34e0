"""Carrying a call out: one credential after the other, until an answer can be passed on."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime

import structlog
from msgspec import Struct

from keycairn.app.gateway.call import ANSWER_WITHIN, CONNECT_WITHIN, MOST_ATTEMPTS, Call, Report
from keycairn.app.gateway.directory import Directory
from keycairn.app.gateway.headers import forwarded
from keycairn.app.gateway.health import Health
from keycairn.app.gateway.limits import Limiter, Subject
from keycairn.app.gateway.opened import OpenAccounts, Opened
from keycairn.app.gateway.peeked_response import PeekedResponse
from keycairn.app.gateway.recovery import Recovery
from keycairn.app.gateway.unpacking import readable
from keycairn.app.services.models import cleaned, kind_of
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    CannotConnectError,
    CredentialNotFoundError,
    InvalidAuthError,
    KeycairnError,
    LimitReachedError,
    NoRouteError,
    NotSentError,
    PluginError,
    UndecryptableError,
    UrlRefusedError,
)
from keycairn.domain.limits import NO_LIMITS
from keycairn.domain.provider import Account
from keycairn.domain.redaction import Redactor
from keycairn.domain.routing import Serving, Verdict, retry_after, verdict, weighted_order
from keycairn.domain.secret import Secret
from keycairn.ports.http import Http, Request
from keycairn.ports.provider import Provider, ProviderRegistry
from keycairn.ports.upstream import Upstream, UpstreamAnswer, UpstreamRequest

PAUSE = 0.05
"""Seconds before the only credential is tried once more after no connection came about."""

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_log = structlog.get_logger()


class Exchange(Struct, frozen=True):
    """An answer to pass on, and what knows the secrets that must not be seen in it."""

    answer: UpstreamAnswer
    redactor: Redactor
    subject: Subject
    key_refused: bool = False
    """Whether it says that the key is bad."""


class Failover:
    """Makes exchanges. What an attempt teaches about a credential goes into `health`.

    `count` is told the provider and the outcome of every attempt.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        opened: OpenAccounts,
        registry: ProviderRegistry,
        http: Http,
        upstream: Upstream,
        health: Health,
        recovery: Recovery,
        limiter: Limiter,
        count: Callable[[str, str], None],
    ) -> None:
        self._directory = directory
        self._opened = opened
        self._http = http
        self._upstream = upstream
        self._health = health
        self._recovery = recovery
        self._limiter = limiter
        self._count = count
        self._naming: Mapping[str, Callable[[str], str]] = {
            one.spec.name: one.openai_model_name for one in registry.all() if hasattr(one, "openai_model_name")
        }
        self._refusing: Mapping[str, Callable[[int, bytes], bool]] = {
            one.spec.name: one.refuses_key for one in registry.all() if hasattr(one, "refuses_key")
        }
        self.anthropic = frozenset(one.spec.name for one in registry.all() if hasattr(one, "anthropic_base_url"))

    async def candidates(self, call: Call) -> Sequence[Serving]:
        """What can do the call, in order of precedence. Raises as `Directory.serving` and `Directory.credential`."""
        workspace, reach = call.caller.workspace, call.caller.reach
        if call.model is None:
            credential = await self._directory.credential(workspace, call.credential or "")
            if not reach.holds(credential.provider, credential.id):
                raise CredentialNotFoundError
            return [Serving(None, credential)]
        providers = self.anthropic if call.api.anthropic else None
        return await self._directory.serving(workspace, call.model, call.api.type, providers, reach)

    def name_at_provider(self, call: Call, serving: Serving) -> str:
        """What the provider calls the model of the call; the same at every credential that serves it."""
        name = serving.model.name if serving.model else call.model or ""
        if call.api.anthropic:
            return name
        naming = self._naming.get(serving.credential.provider)
        return name if naming is None else naming(name)

    async def run(self, call: Call, report: Report) -> Exchange:
        """An answer that is the client's: the first good one, else the last there was.

        Raises KeycairnError where no provider gave one. `report` says at any time how far it came.
        """
        tried: set[tuple[str, int]] = set()
        failure: KeycairnError = CredentialNotFoundError()
        while report.attempts < MOST_ATTEMPTS:
            candidates = weighted_order(await self.candidates(call), random.random)
            if not self._health.clear:
                candidates = self._health.ordered(candidates)
            untried = [one for one in candidates if (one.credential.id, one.credential.version) not in tried]
            left, refusals = await self._within_limits(untried)
            if not left:
                failure = min(refusals, key=lambda refused: refused.retry_after, default=failure)
                break
            serving, last_one = left[0], len(left) == 1
            self._reconsider(candidates, serving)
            tried.add((serving.credential.id, serving.credential.version))
            self._note(serving, report)
            try:
                exchange = await self._attempt(call, serving, patient=last_one, report=report)
            except (UndecryptableError, UrlRefusedError, InvalidAuthError, CannotConnectError) as error:
                self._failed(serving.credential, error)
                failure = error
                if not self._may_repeat(call, error):
                    break
                continue
            outcome = self._learn(serving.credential, exchange)
            if outcome is Verdict.BAD_KEY:
                failure = InvalidAuthError(status=401)
                self.end(exchange, 0)
                if not self._unsent(call):
                    break
                await self._directory.refresh()  # a key that was rotated meanwhile is another one to try
                continue
            if outcome is Verdict.DONE or last_one or not self._goes_on(call, outcome, report):
                return exchange
            self.end(exchange, 0)
        raise failure

    def end(self, exchange: Exchange, tokens: int) -> None:
        """End an exchange, which used so many model tokens. Once only."""
        exchange.answer.close()
        self._limiter.end(exchange.subject, tokens)

    async def _within_limits(self, untried: Sequence[Serving]) -> tuple[Sequence[Serving], Sequence[LimitReachedError]]:
        """Those whose credential's own limits allow a call now, and why the others are passed over."""
        if all(one.credential.limits == NO_LIMITS for one in untried):
            return untried, ()
        for one in untried:
            await self._limiter.prepare(_subject(one.credential))
        allowed: list[Serving] = []
        refusals: list[LimitReachedError] = []
        for one in untried:
            refused = self._limiter.refusal(_subject(one.credential))
            if refused is None:
                allowed.append(one)
            else:
                refusals.append(refused)
                self._count(one.credential.provider, refused.code)
        return allowed, refusals

    async def _attempt(self, call: Call, serving: Serving, *, patient: bool, report: Report) -> Exchange:
        """One answer, within the credential's limits, which hold until `end`."""
        subject = _subject(serving.credential)
        self._limiter.begin(subject)
        try:
            return await self._asked(call, serving, subject, patient=patient, report=report)
        except BaseException:
            self._limiter.end(subject, 0)
            raise

    async def _asked(
        self, call: Call, serving: Serving, subject: Subject, *, patient: bool, report: Report
    ) -> Exchange:
        """One answer. `patient`: no other credential is left, so a failure to connect is worth a second try."""
        opened = await self._opened.open(serving.credential)
        request = await self._authorized(call, opened)
        report.origin = "/".join(request.url.split("/", 3)[:3])
        outgoing = UpstreamRequest(
            method=request.method,
            url=request.url,
            headers=[*request.headers.items(), ("accept-encoding", "identity")],
            body=call.body.content if call.body else None,
            length=call.body.length if call.body else None,
        )
        try:
            answer = await self._start(outgoing)
        except NotSentError:
            if not patient or not self._unsent(call):
                raise
            await asyncio.sleep(PAUSE)
            report.attempts += 1
            answer = await self._start(outgoing)
        try:
            answer, refused = await self._understood(readable(answer), serving.credential.provider, opened.redactor)
        except BaseException:
            answer.close()
            raise
        return Exchange(answer, _knowing(opened.redactor, call, request), subject, refused)

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

    async def _start(self, outgoing: UpstreamRequest) -> UpstreamAnswer:
        return await self._upstream.start(outgoing, connect_within=CONNECT_WITHIN, answer_within=ANSWER_WITHIN)

    async def _authorized(self, call: Call, opened: Opened) -> Request:
        provider, account = opened.provider, opened.account
        url = self._url(call, provider, account)
        body = call.body.beginning if call.body else None
        headers = forwarded(call.headers, call.dialect, provider.spec.request_headers)
        request = Request(method=call.method, url=url, headers=headers, body=body or None, model=call.named)
        return await _guarded(lambda: provider.authorize(account, request, self._http), opened.redactor)

    def _url(self, call: Call, provider: Provider, account: Account) -> str:
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
        return f"{root}{api.path}?{call.query}" if call.query else root + api.path

    def _unsent(self, call: Call) -> bool:
        """Whether the body can be sent once more."""
        return call.body is None or call.body.repeatable

    def _may_repeat(self, call: Call, error: KeycairnError) -> bool:
        if not self._unsent(call):
            return False
        if isinstance(error, (UndecryptableError, UrlRefusedError, InvalidAuthError, NotSentError)):
            return True
        return call.api.repeatable or call.method in _SAFE_METHODS

    def _goes_on(self, call: Call, outcome: Verdict, report: Report) -> bool:
        """Whether another credential is asked after such an answer."""
        if report.attempts >= MOST_ATTEMPTS or not self._unsent(call):
            return False
        return outcome is Verdict.WAIT or call.api.repeatable or call.method in _SAFE_METHODS

    def _note(self, serving: Serving, report: Report) -> None:
        report.attempts += 1
        report.credential, report.provider = serving.credential.id, serving.credential.provider
        if serving.model:
            report.model, report.model_name = serving.model.id, serving.model.name

    def _reconsider(self, candidates: Sequence[Serving], serving: Serving) -> None:
        """Have refused keys that are passed by probed in the background, when it is time."""
        if not self._health.clear:
            for one in candidates:
                if one is not serving:
                    self._recovery.consider(one.credential)

    def _failed(self, credential: Credential, error: KeycairnError) -> None:
        self._count(credential.provider, error.code)
        self._health.rest(credential)

    def _learn(self, credential: Credential, exchange: Exchange) -> Verdict:
        answer = exchange.answer
        outcome = Verdict.BAD_KEY if exchange.key_refused else verdict(answer.status)
        if outcome is Verdict.DONE:
            if answer.status < 400:
                self._health.good(credential)
        elif outcome is Verdict.BAD_KEY:
            self._health.refused(credential)
            _log.warning("a provider refused a key", credential=credential.id, provider=credential.provider)
        else:
            self._health.rest(credential, _patience(answer))
        self._count(credential.provider, str(answer.status))
        return outcome


def _subject(credential: Credential) -> Subject:
    return Subject("credential", credential.id, credential.workspace, credential.limits)


def _knowing(redactor: Redactor, call: Call, request: Request) -> Redactor:
    """`redactor`, and the secrets that were made for the call, such as a token, and the caller's own."""
    for value in request.headers.values():
        if isinstance(value, Secret):
            redactor = redactor.and_also(value.reveal().rpartition(" ")[2])
    return redactor.and_also(call.token.reveal())


def _patience(answer: UpstreamAnswer) -> float | None:
    """Seconds the provider asks to wait, None where it does not say."""
    headers = dict(answer.headers)
    text = headers.get("retry-after")
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text).timestamp()
        now = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, TypeError):
        return retry_after(text, 0.0)
    return retry_after(None, now, date)


async def _guarded(call: Callable[[], Awaitable[Request]], redactor: Redactor) -> Request:
    """What a plugin gives. An exception it should not raise becomes a PluginError; its text may hold the key."""
    try:
        return await call()
    except KeycairnError as error:
        raise cleaned(error, redactor) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the boundary to third-party code
        raise PluginError(f"The provider plugin failed ({kind_of(error, redactor)}).") from None
