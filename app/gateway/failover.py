"""Failover: one credential after the other is asked, until an answer can be passed on."""

from collections.abc import Callable, Sequence

import structlog

from keycairn.app.gateway.attempt import AttemptRunner, Exchange, credential_subject
from keycairn.app.gateway.call import MOST_WITH_ROTATIONS, Call, Report
from keycairn.app.gateway.health import Health
from keycairn.app.gateway.limits import FREE, Charge, Limiter
from keycairn.app.gateway.recovery import Recovery
from keycairn.app.gateway.resolution import Resolver
from keycairn.domain.credential import Credential
from keycairn.domain.errors import (
    CannotConnectError,
    CredentialNotFoundError,
    GarbledAnswerError,
    InvalidAuthError,
    KeycairnError,
    KeyRestsError,
    LimitReachedError,
    NotSentError,
    ProviderError,
    UndecryptableError,
    UrlRefusedError,
)
from keycairn.domain.limits import NO_LIMITS
from keycairn.domain.provider_failure import Failure
from keycairn.domain.routing import Serving, Verdict, rest_after, verdict

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_OF_THE_ACCOUNT = (UndecryptableError, UrlRefusedError, InvalidAuthError, CannotConnectError, GarbledAnswerError)
"""What an attempt may end with that another account may do better."""
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
        failure: KeycairnError | None = None
        candidates = call.candidates
        while report.attempts < report.most:
            if not self._health.clear:
                candidates = self._health.ordered(candidates)
            left, why_not = await self._askable(candidates, tried)
            if not left:
                failure = failure if why_not is None else why_not
                break
            serving, last_one = left[0], len(left) == 1
            self._reconsider(candidates, serving)
            tried.add(_offer(serving))
            _note(serving, report)
            try:
                exchange = await self._attempts.run(call, serving, report, patient=last_one)
            except _OF_THE_ACCOUNT as error:
                self._failed(serving.credential, error)
                failure = error
                tried.add(_account(serving))
                if not _may_repeat(call, error):
                    break
                candidates = await self._resolver.renewed(candidates)
                continue
            outcome = self._learn(serving.credential, exchange)
            if outcome is Verdict.BAD_KEY:
                failure = InvalidAuthError(status=401)
                self.end(exchange, FREE)
                tried.add(_account(serving))
                if not call.repeatable:
                    break
                candidates = await self._resolver.renewed(candidates)  # also with a key that was rotated meanwhile
                _allow_for_rotation(report, serving.credential, candidates)
                continue
            if outcome is Verdict.DONE or last_one or not call.repeatable or report.attempts >= report.most:
                return exchange
            failure = ProviderError(status=exchange.answer.status)
            self.end(exchange, FREE)
            candidates = await self._resolver.renewed(candidates)
        raise failure or CredentialNotFoundError

    async def again(self, call: Call, report: Report, exchange: Exchange, failure: Failure) -> Exchange | None:
        """Another exchange in place of one that turned out to be a refusal while nothing of it was passed on.

        None where there is nobody else to ask and the refusal is the client's. Raises as `run`.
        """
        used = next((one.credential for one in call.candidates if one.credential.id == exchange.credential), None)
        if used is None:
            return None
        outcome = self._judge(used, failure)
        if outcome is Verdict.DONE:
            return None
        renewed = await self._resolver.renewed(call.candidates)
        left = [one for one in renewed if (one.credential.id, one.credential.version) != (used.id, used.version)]
        _allow_for_rotation(report, used, left)
        if left and report.attempts < report.most:
            call.candidates = left
            return await self.run(call, report)
        if outcome is Verdict.BAD_KEY:
            raise InvalidAuthError(status=401)
        return None

    def end(self, exchange: Exchange, charge: Charge) -> None:
        """End an exchange, and count what it used. Once only."""
        self._attempts.end(exchange, charge)

    async def _askable(
        self, candidates: Sequence[Serving], tried: set[tuple[str, int, str]]
    ) -> tuple[Sequence[Serving], KeycairnError | None]:
        """Those left to ask, and where there are none the reason that is not in what was tried."""
        untried = candidates
        if tried:
            untried = [one for one in candidates if tried.isdisjoint((_account(one), _offer(one)))]
        left, refusals = await self._within_limits(untried)
        if not left:
            return left, min(refusals, key=lambda refused: refused.retry_after, default=None)
        if self._health.clear:
            return left, None
        asked = [one for one in left if not self._health.held(one.credential)]
        if asked or tried:
            return asked, None
        return (), KeyRestsError(min(self._health.held(one.credential) for one in left))

    async def _within_limits(self, untried: Sequence[Serving]) -> tuple[Sequence[Serving], Sequence[LimitReachedError]]:
        """Those whose credential's own limits allow a call now, and why the others are passed over."""
        for one in untried:
            if one.credential.limits != NO_LIMITS:
                break
        else:
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
        self._count(credential.provider, str(exchange.answer.status))
        if exchange.failure is None:
            self._health.good(credential)
            return Verdict.DONE
        return self._judge(credential, exchange.failure)

    def _judge(self, credential: Credential, failure: Failure) -> Verdict:
        outcome = verdict(failure)
        if outcome is Verdict.BAD_KEY:
            self._health.refused(credential)
            _log.warning("a provider refused a key", credential=credential.id, provider=credential.provider)
        elif outcome is Verdict.NEXT:
            self._health.rest(credential, rest_after(failure))
        return outcome


def _allow_for_rotation(report: Report, refused: Credential, candidates: Sequence[Serving]) -> None:
    """One more attempt where the key that was refused is not the account's any more."""
    if any(one.credential.id == refused.id and one.credential.version != refused.version for one in candidates):
        report.most = min(report.most + 1, MOST_WITH_ROTATIONS)


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
        report.price = serving.model.price


def _may_repeat(call: Call, error: KeycairnError) -> bool:
    """Whether another credential is asked after such a failure."""
    if not call.repeatable:
        return False
    if not isinstance(error, CannotConnectError) or isinstance(error, NotSentError):
        return True
    return call.api.repeatable or call.method in _SAFE_METHODS
