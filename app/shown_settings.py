"""The settings as they may be shown."""

from keycairn.app.settings import HELP, SECRETS, Settings

_FIELDS = {"DATABASE_DATABASE": "database_name"}
"""Settings whose field has another name than theirs."""


def shown(settings: Settings) -> list[tuple[str, str, str]]:
    """Each setting's name, its value, and what it means. Of a secret only whether it is set."""
    return [
        (name, _value(name, getattr(settings, _FIELDS.get(name, name.lower()), None)), meaning)
        for name, meaning in HELP.items()
    ]


def _value(name: str, value: object) -> str:
    if name in SECRETS:
        return "set, not shown" if value else "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "not set"
    return str(value) if value not in (None, "") else "not set"
