"""The command line. Each module adds its commands to the group."""

from keycairn.app.cli import accounts, doctor, keys, serving, tokens
from keycairn.app.cli.group import main

__all__ = ["accounts", "doctor", "keys", "main", "serving", "tokens"]
