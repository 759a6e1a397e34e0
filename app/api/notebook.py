"""What Open Notebook's web client asks before its settings pages: whether a server is there, and how to sign in.

Off unless `KEYCAIRN_OPEN_NOTEBOOK_CLIENT` is on. The pages themselves use the API as it is; the password is a token.
"""

import asyncio
from collections.abc import Sequence

from litestar import Controller, get
from msgspec import Struct

from keycairn.app.api.health import NO_TOKEN, PUBLIC
from keycairn.app.web.auth import Access
from keycairn.app.web.inputs import TheKeycairn
from keycairn.domain.errors import StoreError

ANSWERS_WITHIN = 2.0
"""Seconds the database may take to count as online."""


class ConfigView(Struct, frozen=True, rename="camel"):
    """`db_status` is `online` or `offline`. The version is nobody's business before they signed in."""

    db_status: str
    version: str = ""
    latest_version: str | None = None
    has_update: bool = False


class AuthStatusView(Struct, frozen=True):
    """Whether a password is asked for."""

    auth_enabled: bool = True
    message: str = "Sign in with a Keycairn token as the password."


class NotebookController(Controller):
    """The few paths that Open Notebook's web client needs besides Keycairn's own."""

    path = "/api"
    tags: Sequence[str] | None = ("Open Notebook",)

    @get("/config", opt=PUBLIC, security=NO_TOKEN, operation_id="get_server", summary="Is the server there?")
    async def config(self, keycairn: TheKeycairn) -> ConfigView:
        """Open to everyone, as the client asks before it has a password."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await keycairn.store.ping()
        except (StoreError, TimeoutError):
            return ConfigView("offline")
        return ConfigView("online")

    @get("/auth/status", opt=PUBLIC, security=NO_TOKEN, operation_id="get_sign_in", summary="Is a password asked for?")
    async def auth_status(self) -> AuthStatusView:
        """Always: a token of Keycairn's."""
        return AuthStatusView()

    @get("/notebooks", opt={"scope": Access.ANY_TOKEN}, operation_id="check_sign_in", summary="Is the password good?")
    async def sign_in(self) -> list[str]:
        """The client's probe: no notebooks to whoever has a good token, 401 to everyone else."""
        return []
