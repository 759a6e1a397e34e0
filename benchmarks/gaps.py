"""How long each kind of request holds the event loop of a service with a large store, and what goes on beside it.

    python benchmarks/gaps.py [CREDENTIALS] [--only TEXT] [--most 20] [--store FOLDER]

The store has so many credentials (20,000 unless told), three models for each and two accounts with 10,000 models more.
Every route that can be read is asked, every kind of change is made once, and what is done on the page too. A hold is
the longest time for which nothing else had its turn, in milliseconds of the loop's own thread: what other processes
take does not count. Of reads the best of a few counts, since a busy machine makes any of them look worse. `--store`
goes on with a folder that was filled before, or fills it. Ends with 1 where something held the loop for longer than
`--most` milliseconds.
"""

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from urllib.parse import urlencode

import size
import structlog
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import json

from keycairn.app import Keycairn, Secret, Settings, open_keycairn
from keycairn.app.page import compile_templates
from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.server import collect_seldom
from keycairn.app.services.audit.retention import Keep
from keycairn.domain.audit import IN_PROCESS, Action
from keycairn.domain.change import AddCredential, AddModel, Change
from keycairn.domain.credential import Credential
from keycairn.domain.ids import CredentialId, ModelId
from keycairn.domain.modality import Modality
from keycairn.domain.model import Model

LARGE_ACCOUNTS = tuple(CredentialId(f"credential:01K{number:023}") for number in range(2))
MODELS_OF_LARGE = 10_000
SPARE = CredentialId(f"credential:01K{9:023}")
ONE = "credential:01J00000000000000000000007"
MODEL = "model:01J00000000000000000000007"
UNMADE = ("discover", "key-rotation", "/native/", "{rest", "{path", "{job", "/playground", "/credentials/{id}/models")
"""Parts of paths of which nothing is here, or that go out to a provider."""
LEAST, WHOLE, MOST = 2, 3, 5
"""How often a read is asked at least, and at most as long as it seems to hold the loop: all of it, or a part."""
DEPTH, PLACES = 7, 6
ENOUGH = 100_000
"""Bytes of an answer that are looked at."""
SAME = (b"sec-fetch-site", b"same-origin")


Answer = tuple[int, bytes, dict[bytes, bytes]]
"""Status, body (its beginning) and headers."""


class Client:
    """Requests to the application, without a network."""

    def __init__(self, app: Litestar) -> None:
        self.app = app
        self.cookie = b""
        self.form_key = ""

    async def ask(
        self, method: str, target: str, body: bytes = b"", kind: str = "application/json", *, page: bool = False
    ) -> Answer:
        """Ask, and give the answer."""
        path, _, query = target.partition("?")
        status = 0
        parts: list[bytes] = []
        headers: dict[bytes, bytes] = {}
        told, answered = False, asyncio.Event()

        async def receive() -> Any:
            nonlocal told
            if told:
                await answered.wait()
                return {"type": "http.disconnect"}
            told = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers.update(message["headers"])
            else:
                if sum(len(part) for part in parts) < ENOUGH:
                    parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    answered.set()

        sent = [(b"host", b"127.0.0.1"), (b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        sent += [SAME, (b"cookie", self.cookie)] if page else [(b"authorization", f"Bearer {size.TOKEN}".encode())]
        scope: Any = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": sent,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await self.app(scope, receive, send)
        return status, b"".join(parts), headers

    async def sign_in(self) -> None:
        """Begin a session of the page."""
        form = urlencode({"secret:token": size.TOKEN}).encode()
        _, _, headers = await self.ask("POST", "/sign-in", form, "application/x-www-form-urlencoded", page=True)
        self.cookie = headers[b"set-cookie"].partition(b";")[0]
        _, body, _ = await self.ask("GET", "/signed-in", page=True)
        self.form_key = body.decode().partition('data-form-key="')[2].partition('"')[0]

    async def form(self, path: str, **fields: str) -> Answer:
        """Send a form of the page."""
        form = urlencode({"form_key": self.form_key, **fields}).encode()
        return await self.ask("POST", path, form, "application/x-www-form-urlencoded", page=True)

    async def upload(self, path: str, name: str, content: bytes, **fields: str) -> Answer:
        """Send a form of the page with a file."""
        edge = b"edge-of-a-part"
        parts = [
            b'Content-Disposition: form-data; name="%s"\r\n\r\n%s' % (key.encode(), value.encode())
            for key, value in {"form_key": self.form_key, **fields}.items()
        ]
        head = b'Content-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: text/csv\r\n\r\n'
        parts.append(head % name.encode() + content)
        body = b"".join(b"--" + edge + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + edge + b"--\r\n"
        return await self.ask("POST", path, body, f"multipart/form-data; boundary={edge.decode()}", page=True)


def large_accounts() -> list[Change]:
    """Two accounts with thousands of models, and one to move models to."""
    accounts = [
        Credential(
            id=id,
            provider="openai",
            name=f"Large {id}",
            modalities=(Modality.LANGUAGE,),
            created=size.NOW,
            updated=size.NOW,
        )
        for id in (*LARGE_ACCOUNTS, SPARE)
    ]
    models = [
        Model(
            id=ModelId(f"model:01K{account:03}{number:020}"),
            provider="openai",
            name=f"large-{account}-{number}",
            type=Modality.LANGUAGE,
            credential=owner,
            created=size.NOW,
            updated=size.NOW,
        )
        for account, owner in enumerate(LARGE_ACCOUNTS)
        for number in range(MODELS_OF_LARGE)
    ]
    return [*map(AddCredential, accounts), *map(AddModel, models)]


def readable(plugin: KeycairnPlugin) -> tuple[list[str], list[str]]:
    """The targets of the API and of the page that can be read, and those that were left out."""
    found, left = [], []
    for route in plugin.router.routes:
        if not isinstance(route, HTTPRoute) or not any("GET" in one.http_methods for one in route.route_handlers):
            continue
        path = route.path_format
        if any(part in path for part in UNMADE):
            left.append(path)
            continue
        kind = MODEL if "/models/" in path else "token:01J00000000000000000000007" if "/tokens/" in path else ONE
        found.append(path.replace("{provider}", "openai").replace("{id}", kind).replace("{name}", "page.css"))
    return found, left


Work = Callable[[], Awaitable[object]]


class Sampler:
    """Looks every two milliseconds where the loop's thread is, and in which of its turns that was.

    By a signal: another thread would mostly see the places at which the interpreter lets it run.
    """

    def __init__(self) -> None:
        self.turn = 0
        self.seen: dict[int, Counter[tuple[tuple[CodeType, int], ...]]] = {}
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)

    def _look(self, _: int, frame: FrameType | None) -> None:
        place: list[tuple[CodeType, int]] = []
        while frame is not None and len(place) < DEPTH:
            place.append((frame.f_code, frame.f_lineno))
            frame = frame.f_back
        self.seen.setdefault(self.turn, Counter())[tuple(place)] += 1

    def longest(self) -> Counter[str]:
        """Where the thread was in its longest turn, but for waiting."""
        seen, self.seen = self.seen, {}  # while this looks, it is seen itself
        turns = [
            Counter({place: times for place, times in its.items() if place[0][0].co_name not in {"select", "_run"}})
            for its in seen.values()
        ]
        longest = max(turns, key=lambda its: its.total(), default=Counter())
        return Counter({" < ".join(map(_named, place)): times for place, times in longest.items()})


def _named(place: tuple[CodeType, int]) -> str:
    code, line = place
    return f"{Path(code.co_filename).name}:{line} {code.co_name}"


class Gaps:
    """What was measured: the longest hold of each kind."""

    def __init__(self, only: str, most: float, *, where: bool) -> None:
        self._only, self._most = only, most
        self._sampler = Sampler() if where else None
        self.found: dict[str, float] = {}

    async def _ticking(self) -> None:
        while self._sampler is not None:
            self._sampler.turn += 1
            await asyncio.sleep(0.001)

    async def of(self, name: str, work: Work, rounds: int = 1) -> Any:
        """Measure a work and print it; the last thing it gave."""
        if not any(part in name for part in self._only.split("|")):
            return None
        held: list[float] = []
        answer = None
        ticks = asyncio.create_task(self._ticking())
        if self._sampler is not None:
            self._sampler.seen.clear()
        while len(held) < rounds and (len(held) < LEAST or min(held) > self._most):
            async with size.Watch() as watch:
                answer = await work()
            held.append(watch.longest)
        ticks.cancel()
        self.found[name] = min(held)
        status = answer[0] if isinstance(answer, tuple) else ""
        mark = "  <-- too long" if self.found[name] > self._most else ""
        print(f"{name:78.78} {status:>4} {self.found[name]:8.1f}{mark}", flush=True)
        if mark and self._sampler is not None:
            for place, times in self._sampler.longest().most_common(PLACES):
                print(f"    {times:4} {place}")
        return answer


async def reads(gaps: Gaps, client: Client, plugin: KeycairnPlugin) -> None:
    """Everything that can be read."""
    targets, left = readable(plugin)
    whole = ("/api/checkup", "/api/audit/verify", "/api/backup")
    more = [
        *("/api/credentials?limit=1000", "/api/models?limit=1000", "/api/audit?limit=1000", "/usage.csv"),
        *("/v1/models", "/anthropic/v1/models", "/v1/models/model-1", "/metrics", "/api/audit?action=token.created"),
        *("/credentials?q=Account+19", "/models?q=model-59", "/audit?q=nothing", "/api/models/by-provider/openai"),
    ]
    for target in dict.fromkeys([*targets, *more]):
        page = not target.startswith(("/api/", "/v1/", "/anthropic/", "/health", "/metrics", "/openapi"))
        await gaps.of(
            f"GET {target}", partial(client.ask, "GET", target, page=page), WHOLE if target in whole else MOST
        )
    print(f"not asked: {', '.join(left)}")


def rows(count: int) -> list[dict[str, Any]]:
    """Rows of an import by the API."""
    return [
        {
            "row": "credential",
            "where": f"row {number}",
            "provider": "openai",
            "name": f"Imported {number}",
            "secrets": {"api_key": f"sk-imported-{number:040}"},
            "models": [{"name": "gpt-4o"}],
        }
        for number in range(count)
    ]


def table(count: int) -> bytes:
    """The same as a table, other accounts."""
    lines = [f"openai,Row {number},sk-table-{number:040}" for number in range(count)]
    return "\n".join(["provider,name,api_key", *lines]).encode() + b"\n"


async def writes(gaps: Gaps, client: Client, keycairn: Keycairn) -> None:
    """Every kind of change, the large ones last."""
    account = {"provider": "openai", "name": "One more", "modalities": ["language"], "api_key": "sk-" + "a" * 40}
    many = [{"name": f"new-{number}", "model_type": "language"} for number in range(1000)]
    first, second = LARGE_ACCOUNTS
    posts: list[tuple[str, str, object]] = [
        ("POST", "/api/credentials", account),
        ("PUT", f"/api/credentials/{ONE}", {"name": "Renamed"}),
        ("PUT", f"/api/credentials/{ONE}", {"api_key": "sk-" + "b" * 40}),
        ("POST", f"/api/credentials/{SPARE}/register-models", {"models": many}),
        ("POST", "/api/models", {"name": "single", "provider": "openai", "type": "language", "credential": SPARE}),
        ("PATCH", f"/api/models/{MODEL}", {"priority": 3}),
        ("PUT", "/api/models/defaults", {"default_chat_model": MODEL}),
        ("POST", "/api/models/auto-assign", {}),
        ("DELETE", f"/api/models/{MODEL}", None),
        ("POST", "/api/tokens", {"name": "t", "scopes": ["invoke"]}),
        ("POST", "/api/credentials/migrate-from-env", {}),
        ("POST", "/api/credentials/import", {"rows": rows(2000), "dry_run": True}),
        ("POST", "/api/credentials/import", {"rows": rows(2000)}),
        ("POST", "/api/credentials/import", {"rows": rows(2000)}),
        ("POST", "/api/checkup/fix", {}),
        ("POST", "/api/checkup/replay", {}),
        ("DELETE", f"/api/credentials/{first}?migrate_to={SPARE}&dry_run=true", None),
        ("DELETE", f"/api/credentials/{first}?migrate_to={SPARE}", None),
        ("DELETE", f"/api/credentials/{second}?dry_run=true", None),
        ("DELETE", f"/api/credentials/{second}", None),
        ("POST", "/api/encryption/verify", {}),
    ]
    for number, (method, target, body) in enumerate(posts):
        sent = b"" if body is None else json.encode(body)
        await gaps.of(f"{method} {target} ({number})", partial(client.ask, method, target, sent))
    await gaps.of("page: models of a form", lambda: client.form("/models/slots", default_chat_model=""), WHOLE)
    await gaps.of("page: rename", lambda: client.form(f"/credentials/{ONE}/edit", name="Once more"))
    upload = partial(client.upload, "/move-in/file", "t.csv", table(5000), kind="table")
    answer = await gaps.of("page: read a table", upload)
    if answer is not None and answer[0] == 303:
        place = answer[2][b"location"].decode()
        await gaps.of("page: plan of a table", lambda: client.ask("GET", place, page=True))
        await gaps.of("page: bring in a table", lambda: client.form(place))
        await gaps.of("page: what was brought in", lambda: client.ask("GET", place.replace("/file", ""), page=True))
    else:
        print(answer)
    for name in ("checkup", "verify", "repair"):
        await gaps.of(f"page: {name}", partial(client.form, f"/encryption/{name}"), WHOLE)
    await gaps.of("page: verify the audit log", lambda: client.form("/audit/verify"), WHOLE)
    await gaps.of("page: download a backup", lambda: client.form("/backups/download", passphrase=""))
    await gaps.of("rotation of the data key", keycairn.rotation.rotate)
    await gaps.of("compaction", keycairn.store.compact)  # type: ignore[attr-defined]  # the embedded store
    await gaps.of("retention", lambda: keycairn.retention.apply(Keep(usage=10)))
    await gaps.of("nothing, for five seconds", lambda: asyncio.sleep(5))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Keycairn]:
    """Keycairn on the folder."""
    settings = Settings(
        data_dir=folder,
        admin_token=Secret(size.TOKEN),
        env_file=None,
        database_url=f"surrealkv://{folder}/db",
        backup_dir=folder / "backups",
    )
    async with open_keycairn(settings) as keycairn:
        yield keycairn


async def run(folder: Path, count: int, gaps: Gaps) -> None:
    """Fill the store, and measure."""
    if not (folder / "filled").exists():
        async with opened(folder) as keycairn:
            await size.fill_opened(keycairn, count)
            event = keycairn.journal.event(IN_PROCESS, Action.CREDENTIAL_CREATED, "credential")
            await keycairn.journal.commit((*large_accounts(), event))
            await keycairn.store.compact()  # type: ignore[attr-defined]  # the embedded store
        (folder / "filled").touch()
    async with opened(folder) as keycairn:
        plugin = KeycairnPlugin(keycairn=keycairn)
        app = Litestar(plugins=[plugin], openapi_config=None)
        async with app.lifespan():
            collect_seldom()  # both as `keycairn serve` does
            await asyncio.to_thread(compile_templates)
            await gaps.of("after a start, for 20 seconds", lambda: asyncio.sleep(20))
            client = Client(app)
            await client.sign_in()
            await reads(gaps, client, plugin)
            await writes(gaps, client, keycairn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("credentials", type=int, nargs="?", default=size.LARGE)
    parser.add_argument("--only", default="", help="measure only what has one of these in its name, parted by |")
    parser.add_argument("--most", type=float, default=20.0, help="milliseconds")
    parser.add_argument("--where", action="store_true", help="tell what held the loop for too long")
    parser.add_argument("--store", type=Path, help="a folder to keep the store in")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    gaps = Gaps(chosen.only, chosen.most, where=chosen.where)
    with tempfile.TemporaryDirectory() as name:
        folder = chosen.store or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(run(folder, chosen.credentials, gaps))
    slow = {name: held for name, held in gaps.found.items() if held > chosen.most}
    longest = max(gaps.found.values(), default=0)
    print(f"{len(gaps.found)} kinds; longer than {chosen.most:.0f} ms: {len(slow)}; longest: {longest:.1f} ms")
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
