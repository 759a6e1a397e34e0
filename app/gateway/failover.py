"""Failover: one credential after the other is asked, until an answer can be passed on."""

from collections.abc import Callable, Sequence

import structlog

from keycairn.app.gateway.attempt import AttemptRunner, Exchange, credential_subject
from keycairn.app.gateway.call import MOST_ATTEMPTS, Call, Report
from keycairn.app.gateway.health import Health
from keycairn.app.gateway.limits import Limiter
from keycairn.app.gateway.recovery import Recovery
from keycairn.app.gateway.resolution import Resolver
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    CannotConnectError,
    CredentialNotFoundError,
    InvalidAuthError,
    KeycairnError,
    LimitReachedError,
    NotSentError,
    UndecryptableError,
    UrlRefusedError,
)
from keycairn.domain.limits import NO_LIMITS
from keycairn.domain.retry_after import retry_after
from keycairn.domain.routing import Serving, Verdict, verdict

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_log = structlog.get_logger()


class Failover:
    """Carries calls out. What an attempt teaches about a credential goes into `health`.

    `count` is told the provider and the outcome of every attempt.
    """

    def __init__(
        self,
        *,
        resolver: Resolver,
        attempts: AttemptRunner,
        health: Health,
        recovery: Recovery,
        limiter: Limiter,
        count: Callable[[str, str], None],
    ) -> None:
        self._resolver = resolver
        self._attempts = attempts
        self._health = health
        self._recovery = recovery
        self._limiter = limiter
        self._count = count

    async def run(self, call: Call, report: Report) -> Exchange:
        """An answer that is the client's: the first good one, else the last there was. It must be ended with `end`.

        Raises KeycairnError where no provider gave one. `report` says at any time how far it came.
        """
        tried: set[tuple[str, int, str]] = set()
        failure: KeycairnError = CredentialNotFoundError()
        candidates = call.candidates
        while report.attempts < MOST_ATTEMPTS:
            if tried:
                candidates = await self._resolver.renewed(candidates)
            if not self._health.clear:
                candidates = self._health.ordered(candidates)
            untried = [one for one in candidates if tried.isdisjoint((_account(one), _offer(one)))]
            left, refusals = await self._within_limits(untried)
            if not left:
                failure = min(refusals, key=lambda refused: refused.retry_after, default=failure)
                break
            serving, last_one = left[0], len(left) == 1
            self._reconsider(candidates, serving)
            tried.add(_offer(serving))
            _note(serving, report)
            try:
                exchange = await self._attempts.run(call, serving, report, patient=last_one)
            except (UndecryptableError, UrlRefusedError, InvalidAuthError, CannotConnectError) as error:
                self._failed(serving.credential, error)
                failure = error
                tried.add(_account(serving))
                if not _may_repeat(call, error):
                    break
                continue
            outcome = self._learn(serving.credential, exchange)
            if outcome is Verdict.BAD_KEY:
                failure = InvalidAuthError(status=401)
                self.end(exchange, 0)
                tried.add(_account(serving))
                if not call.repeatable:
                    break
                continue  # also with a key that was rotated meanwhile
            if outcome is Verdict.DONE or last_one or not _goes_on(call, outcome, report):
                return exchange
            self.end(exchange, 0)
        raise failure

    def end(self, exchange: Exchange, tokens: int) -> None:
        """End an exchange, which used so many model tokens. Once only."""
        self._attempts.end(exchange, tokens)

    async def _within_limits(self, untried: Sequence[Serving]) -> tuple[Sequence[Serving], Sequence[LimitReachedError]]:
        """Those whose credential's own limits allow a call now, and why the others are passed over."""
        if all(one.credential.limits == NO_LIMITS for one in untried):
            return untried, ()
        for one in untried:
            await self._limiter.prepare(credential_subject(one.credential))
        allowed: list[Serving] = []
        refusals: list[LimitReachedError] = []
        for one in untried:
            refused = self._limiter.refusal(credential_subject(one.credential))
            if refused is None:
                allowed.append(one)
            else:
                refusals.append(refused)
                self._count(one.credential.provider, refused.code)
        return allowed, refusals

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
            self._health.rest(credential, retry_after(answer.headers))
        self._count(credential.provider, str(answer.status))
        return outcome


def _account(serving: Serving) -> tuple[str, int, str]:
    """The account of an attempt, as it is stored. Of a pool it may serve several models."""
    return serving.credential.id, serving.credential.version, ""


def _offer(serving: Serving) -> tuple[str, int, str]:
    """What an attempt is made of."""
    return serving.credential.id, serving.credential.version, serving.model.own_name if serving.model else ""


def _note(serving: Serving, report: Report) -> None:
    report.attempts += 1
    report.credential, report.provider = serving.credential.id, serving.credential.provider
    if serving.model:
        report.model, report.model_name = serving.model.id, serving.model.own_name


def _may_repeat(call: Call, error: KeycairnError) -> bool:
    """Whether another credential is asked after such a failure."""
    if not call.repeatable:
        return False
    if isinstance(error, (UndecryptableError, UrlRefusedError, InvalidAuthError, NotSentError)):
        return True
    return call.api.repeatable or call.method in _SAFE_METHODS


def _goes_on(call: Call, outcome: Verdict, report: Report) -> bool:
    """Whether another credential is asked after such an answer."""
    if report.attempts >= MOST_ATTEMPTS or not call.repeatable:
        return False
    return outcome is Verdict.WAIT or call.api.repeatable or call.method in _SAFE_METHODS
