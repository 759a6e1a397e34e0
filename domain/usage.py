"""What calls used: counted by day, workspace, token, credential and model."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from msgspec import Struct

MOST_TOKENS = 2**40
"""The most tokens of one call that are believed."""


class UsageKey(Struct, frozen=True, kw_only=True):
    """What is counted together. `day` is in UTC; `token` is who called, as in `Caller.actor`; `model` an id or ""."""

    day: date
    workspace: str
    token: str
    credential: str
    model: str = ""


class Usage(Struct, frozen=True, kw_only=True):
    """Sums. `failed` are the requests among `requests` that ended in an error, the provider's or ours."""

    requests: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    last_used: datetime | None = None

    def plus(self, other: "Usage") -> "Usage":
        """Both together."""
        moments = [moment for moment in (self.last_used, other.last_used) if moment is not None]
        return Usage(
            requests=self.requests + other.requests,
            failed=self.failed + other.failed,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            last_used=max(moments, default=None),
        )


_INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount")
_OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount")
_CACHED = ("cache_creation_input_tokens", "cache_read_input_tokens")


def tokens_in(report: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Input and output tokens of a provider's usage object, None for what it does not say.

    OpenAI's `prompt_tokens` include cached ones; Anthropic's `input_tokens` do not, so those are added.
    """
    input, output = _first(report, _INPUT), _first(report, _OUTPUT)
    if input is not None:
        for name in _CACHED:
            if name in report:
                input += _count(report[name]) or 0
    elif output is None:
        input = _count(report.get("total_tokens"))
    return input, output


def _first(report: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        if name in report and (count := _count(report[name])) is not None:
            return count
    return None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None
