"""Which commands there are, without loading any of them."""

from collections.abc import Mapping
from typing import NamedTuple


class CommandEntry(NamedTuple):
    """Where a command is, as `module:attribute` of this package, and the first sentence of its help."""

    place: str
    short_help: str


COMMANDS: Mapping[str, CommandEntry] = {
    "backup": CommandEntry("backup:backup", "Write everything into one file, while the service runs."),
    "discover": CommandEntry("probing:discover", "List the models a credential can use."),
    "doctor": CommandEntry("doctor:doctor", "Look for trouble, and say what to do about it."),
    "env": CommandEntry(
        "environment:env",
        "Show what the environment and the .env file hold, by variable name; values are never shown.",
    ),
    "import": CommandEntry(
        "imports:import_group", "Move keys in: from a .env file, Open Notebook, LiteLLM, or a table."
    ),
    "keys": CommandEntry("keys:keys", "The data keys, of which retired ones stay until they are forgotten."),
    "migrate-env": CommandEntry("environment:migrate_env", "Move the environment's keys into the database."),
    "plugins": CommandEntry(
        "plugins:plugins", "Show the provider plugins, those that failed to load included; begin a new one."
    ),
    "restore": CommandEntry("restoring:restore", "Put a backup into an empty database: all of it, or nothing."),
    "rotate": CommandEntry("keys:rotate", "Rotate the keys that encrypt everything, while the service runs."),
    "run": CommandEntry(
        "env_export:run",
        "Start COMMAND with the variables of one credential set, for a program that takes its key in no other way.",
    ),
    "serve": CommandEntry("serve:serve", "Start the service, and say where it is."),
    "settings": CommandEntry(
        "settings:list_settings", "List the environment variables that are settings, and whether they are set."
    ),
    "status": CommandEntry("environment:status", "Show where each provider is configured, and the stored credentials."),
    "test": CommandEntry("probing:test", "Prove a key at its provider."),
    "token": CommandEntry("tokens:token", "Make, list and revoke the tokens clients use."),
}
"""By the name that is typed."""
