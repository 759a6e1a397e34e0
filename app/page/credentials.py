"""Credentials: the list, one of them, and its tests."""

from datetime import datetime
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from keycairn.app.lookup import spec_of
from keycairn.app.page.credential_states import STATES, host_of, state_of
from keycairn.app.page.key_rotations import shown_rotation
from keycairn.app.page.rows import ListedCredentials
from keycairn.app.page.usage_sums import calls_by_credential
from keycairn.app.page.view import TheView
from keycairn.app.services.credentials import Listed
from keycairn.app.turns import each
from keycairn.app.web.auth import READ_CREDENTIAL, READ_CREDENTIALS, WRITE_CREDENTIAL
from keycairn.app.web.paging import Cursors
from keycairn.domain.audit import EventFilter
from keycairn.domain.ids import credential_id
from keycairn.domain.provider import ProviderSpec
from keycairn.domain.token import Scope
from keycairn.ports.store import MOST, Position

ROWS = 100
TheRows = NamedDependency[ListedCredentials]
EVENTS = 10


@get("/credentials", opt=READ_CREDENTIALS, include_in_schema=False)
async def listing(view: TheView, rows: TheRows) -> Response[Any]:
    """A hundred at a time, searched and filtered here."""
    keycairn, caller = view.keycairn, view.caller
    wanted, provider, state = view.query("q").casefold(), view.query("provider"), view.choice("state", STATES)
    cursors = Cursors(keycairn.vault, caller, "page of credentials", q=wanted, provider=provider, state=state)
    after = cursors.read(view.query("after") or None, Position)
    matching = [
        row
        async for row in each(await rows.of(keycairn, caller.workspace, caller.reach))
        if (not provider or row.listed.credential.provider == provider)
        and (not state or row.state.code == state)
        and all(part in row.words for part in wanted.split())
        and (after is None or _key(place(row.listed)) > _key(after))
    ]
    found = matching[:ROWS]
    following = cursors.write(place(found[-1].listed)) if len(matching) > ROWS else ""
    waiting = 0
    if not found and not after and caller.reach.whole and view.may(Scope.CREDENTIALS_WRITE):
        waiting = sum(account.usable for account in keycairn.environment.found(caller.workspace))
    return view.page(
        "credentials.html",
        rows=found,
        calls=await calls_by_credential(view),
        q=view.query("q"),
        provider=provider,
        state=state,
        states=STATES,
        providers=sorted((one.spec.name, one.spec.label) for one in keycairn.registry.all()),
        after=after,
        following=following,
        waiting=waiting,
        counts_calls=view.may(Scope.AUDIT_READ),
    )


@get("/credentials/{id:str}", opt=READ_CREDENTIAL, include_in_schema=False)
async def detail(view: TheView, id: FromPath[str]) -> Response[Any]:
    """One credential: its state, its settings, what it serves and what happened to it."""
    keycairn, caller = view.keycairn, view.caller
    key = credential_id(id)
    listed = await keycairn.credentials.get(key, workspace=caller.workspace)
    spec = spec_of(keycairn.registry, listed.credential.provider)
    models = await keycairn.credentials.linked_models(key, workspace=caller.workspace)
    events = []
    if view.may(Scope.AUDIT_READ, whole=True):
        matching = EventFilter(target=key)
        found = await keycairn.audit.events(matching=matching, limit=MOST, workspace=caller.workspace)
        events = [*found[-EVENTS:]][::-1]
    calls = await calls_by_credential(view)
    return view.page(
        "credential.html",
        listed=listed,
        credential=listed.credential,
        spec=spec,
        state=state_of(listed, spec),
        host=host_of(listed, spec),
        facts=_facts(listed, spec),
        secrets=[(field.label, field.name in listed.credential.sealed) for field in spec.secrets] if spec else [],
        models=[model for model in models if caller.reach.serves(model)][:ROWS],
        twins=[twin for twin in listed.duplicates or () if caller.reach.holds(twin.provider, twin.id)],
        events=events,
        calls=calls.get(key, 0),
        rotation=await shown_rotation(view, key),
    )


@post("/credentials/{id:str}/test", opt=WRITE_CREDENTIAL, include_in_schema=False)
async def test(view: TheView, id: FromPath[str]) -> Response[Any]:
    """Ask the provider whether the stored key works; the answer stays with the credential."""
    await view.form()
    await view.keycairn.probing.test(credential_id(id), by=view.caller)
    return view.seen(f"/credentials/{id}")


def place(listed: Listed) -> Position:
    """Where a credential stands in the list."""
    return Position(listed.credential.provider, listed.credential.created, listed.credential.id)


def _key(position: Position) -> tuple[str, datetime, str]:
    return position.provider, position.created, position.id


def _facts(listed: Listed, spec: ProviderSpec | None) -> list[tuple[str, str]]:
    """The settings by their labels; what is not set is shown with its default, and said to be one."""
    settings = listed.credential.settings
    facts = []
    for field in spec.settings if spec else ():
        if field.name in settings:
            facts.append((field.label, str(settings[field.name])))
        elif field.default is not None:
            facts.append((field.label, f"{field.default} (default)"))
    declared = {field.name for field in spec.settings} if spec else set()
    facts += [(name, str(value)) for name, value in settings.items() if name not in declared]
    return facts + [(name, str(value)) for name, value in listed.credential.extra.items()]
