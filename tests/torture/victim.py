"""The process under test: opens a Keycairn, says what is in it, carries changes out, and says how each ended.

What it says: `root N` (which of the root keys opened it), `state TEXT` (see `tests.torture.books`), `ready`, when it
wants to be told what to do; `begin N` before the Nth change, then `done N`, `refused:CODE N`, `pending N` or
`unknown N`; `failed CODE: TEXT` for a start that was refused. Anything else that goes wrong is `fault TEXT`. Where it
was told to stop at a call and got through, `steps N` is how many there were. With `halt`, an outcome that is unknown is
the last one; with `state`, what is there is said again when all is done.
"""

import asyncio
import gc
import json
import os
import resource
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from tests.torture import Mouth
from tests.torture.books import RECORDED, Op, imported, shown
from tests.torture.calls import Calls, Failure

from keycairn.app import CredentialPatch, Keycairn, Modality, NewModel, Secret, Settings, Slot, open_keycairn
from keycairn.app.offline import restore_backup
from keycairn.app.services.audit.retention import Keep, Retention
from keycairn.domain.audit import IN_PROCESS, Action
from keycairn.domain.change import AddUsage
from keycairn.domain.credential import DEFAULT_WORKSPACE, Credential
from keycairn.domain.errors import (
    CommitPendingError,
    KeycairnError,
    OutcomeUnknownError,
    StoreError,
    UndecryptableError,
)
from keycairn.domain.ids import CredentialId
from keycairn.domain.incoming import IncomingCredential, IncomingModel, IncomingRow
from keycairn.domain.rootkey import RootKey, parse_root_key
from keycairn.domain.token import Scope
from keycairn.domain.usage import Usage, UsageKey

DAY = date(2026, 1, 1)
KEPT = timedelta(days=100)
"""For how long what is on record is kept, sums of usage too."""
KEEP = Keep(events=KEPT.days, usage=KEPT.days)
gc.collect()
gc.freeze()  # what every process shares is not looked through again each time one closes its store
FIRST_TOKEN = "first admin token"  # its name


ROOT_KEYS = tuple(f"base64:3q2+7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZG{letter}8=" for letter in "AQgw")


def root_key(number: int) -> RootKey:
    """The root keys of a test, by number."""
    return parse_root_key(Secret(ROOT_KEYS[number]))


def settings_of(data: Path, root: int | None = None, server: str = "") -> Settings:
    return Settings(
        data_dir=data,
        env_file=None,
        external_plugins=False,
        root_key=None if root is None else root_key(root),
        database_url=server,
        database_user="root" if server else None,
        database_password=Secret("root") if server else None,
    )


def live(say: Mouth, job: str) -> None:
    """Open `data` of `job` (JSON) with one of the `roots`; answers have `ops` and perhaps `beside`; null ends it.

    With `stop`, in the job or an answer, the process ends at the call of that number from there on; see `Calls`.
    """
    wanted = json.loads(job)
    calls = Calls(Path(wanted["data"]).parent) if wanted.get("calls") else None
    if wanted.get("uid", os.getuid()) != os.getuid():
        os.setuid(wanted["uid"])
    if wanted.get("limit") is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["limit"], resource.RLIM_INFINITY))
    try:
        asyncio.run(_live(say, wanted, calls))
        last = "over"
    except (EOFError, BrokenPipeError):
        return  # nobody listens any more
    except KeycairnError as error:
        last = f"failed {error.code}: {error}"
    except Exception:  # noqa: BLE001  # whatever it is, it is told
        last = f"fault {traceback.format_exc(limit=-6)}"
    with suppress(OSError):
        if calls is not None and calls.counting:
            say(f"steps {calls.steps}")
        say(last)
        say("end")


def restored(say: Mouth, data: str, file: str, stop: str) -> None:
    """Restore a backup, ending at the call of that number; see `Calls`. Says `done` when it is restored."""
    calls = Calls(Path(data).parent)
    calls.counting, calls.stop_at = True, int(stop)
    try:
        asyncio.run(restore_backup(settings_of(Path(data)), Path(file)))
    except KeycairnError as error:
        say(f"failed {error.code}: {error}")
    else:
        say("done")
    say("end")


def _stop(calls: Calls | None, job: dict[str, Any]) -> None:
    if calls is not None and "stop" in job:
        calls.counting, calls.stop_at = True, job["stop"]
    if calls is not None and "fail" in job:
        calls.fail(*(msgspec.convert(each, Failure) for each in job["fail"]))


async def _live(say: Mouth, job: dict[str, Any], calls: Calls | None) -> None:
    _stop(calls, job)
    for root in job.get("roots", [None]):
        async with open_keycairn(settings_of(Path(job["data"]), root, job.get("server", ""))) as kc:
            if why := kc.vault.why_sealed:
                say(f"sealed {why}")
                continue
            say(f"root {root}")
            if unreadable := kc.store.unreadable():
                say(f"unreadable {len(unreadable)}")
            say(f"state {await state_of(kc)}")
            report = await kc.audit.verify()
            if not report.intact:
                say(f"flaw {[flaw.kind for flaw in report.flaws]}: {report.flaws[0].detail}")
            say("ready")
            while wanted := json.loads(await asyncio.to_thread(say.answer)):
                _stop(calls, wanted)
                await _work(say, kc, wanted)
                say("more")
            return


async def _work(say: Mouth, kc: Keycairn, job: dict[str, Any]) -> None:
    done = 0
    steady = [asyncio.create_task(_again(say, kc, op, lambda: done)) for op in job.get("beside", [])]
    for number, op in enumerate(job["ops"], job.get("first", 0)):
        say(f"begin {number}")
        how = await outcome_of(kc, op, retry=bool(job.get("again")))
        say(f"{how} {number}")
        done = number + 1
        if how == "unknown" and job.get("halt"):
            break
    for task in steady:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    while job.get("state"):
        try:
            say(f"state {await state_of(kc)}")
        except StoreError:  # the server is not back yet
            await asyncio.sleep(0.1)
        else:
            break


async def outcome_of(kc: Keycairn, op: Op, *, retry: bool) -> str:
    """How a change ended, in one word. With `retry`, a refusal of the disk is tried again until there is room."""
    while True:
        try:
            await carry_out(kc, op)
        except CommitPendingError:
            return "pending"
        except OutcomeUnknownError:
            return "unknown"
        except StoreError as error:
            if not retry:
                return f"refused:{error.code}"
            await asyncio.sleep(0.1)
        except KeycairnError as error:
            return f"refused:{error.code}"
        else:
            return "done"


async def _again(say: Mouth, kc: Keycairn, op: Op, done: Callable[[], int]) -> None:
    """Carry `op` out again and again beside the changes. A backup promises what was acknowledged before it began."""
    while True:
        before = done()
        try:
            await carry_out(kc, op)
        except StoreError as error:
            say(f"beside {op[0]}: {error.code}")
        else:
            if op[0] == "backup":
                say(f"saved {before}")
        await asyncio.sleep(0.01)


async def carry_out(kc: Keycairn, op: Op) -> None:  # noqa: C901, PLR0912, PLR0915  # a case for each change
    """Carry one change out, as a client would."""
    match op:
        case ["create", account, key]:
            await kc.credentials.create("openai", name=account, secrets={"api_key": Secret(key)})
        case ["rename", account, name]:
            await kc.credentials.update(await _id(kc, account), CredentialPatch(name=f"{account} {name}"))
        case ["rekey", account, key]:
            await kc.credentials.update(await _id(kc, account), CredentialPatch(secrets={"api_key": Secret(key)}))
        case ["register", account, prefix, count]:
            models = [NewModel(f"{prefix}-{each}", Modality.LANGUAGE) for each in range(count)]
            await kc.probing.register(await _id(kc, account), models)
        case ["chat", account, model]:
            linked = await kc.credentials.linked_models(await _id(kc, account))
            await kc.models.set_defaults({Slot.CHAT: next(one.id for one in linked if one.name == model)})
        case ["delete", account]:
            await kc.credentials.delete(await _id(kc, account))
        case ["move", account, target]:
            await kc.credentials.delete(await _id(kc, account), migrate_to=await _id(kc, target))
        case ["token", name]:
            await kc.tokens.create(name, [Scope.INVOKE])
        case ["revoke", name]:
            token = next(token for token in await kc.tokens.list() if token.name == name)
            await kc.tokens.revoke(token.id)
        case ["usage", count]:
            key = UsageKey(day=DAY, workspace=DEFAULT_WORKSPACE, token="token:T", credential="credential:C")
            await kc.store.commit((AddUsage(key, Usage(requests=count)),))
        case ["import", first, count]:
            await kc.importer.run(_Rows(first, count))
        case ["rotate"]:
            await kc.rotation.rotate()
        case ["root", present, new, now]:
            await kc.root_keys.change(root_key(new), present=root_key(present), now=now)
        case ["compact"]:
            await kc.store.compact()  # type: ignore[attr-defined]  # the embedded store's
        case ["checkpoint"]:
            await kc.store.checkpoint()
        case ["replay"]:
            await kc.replay.run()
        case ["ping"]:
            await kc.store.ping()
        case ["later"]:
            await _later(kc)
        case ["retain"]:
            await Retention(kc.store, kc.journal, kc.audit, Ahead(), pause=0).apply(KEEP)
        case ["read"]:
            assert [await _key(kc, one) for one in await _all(kc)]
            await kc.models.list(limit=None)
        case ["backup", file]:
            await kc.backups.save(file=Path(file))
        case _:
            raise AssertionError(op)


async def _later(kc: Keycairn) -> None:
    """Put something on record under a clock that was set ahead by more than anything is kept."""
    last = max(event.at for event in await _events(kc))
    said = kc.journal.event(IN_PROCESS, Action.CREDENTIAL_TESTED, "nothing")
    await kc.journal.commit((replace(said, event=replace(said.event, at=last + 2 * KEPT)),))


class Ahead:
    """A clock that is ahead of everything on record."""

    def now(self) -> datetime:
        return datetime(9000, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return time.monotonic()


async def state_of(kc: Keycairn) -> str:
    """What is there, as `Books.text` has it; a secret that does not open shows why."""
    accounts: dict[str, dict[str, Any]] = {}
    named: dict[str, str] = {}
    for one in await _all(kc):
        account = one.name.partition(" ")[0]
        key = f"twice: {account}" if account in accounts else await _key(kc, one)
        named[one.id] = account
        accounts[account] = {"name": one.name, "key": key, "models": []}
    models = {model.id: model for model in await kc.models.list(limit=None)}
    for model in models.values():
        home = named.get(model.credential or "", f"dangling {model.credential}")
        accounts.setdefault(home, {"name": home, "key": "", "models": []})["models"].append(model.name)
    for each in accounts.values():
        each["models"].sort()
    defaults = await kc.models.defaults()
    chat = None
    if Slot.CHAT in defaults.slots:
        found = models.get(defaults.slots[Slot.CHAT])
        chat = ["dangling", ""] if found is None else [named.get(found.credential or "", "dangling"), found.name]
    tokens = {token.name: token.revoked is None for token in await kc.tokens.list() if token.name != FIRST_TOKEN}
    sums = await kc.store.usage(DEFAULT_WORKSPACE, since=DAY, until=DAY)
    counts = Counter(str(event.action) for event in await _events(kc) if event.actor == "in-process")
    events = {action: count for action, count in counts.items() if action in RECORDED}
    return shown(accounts, chat, tokens, sum(each.requests for each in sums.values()), events)


async def _all(kc: Keycairn) -> list[Credential]:
    found: list[Credential] = []
    after: CredentialId | None = None
    while page := await kc.store.all_credentials(after=after):
        found += page
        after = page[-1].id
    return found


async def _events(kc: Keycairn) -> list[Any]:
    found: list[Any] = []
    while page := await kc.store.chain(after=found[-1].seq if found else 0):
        found += page
    return found


async def _key(kc: Keycairn, one: Credential) -> str:
    try:
        return (await kc.credential_opener.open(one)).secrets["api_key"].reveal()
    except UndecryptableError as error:
        return f"does not open: {error.reason}"


async def _id(kc: Keycairn, account: str) -> CredentialId:
    found = [one.id for one in await _all(kc) if one.name.partition(" ")[0] == account]
    assert found, f"there is no {account}"
    return found[0]


class _Rows:
    """An import of accounts, each with two models."""

    label = "rows"

    def __init__(self, first: int, count: int) -> None:
        self._rows = range(first, first + count)

    async def rows(self) -> AsyncIterator[IncomingRow]:
        for row in self._rows:
            account, key, models = imported(row)
            yield IncomingCredential(
                where=account,
                provider="openai",
                name=account,
                id=f"credential:{account}",
                secrets={"api_key": Secret(key)},
                models=tuple(IncomingModel(name=name, type="language") for name in models),
            )
