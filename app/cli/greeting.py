"""What the service says at its start: where it is, what it found, and how to sign in."""

import os
import sys
import threading
import webbrowser
from collections.abc import Collection
from html import escape
from pathlib import Path

from keycairn.app.cli.show import say
from keycairn.app.data_folder import FIRST_TOKEN_FILE, SIGN_IN_FILE, write_private
from keycairn.app.first_run import FirstRun
from keycairn.app.keycairn import Keycairn
from keycairn.app.settings import Settings
from keycairn.domain.env_accounts import LEADS_HERE
from keycairn.domain.secret import Secret
from keycairn.domain.token import token_key

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # names, nothing is bound by them
"""Addresses that stand for all of a machine's."""


def greet(here: Settings, url: str, keycairn: Keycairn, first_run: FirstRun, stored: Collection[str]) -> None:
    """Say where it is and what it found. `stored` are the providers that have credentials."""
    say(f"Keycairn is at {url}", "bold")
    if here.host in EVERYWHERE:
        say(f"  It listens on every address of this machine; in a container, on its port {here.port}.", "dim")
    say(f"  API description: {url}/openapi")
    if why := keycairn.vault.why_sealed:
        say(f"  SEALED: {why}", "bold red")
        return
    if not keycairn.data_folder_kept:
        say(f"  No volume keeps {here.data_dir}: it goes with the container or the machine's memory.", "bold red")
    if first_run.root_key_file:
        say(f"  Made a root key: {first_run.root_key_file}")
        say("    Keep a copy away from the database. For production, move it and set KEYCAIRN_ROOT_KEY_FILE.", "dim")
    if first_run.token_file:
        say(f"  Made the first admin token: {first_run.token_file}")
        if sys.stdout.isatty():
            say(f"    {first_run.token_file.read_text().strip()}")
        invite(here, url, keycairn, first_run.token_file)
    elif not here.admin_token and (here.data_dir / FIRST_TOKEN_FILE).exists():
        say(f"  The first admin token: {here.data_dir / FIRST_TOKEN_FILE}")
        say(
            "    Commands on this machine find it by themselves; on the page, sign in with what is in it.",
            "dim",
        )
    _greet_environment(keycairn, stored)


def _greet_environment(keycairn: Keycairn, stored: Collection[str]) -> None:
    for fault in keycairn.environment.faults():
        say(f"  {fault}", "bold yellow")
    found = [one for one in keycairn.environment.found() if one.variables and one.refused != LEADS_HERE]
    for account in found:
        names = ", ".join(account.variables.values())
        say(f"  Found {account.provider}: {names}" + (f" ({account.why_not})" if account.why_not else ""))
    if not found:
        say("  Found no provider variables in the environment or in .env.", "dim")
    elif any(account.usable and account.provider not in stored for account in found):
        say("    Move them into the database with: keycairn migrate-env", "dim")
    elif any(account.usable for account in found):
        say("    They stand in the database; keycairn env says which variables are needed no more.", "dim")


def invite(here: Settings, url: str, keycairn: Keycairn, token_file: Path) -> None:
    """Say by which link the first token signs in, once; where there is a desktop, open it."""
    token = token_key(Secret(token_file.read_text().strip()))
    if token is None:
        return
    link = f"{url}/sign-in?code={keycairn.sessions.code(token).reveal()}"
    say("  Sign in, once and within the hour:")
    say(f"    {link}")
    if sys.stdout.isatty() and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)):
        # The browser is given a file, since others on this machine can read the words of a command.
        page = here.data_dir / SIGN_IN_FILE
        write_private(page, f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(link)}">')
        threading.Thread(target=webbrowser.open, args=(page.absolute().as_uri(),), daemon=True).start()
