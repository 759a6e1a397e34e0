"""What a call has used, for the books and for the limits of whoever is held to them."""

from collections.abc import Sequence
from datetime import datetime

from keycairn.app.gateway.accounting import Accounting
from keycairn.app.gateway.call import Call, Report
from keycairn.app.gateway.limits import Limiter, Subject
from keycairn.app.gateway.usage_scanner import Counted
from keycairn.domain.errors import LimitReachedError
from keycairn.domain.usage import Usage, UsageKey
from keycairn.ports.clock import Clock


def usage_key(call: Call, report: Report, now: datetime) -> UsageKey:
    """What a call is counted under."""
    model = report.model
    if not model and report.model_name and report.good and not report.code:
        model = f"{report.provider}/{report.model_name}"  # what is not registered is booked where it was there
    return UsageKey(
        day=now.date(),
        workspace=call.caller.workspace,
        token=call.caller.actor,
        credential=report.credential,
        model=model,
    )


def usage_of(report: Report, now: datetime) -> Usage:
    """What a call that is over has used, without what is in the books already."""
    used, booked = report.used, report.booked
    return Usage(
        requests=1,
        failed=int(not report.good or bool(report.code)),
        input_tokens=used.input - booked.input,
        output_tokens=used.output - booked.output,
        cached_tokens=used.cached - booked.cached,
        estimated=int(used.estimated),
        nanos=report.charge.nanos - report.paid.nanos,
        last_used=now,
    )


def counts_use(subjects: Sequence[Subject], call: Call) -> bool:
    """Whether one of the subjects, or an account that may serve the call, is held to what it will have used."""
    if subjects and any(one.limits.counts_use for one in subjects):
        return True
    for one in call.candidates:  # noqa: SIM110  # a generator costs more than the few there are
        if one.credential.limits.counts_use:
            return True
    return False


class Meter:
    """Counts what a call uses that goes on for long, as it uses it.

    `subjects` are those who are held to limits; `credential` one more, which may change while nothing was used.
    """

    def __init__(
        self,
        call: Call,
        report: Report,
        subjects: Sequence[Subject],
        *,
        limiter: Limiter,
        accounting: Accounting,
        clock: Clock,
    ) -> None:
        self._call = call
        self._report = report
        self._callers = subjects
        self.credential: Subject | None = None
        self._limiter = limiter
        self._accounting = accounting
        self._clock = clock

    @property
    def _subjects(self) -> Sequence[Subject]:
        return self._callers if self.credential is None else (*self._callers, self.credential)

    async def add(self, counted: Counted) -> LimitReachedError | None:
        """Count it; why the call must not go on, None where it may."""
        report, now = self._report, self._clock.now()
        report.used = report.used.plus(counted)
        due = report.due
        for subject in self._subjects:
            self._limiter.charge(subject, due)
        self._accounting.add(
            usage_key(self._call, report, now),
            Usage(
                input_tokens=counted.input,
                output_tokens=counted.output,
                cached_tokens=counted.cached,
                nanos=due.nanos,
                last_used=now,
            ),
            now.hour,
        )
        report.booked, report.paid = report.used, report.charge
        return await self.used_up()

    async def used_up(self) -> LimitReachedError | None:
        """Why the call must not go on, None where it may."""
        for subject in self._subjects:
            if refused := await self._limiter.used_up(subject):
                return refused
        return None
