"""Conditional requests: a record's version as its ETag, `If-Match`, and `If-None-Match`."""

import re

from keycairn.domain.errors import MalformedConditionError

_MATCH = re.compile(r'"([0-9]{1,18})"')


def etag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def expected_version(if_match: str | None) -> int | None:
    """The version an If-Match header demands; None when any will do. Raises MalformedConditionError."""
    if if_match is None or if_match.strip() == "*":
        return None
    match = _MATCH.fullmatch(if_match.strip())
    if match is None:
        raise MalformedConditionError
    return int(match[1])


def names(if_none_match: str | None, etag: str) -> bool:
    """Whether an If-None-Match header names `etag`; weak tags count, as RFC 9110 says for reading."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or tags == ["*"]
