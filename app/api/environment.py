"""The environment over HTTP: what provider variables it holds, and moving them into the database."""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Controller, Request, get, post
from litestar.params import QueryParameter
from msgspec import UNSET

from keycairn.app.api.environment_views import MigrationView, StatusView, held_back_views, migration_view
from keycairn.app.services.imports import Source
from keycairn.app.web.auth import keeps
from keycairn.app.web.inputs import TheCaller, TheKeycairn
from keycairn.domain.credential import DEFAULT_WORKSPACE
from keycairn.domain.token import Scope

READ = {"scope": Scope.CREDENTIALS_READ}
WRITE = {"scope": Scope.CREDENTIALS_WRITE}


class EnvironmentController(Controller):
    """Where each provider is configured."""

    path = "/api/credentials"
    tags: Sequence[str] | None = ("Credentials",)

    @get("/status", opt=READ, operation_id="get_status", summary="Where each provider is configured")
    async def status(self, keycairn: TheKeycairn, caller: TheCaller, request: Request[Any, Any, Any]) -> StatusView:
        """The database wins over the environment. `encryption_configured`: whether a root key opens the vault.

        `env_file_faults` tells what of the .env file cannot be read.

        `data_folder_kept` is false where the data folder goes with the container, or with the machine's memory.
        `keys_held_back` are former keys that are not revoked because other workspaces use them: told to an
        administrator of the installation only, and never to those workspaces.
        """
        sources = await keycairn.environment.sources(workspace=caller.workspace)
        refused = {one.family: one.why_not for one in keycairn.environment.found(caller.workspace) if one.why_not}
        held = await keycairn.key_rotations.held_back() if keeps(request) else ()
        damaged = 0
        if caller.workspace == DEFAULT_WORKSPACE and caller.reach.whole:
            damaged = max(len(keycairn.store.unreadable()), len(keycairn.audit_watch.flaws))
        return StatusView(
            configured={provider: source is not Source.NONE for provider, source in sources.items()},
            source=sources,
            encryption_configured=keycairn.vault.why_sealed is None,
            data_folder_kept=keycairn.data_folder_kept,
            refused=refused or UNSET,
            env_file_faults=[*keycairn.environment.faults(caller.workspace)] or UNSET,
            keys_held_back=held_back_views(held) or UNSET,
            damaged=damaged or UNSET,
        )

    @get(
        "/env-status",
        opt=READ,
        operation_id="get_environment_status",
        summary="Which providers the environment configures",
    )
    async def env_status(self, keycairn: TheKeycairn, caller: TheCaller) -> dict[str, bool]:
        """A blank variable counts as unset; one that cannot be used, such as a placeholder, configures nothing."""
        found = keycairn.environment.found(caller.workspace)
        usable = {account.provider for account in found if account.usable}
        return {provider.spec.name: provider.spec.name in usable for provider in keycairn.registry.all()}

    @post(
        "/migrate-from-env",
        opt=WRITE,
        status_code=200,
        operation_id="migrate_environment",
        summary="Move the environment's keys into the database",
    )
    async def migrate(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        *,
        dry_run: Annotated[bool, QueryParameter(description="Only say what would happen.")] = False,
        again: Annotated[bool, QueryParameter(description="Also bring back what was deleted here.")] = False,
        anyway: Annotated[
            bool, QueryParameter(description="Also where variables that look like addresses are not understood.")
        ] = False,
    ) -> MigrationView:
        """Each configured provider without a credential gets one. Running it again changes nothing.

        `refused` names the accounts that did not come in and are not here, the database's provider having another key
        among them, with the reason.
        """
        done = await keycairn.environment.migrate(dry_run=dry_run, again=again, anyway=anyway, by=caller)
        return migration_view(done, caller.reach)
