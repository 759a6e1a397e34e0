"""The command line. `commands.py` lists the commands and where they are; each is loaded when it is called."""

from keycairn.app.cli.group import main

__all__ = ["main"]
