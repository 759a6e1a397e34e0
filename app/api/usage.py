"""What calls through the gateway used, over HTTP."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from heapq import merge
from typing import Annotated

from litestar import Controller, Response, get
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from keycairn.app.turns import TURN, batches, each, in_turns
from keycairn.app.web.inputs import TheCaller, TheKeycairn
from keycairn.app.web.paging import listed
from keycairn.domain.errors import BadRequestError
from keycairn.domain.price import NANOS
from keycairn.domain.token import Scope
from keycairn.domain.usage import Usage, UsageKey

DAYS = 30
"""How far back an answer reaches when not told."""
MOST_DAYS = 366
AT_ONCE = 1000
"""Sums that are sorted in one turn."""


class By(StrEnum):
    """What sums are kept apart by."""

    DAY = "day"
    HOUR = "hour"
    TOKEN = "token"  # noqa: S105  # a name
    CREDENTIAL = "credential"
    MODEL = "model"


class UsageView(Struct, frozen=True, kw_only=True):
    """Sums of calls. What was not asked for in `by` is null.

    `hour` is of the day, from 0 to 23, null too for what was counted before hours were kept; it goes with `day`.
    `model` is "" for native calls, and `provider/name` where the model is not registered. `cached_tokens` are among
    `input_tokens`. `estimated` counts the requests whose tokens were not told, or not all. `cost` is by
    the models' prices, in their currency.
    """

    day: date | None
    hour: int | None = None
    token: str | None
    credential: str | None
    model: str | None
    requests: int
    failed: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    estimated: int
    cost: float
    last_used: datetime | None


class UsageController(Controller):
    """What tokens, credentials and models were used for."""

    path = "/api/usage"
    tags: Sequence[str] | None = ("Usage",)

    @get("/", opt={"scope": Scope.AUDIT_READ}, operation_id="get_usage", summary="Sum up calls of models")
    async def listing(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        since: FromQuery[date | None] = None,
        until: FromQuery[date | None] = None,
        by: Annotated[list[By] | None, QueryParameter(description="Repeat it; all but `hour` when left out.")] = None,
    ) -> Response[list[UsageView]]:
        """Days are UTC's. The last 30 days unless told otherwise. Tokens are as providers tell them, else estimated."""
        last = until or keycairn.clock.now().date()
        first = since or last - timedelta(days=DAYS - 1)
        if (last - first).days >= MOST_DAYS:
            message = f"Ask for at most {MOST_DAYS} days."
            raise BadRequestError(message, {"since": "is too far from until"})
        if keycairn.gateway is not None:
            await keycairn.gateway.accounting.flush()
        found = await keycairn.store.usage(caller.workspace, since=first, until=last)
        apart = by or [one for one in By if one is not By.HOUR]
        sums = await summed(found.items(), apart)
        return await listed(sums, lambda group: _view(*group, apart))


Group = tuple[UsageKey, int | None, Usage]
"""Sums that belong together: one of their keys, their hour where hours are kept apart, and the sums."""


async def summed(found: Iterable[tuple[UsageKey, Usage]], by: Sequence[By]) -> list[Group]:
    """The sums of `found`, kept apart by `by`, in the order of those values."""
    sums: dict[tuple[str, ...], Group] = {}
    others = [one for one in by if one is not By.HOUR]
    for done, (key, usage) in enumerate(found, 1):
        for hour, part in usage.by_hour() if By.HOUR in by else [(None, usage)]:
            group = (*(str(getattr(key, one)) for one in others), "" if hour is None else f"{hour:02}")
            before = sums.get(group)
            sums[group] = (key, hour, part if before is None else before[2].plus(part))
        if done % TURN == 0:
            await asyncio.sleep(0)
    return [sums[group] async for group in each(merge(*await in_turns(batches([*sums], AT_ONCE), sorted, at_once=1)))]


def _view(key: UsageKey, hour: int | None, usage: Usage, by: Sequence[By]) -> UsageView:
    return UsageView(
        day=key.day if By.DAY in by else None,
        hour=hour,
        token=key.token if By.TOKEN in by else None,
        credential=key.credential if By.CREDENTIAL in by else None,
        model=key.model if By.MODEL in by else None,
        requests=usage.requests,
        failed=usage.failed,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        estimated=usage.estimated,
        cost=usage.nanos / NANOS,
        last_used=usage.last_used,
    )
