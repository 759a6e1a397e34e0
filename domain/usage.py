"""What calls used: counted by day, workspace, token, credential and model."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

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
    """Sums. `failed` are the requests among `requests` that ended in an error, the provider's or ours.

    `cached_tokens` are those among `input_tokens` that the provider had read before. `estimated` are the requests whose
    tokens the provider did not tell, or not all of them. `nanos` is what all that cost by the models' prices, in
    billionths of the unit these are in. `hours` parts the day, by hours of UTC from 0 to 23; what was counted before
    hours were kept is in none.
    """

    requests: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    estimated: int = 0
    nanos: int = 0
    last_used: datetime | None = None
    hours: Mapping[int, "Usage"] = {}

    def plus(self, other: "Usage") -> "Usage":
        """Both together."""
        moments = [moment for moment in (self.last_used, other.last_used) if moment is not None]
        return Usage(
            requests=self.requests + other.requests,
            failed=self.failed + other.failed,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            estimated=self.estimated + other.estimated,
            nanos=self.nanos + other.nanos,
            last_used=max(moments, default=None),
            hours=_together(self.hours, other.hours),
        )

    def within(self, hour: int) -> "Usage":
        """The same, all of it in that hour."""
        return replace(self, hours={hour: replace(self, last_used=None, hours={})})

    def by_hour(self) -> Iterator[tuple[int | None, "Usage"]]:
        """The parts of the day, and with None what is in none, where there is any."""
        yield from self.hours.items()
        known = Usage()
        for part in self.hours.values():
            known = known.plus(part)
        if known.requests < self.requests:
            rest = {name: getattr(self, name) - getattr(known, name) for name in SUMS}
            yield None, Usage(**rest)


SUMS = ("requests", "failed", "input_tokens", "output_tokens", "cached_tokens", "estimated", "nanos")
"""The fields of `Usage` that are numbers."""
HOURS = 24
"""Of a day."""


def _together(one: Mapping[int, Usage], other: Mapping[int, Usage]) -> Mapping[int, Usage]:
    if not one or not other:
        return one or other
    return {**one, **{hour: one[hour].plus(more) if hour in one else more for hour, more in other.items()}}


class TokenCount(Struct, frozen=True, kw_only=True):
    """Model tokens of one call, None for what is not known. `input` includes those that were `cached`."""

    input: int | None = None
    output: int | None = None
    cached: int | None = None

    def then(self, later: "TokenCount") -> "TokenCount":
        """What is known after a later report, which tells the whole again, or a part of it."""
        return TokenCount(
            input=self.input if later.input is None else later.input,
            output=self.output if later.output is None else later.output,
            cached=self.cached if later.cached is None else later.cached,
        )


NOTHING_KNOWN = TokenCount()

BYTES_A_TOKEN = 4
"""A token of English is some four characters. Source: OpenAI's help, "What are tokens and how to count them?"."""
EVENT_BYTES = 320
"""Bytes of an event of a stream that are not text: names, ids, braces. OpenAI's have 200 to 320, Google's 300."""
MOST_ESTIMATED_INPUT = 100_000
"""TokenCount: a picture in base64 is megabytes, and counts a thousand tokens."""


def estimated_input(sent: int) -> int:
    """Input tokens of a request whose body has `sent` bytes, where the provider does not tell them."""
    return min(-(-sent // BYTES_A_TOKEN), MOST_ESTIMATED_INPUT)


def estimated_output(received: int, events: int) -> int:
    """Output tokens of an answer of so many bytes; of a stream of `events`, each is a token and what it has more."""
    if not events:
        return -(-received // BYTES_A_TOKEN)
    return events + max(0, received - events * EVENT_BYTES) // BYTES_A_TOKEN


def tokens_in(report: Mapping[str, Any]) -> TokenCount:
    """The tokens in a provider's usage object.

    Known are those of OpenAI and what follows it, Anthropic, Google, Cohere (`tokens`, else `billed_units`), Amazon's
    Converse and Ollama. Anthropic's `input_tokens` are without the cached ones, so those are added; the others' are
    with them. Google's count of the answer is without what was thought, its count of the prompt without what tools
    brought. Sources: the providers' API references.
    """
    if "prompt_tokens" in report:
        output = _count(report.get("completion_tokens"))
        return TokenCount(input=_count(report["prompt_tokens"]), output=output, cached=_cached(report))
    return _of_another_api(report)


def _of_another_api(report: Mapping[str, Any]) -> TokenCount:
    for name in ("tokens", "billed_units"):
        nested = report.get(name)
        if isinstance(nested, Mapping):
            return tokens_in(nested)
    if "input_tokens" in report and ("cache_read_input_tokens" in report or "cache_creation_input_tokens" in report):
        return _anthropic(report)
    if not _OF_GOOGLE.isdisjoint(report):
        return _google(report)
    if "inputTokens" in report or "outputTokens" in report:
        return _amazon(report)
    if "inputTokenCount" in report or "outputTokenCount" in report:  # of a stream of InvokeModel
        return TokenCount(input=_count(report.get("inputTokenCount")), output=_count(report.get("outputTokenCount")))
    input, output = _first(report, _INPUT), _first(report, _OUTPUT)
    if input is None and output is None:
        input = _count(report.get("total_tokens"))
    return TokenCount(input=input, output=output, cached=_cached(report))


_OF_GOOGLE = frozenset({"promptTokenCount", "candidatesTokenCount", "responseTokenCount", "thoughtsTokenCount"})
_INPUT = ("prompt_tokens", "input_tokens", "prompt_eval_count")
_OUTPUT = ("completion_tokens", "output_tokens", "eval_count")


def _cached(report: Mapping[str, Any]) -> int | None:
    for name in ("prompt_tokens_details", "input_tokens_details", "input_token_details"):
        details = report.get(name)
        count = _count(details.get("cached_tokens")) if details and isinstance(details, Mapping) else None
        if count is not None:
            return count
    return _first(report, ("prompt_cache_hit_tokens", "cached_tokens"))


def _anthropic(report: Mapping[str, Any]) -> TokenCount:
    plain, read, made = (
        _count(report.get(name)) for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    input = None if plain is None else plain + (read or 0) + (made or 0)
    return TokenCount(input=input, output=_count(report.get("output_tokens")), cached=read)


def _google(report: Mapping[str, Any]) -> TokenCount:
    input = _sum(report, ("promptTokenCount", "toolUsePromptTokenCount"))
    output = _sum(report, ("candidatesTokenCount", "responseTokenCount", "thoughtsTokenCount"))
    return TokenCount(input=input, output=output, cached=_count(report.get("cachedContentTokenCount")))


def _amazon(report: Mapping[str, Any]) -> TokenCount:
    input = _sum(report, ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"))
    return TokenCount(
        input=input, output=_count(report.get("outputTokens")), cached=_count(report.get("cacheReadInputTokens"))
    )


def _sum(report: Mapping[str, Any], names: Sequence[str]) -> int | None:
    counts = [count for name in names if (count := _count(report.get(name))) is not None]
    return sum(counts) if counts else None


def _first(report: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        if (count := _count(report.get(name))) is not None:
            return count
    return None


def _count(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None
