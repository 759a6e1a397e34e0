"""Times as people and programs write them in a command."""

from datetime import UTC, datetime

import click


def read_time(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    """A day or a time as people and programs write it; UTC where it does not say."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise click.BadParameter(
            "write it as 2027-01-31, 2027-01-31T12:00:00Z or 2027-01-31T12:00:00+02:00", context, parameter
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
