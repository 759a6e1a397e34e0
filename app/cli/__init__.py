"""The command line. Each module adds its commands to the group."""

from keycairn.app.cli import accounts, backup, doctor, imports, keys, lending, plugins, serving, tokens
from keycairn.app.cli.group import main

__all__ = ["accounts", "backup", "doctor", "imports", "keys", "lending", "main", "plugins", "serving", "tokens"]
