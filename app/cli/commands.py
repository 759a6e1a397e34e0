"""Which commands there are, without loading any of them."""

from collections.abc import Mapping
from typing import NamedTuple


class CommandEntry(NamedTuple):
    """Where a command is, as `module:attribute` of this package, and the first sentence of its help."""

    place: str
    short_help: str


COMMANDS: Mapping[str, CommandEntry] = {
    "audit": CommandEntry("audit:audit", "What happened, and who did it."),
    "backup": CommandEntry("backup:backup", "Write everything into one file, while the service runs."),
    "completion": CommandEntry(
        "completion:completion", "Print what sets up the tab key: for commands, options, names and ids."
    ),
    "credential": CommandEntry("credentials:credential", "Add, test, change and delete accounts of providers."),
    "default": CommandEntry("defaults:default", "The default models, which applications call as `default:SLOT`."),
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
    "login": CommandEntry("login:login", "Remember the service at URL and a token for it, once both were tried."),
    "logout": CommandEntry("login:logout", "Forget the service that `keycairn login` remembers."),
    "migrate-env": CommandEntry("environment:migrate_env", "Move the environment's keys into the database."),
    "model": CommandEntry("models:model", "List, add, change, test and delete registered models."),
    "plugins": CommandEntry(
        "plugins:plugins", "Show the provider plugins, those that failed to load included; begin a new one."
    ),
    "provider": CommandEntry("providers:provider", "Show the providers, and what their accounts need."),
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
    "token": CommandEntry("tokens:token", "Make, list, change and revoke the tokens clients use."),
    "usage": CommandEntry(
        "usage:usage",
        "Sum up calls through the gateway: requests, tokens and cost.",
    ),
}
"""By the name that is typed."""
