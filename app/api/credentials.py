"""Credentials over HTTP: the lifecycle."""

from collections.abc import Sequence
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, QueryParameter

from keycairn.app.api.bodies import CreateCredential, UpdateCredential
from keycairn.app.api.caching import ListCache
from keycairn.app.api.conditions import etag, expected_version
from keycairn.app.api.credential_views import CredentialView, DeletionView, credential_view
from keycairn.app.api.fragments import Counted, Fragments
from keycairn.app.keycairn import Keycairn
from keycairn.app.lookup import spec_of
from keycairn.app.services.credentials import Listed
from keycairn.app.web.auth import (
    READ_CREDENTIAL,
    READ_CREDENTIALS,
    SCOPES,
    WRITE_CREDENTIAL,
    WRITE_CREDENTIALS,
    reaches,
)
from keycairn.app.web.inputs import PathText, TheCaller, TheKeycairn
from keycairn.app.web.paging import Cursor, Cursors, Listing, PageLimit, next_link
from keycairn.domain.audit import Caller
from keycairn.domain.deletion import NO_TARGET
from keycairn.domain.errors import (
    InvalidIdError,
    InvalidInputError,
    InvalidMigrationTargetError,
    OutOfReachError,
)
from keycairn.domain.ids import CredentialId, credential_id
from keycairn.domain.provider import canonical_name
from keycairn.domain.token import Scope, carries
from keycairn.ports.store import Position

IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description="The ETag the record must have, or `*`; else 412.")
]
IfNoneMatch = Annotated[
    str | None, HeaderParameter(name="If-None-Match", description="The ETag of the list you have; 304 when it holds.")
]
ProvenFirst = Annotated[
    bool,
    QueryParameter(description="Ask the provider first, and store nothing where it does not take the key (422)."),
]
ProviderFilter = Annotated[str | None, QueryParameter(description="Only this provider; case and hyphens are alike.")]


def single(keycairn: Keycairn, listed: Listed, caller: Caller, *, status: int = 200) -> Response[CredentialView]:
    """One credential with its ETag."""
    view = credential_view(listed, spec_of(keycairn.registry, listed.credential.provider), caller.reach)
    return Response(view, status_code=status, headers={"ETag": etag(listed.credential.version)})


async def page(
    keycairn: Keycairn,
    fragments: Fragments,
    request: Request[Any, Any, Any],
    caller: Caller,
    provider: str | None,
    limit: int | None,
    cursor: str | None,
) -> Response[list[CredentialView]]:
    """A page of credentials, and the link to the next; all of them without a limit."""
    reach = caller.reach
    cursors = Cursors(keycairn.vault, caller, "credentials", provider=canonical_name(provider) if provider else None)

    async def read(after: Position | None, limit: int) -> Sequence[Counted]:
        return await fragments.page(caller.workspace, provider=provider, after=after, limit=limit)

    def link(last: Position) -> dict[str, str]:
        filtered = None if request.path_params else provider
        return next_link(request, cursors.write(last), provider=filtered, limit=limit)

    listing = Listing(
        read,
        _place,
        fragments.json,
        None if reach.whole else lambda counted: reach.holds(counted[0].provider, counted[0].id),
    )
    return await listing.answer(cursors.read(cursor, Position), limit, link)


def _place(counted: Counted) -> Position:
    credential = counted[0]
    return Position(credential.provider, credential.created, credential.id)


class CredentialController(Controller):
    """Create, read, update, delete."""

    path = "/api/credentials"
    tags: Sequence[str] | None = ("Credentials",)

    @get("/", opt=READ_CREDENTIALS, operation_id="list_credentials", summary="List credentials")
    async def listing(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        request: Request[Any, Any, Any],
        list_cache: NamedDependency[ListCache],
        provider: ProviderFilter = None,
        limit: PageLimit = None,
        cursor: Cursor = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[list[CredentialView]]:
        """By provider, then age. A record whose secret does not open is listed with its `decryption_error`."""
        name = canonical_name(provider) if provider else None
        return await list_cache.answer(
            (caller.workspace, caller.actor, caller.reach, name, cursor, limit),
            if_none_match,
            lambda: page(keycairn, list_cache.fragments, request, caller, name, limit, cursor),
        )

    @get(
        "/by-provider/{provider:str}",
        opt=READ_CREDENTIALS,
        operation_id="list_provider_credentials",
        summary="List the credentials of a provider",
    )
    async def by_provider(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        request: Request[Any, Any, Any],
        list_cache: NamedDependency[ListCache],
        provider: PathText,
        limit: PageLimit = None,
        cursor: Cursor = None,
    ) -> Response[list[CredentialView]]:
        """Oldest first."""
        return await page(keycairn, list_cache.fragments, request, caller, provider, limit, cursor)

    @get("/{id:str}", opt=READ_CREDENTIAL, operation_id="get_credential", summary="Get a credential")
    async def read(self, keycairn: TheKeycairn, caller: TheCaller, id: PathText) -> Response[CredentialView]:
        """One credential, with its version as the ETag. Never its secrets."""
        return single(keycairn, await keycairn.credentials.get(credential_id(id), workspace=caller.workspace), caller)

    @post("/", opt=WRITE_CREDENTIALS, operation_id="create_credential", summary="Create a credential")
    async def create(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        data: JSONBody[CreateCredential],
        *,
        test: ProvenFirst = False,
    ) -> Response[CredentialView]:
        """Seal the secrets and store the credential. Well-known fields are flat, a plugin's own stand in `config`."""
        spec = keycairn.registry.get(data.provider).spec
        if not caller.reach.holds(spec.name):
            raise OutOfReachError
        service = keycairn.proving if test else keycairn.credentials
        listed = await service.create_from(spec.name, data.patch(spec), by=caller)
        return single(keycairn, listed, caller, status=201)

    @put("/{id:str}", opt=WRITE_CREDENTIAL, operation_id="update_credential", summary="Change a credential")
    async def update(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        id: PathText,
        data: JSONBody[UpdateCredential],
        if_match: IfMatch = None,
        *,
        test: ProvenFirst = False,
    ) -> Response[CredentialView]:
        """Absent fields stay, null clears. A change of host needs the secret again, for it is bound to its host."""
        key, version = credential_id(id), expected_version(if_match)
        before = (await keycairn.credentials.get(key, workspace=caller.workspace)).credential
        if isinstance(data.provider, str) and canonical_name(data.provider) != before.provider:
            message = "A credential's provider cannot change. Create another credential."
            raise InvalidInputError(message, {"provider": "cannot change"})
        spec = keycairn.registry.get(before.provider).spec
        patch = data.patch(spec, before.extra)
        service = keycairn.proving if test else keycairn.credentials
        return single(keycairn, await service.update(key, patch, if_match=version, by=caller), caller)

    @delete(
        "/{id:str}",
        opt=WRITE_CREDENTIAL,
        status_code=200,
        operation_id="delete_credential",
        summary="Delete a credential",
    )
    async def remove(
        self,
        keycairn: TheKeycairn,
        caller: TheCaller,
        id: PathText,
        request: Request[Any, Any, Any],
        *,
        migrate_to: Annotated[
            str | None, QueryParameter(description="The credential that takes the models over; else they are deleted.")
        ] = None,
        delete_models: Annotated[
            bool, QueryParameter(description="As clients of Open Notebook send it; `false` needs `migrate_to`.")
        ] = True,
        dry_run: Annotated[bool, QueryParameter(description="Only say what would happen.")] = False,
        if_match: IfMatch = None,
    ) -> DeletionView:
        """Delete it with its models, or move them to another credential of the provider; all of it or nothing."""
        target = _target(migrate_to) if migrate_to else None
        if not (delete_models or target):
            why = "A model is never without an account: name the credential that takes them over in migrate_to."
            raise InvalidInputError(why, {"delete_models": "needs migrate_to when it is false"})
        if target and caller.reach.credentials is not None and target not in caller.reach.credentials:
            raise OutOfReachError
        if target and not await reaches(keycairn, caller, target):
            raise InvalidMigrationTargetError(NO_TARGET)
        plan = await keycairn.credentials.delete(
            credential_id(id),
            migrate_to=target,
            if_match=expected_version(if_match),
            dry_run=dry_run,
            redirect_tokens=carries(request.state[SCOPES], Scope.ADMIN),
            by=caller,
        )
        return DeletionView(
            message="Nothing was deleted: this is a dry run." if dry_run else "Credential deleted",
            deleted_models=len(plan.deleted),
            dry_run=dry_run,
            deleted=[model.id for model in plan.deleted],
            moved=[model.id for model in plan.moved],
            merged=[model.id for model in plan.merged],
            cleared_defaults=plan.cleared,
            redirected_defaults=plan.redirected,
            followed_tokens=[token.id for token in plan.followed],
            stranded_tokens=[token.id for token in plan.stranded],
        )


def _target(text: str) -> CredentialId:
    try:
        return credential_id(text)
    except InvalidIdError:
        raise InvalidMigrationTargetError(NO_TARGET) from None
