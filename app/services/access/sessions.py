"""Sessions of browsers: begun with a token or a one-time code, and ended with the token or by signing out.

A session is what its cookie says, under a MAC; the token it stands on is looked up each time. What cannot stand in a
cookie is kept in the audit log, whose events are the only record of it: an ended session is an event with the id of
that session, a used code the beginning of a session with the id of that code. No two events have one id. Where events
of the last hours are gone or altered, no session and no code from before that was found is good.
"""

import asyncio
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from keycairn.app.services.access.tokens import Principal, Tokens
from keycairn.app.services.audit import Journal
from keycairn.app.services.keys import Vault
from keycairn.domain.audit import Action, AuditEvent, Caller, Head, chained
from keycairn.domain.change import Append
from keycairn.domain.errors import AuthenticationError, DuplicateError
from keycairn.domain.ids import EventId, TokenId, key_of
from keycairn.domain.secret import Secret
from keycairn.ports.clock import Clock, Ids
from keycairn.ports.store import MOST, Store

IDLE = timedelta(hours=1)
"""A session that is not used for so long is over."""
LONGEST = timedelta(hours=12)
"""Every session is over after this."""
RENEWED_AFTER = timedelta(minutes=1)
"""A cookie older than this is written anew when it is used."""
CODE_LASTS = timedelta(hours=1)
LONGEST_COOKIE = 1024
AT_ONCE = 64
"""Events whose links are checked before others are served."""
_OVER = frozenset({Action.SESSION_STARTED, Action.SESSION_ENDED})
_CODE = re.compile(r"([0-9A-HJKMNP-TV-Z]{26})\.([0-9A-HJKMNP-TV-Z]{26})\.([0-9]{1,12})\.([0-9a-f]{64})", re.ASCII)


class PageSession(Struct, frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True):
    """A session. `key` is a ULID; `actor` as `Tokens.again` takes it; the times are whole seconds since 1970."""

    key: str
    actor: str
    started: int
    seen: int

    @property
    def ends(self) -> datetime:
        """When it is over, where it is not used until then."""
        last = min(self.seen + int(IDLE.total_seconds()), self.started + int(LONGEST.total_seconds()))
        return datetime.fromtimestamp(last, UTC)


class Code(Struct, frozen=True, kw_only=True):
    """A one-time code: `key` is a ULID, `token` the id of the token it begins a session of."""

    key: str
    token: TokenId


class Sessions:
    """Begins, recognises and ends sessions. Every method raises SealedError while the keys are closed."""

    def __init__(self, store: Store, vault: Vault, tokens: Tokens, clock: Clock, ids: Ids, journal: Journal) -> None:
        self._store = store
        self._vault = vault
        self._tokens = tokens
        self._clock = clock
        self._ids = ids
        self._journal = journal
        self._ended: dict[str, datetime] = {}
        self._read_to: int | None = None
        self._trusted_from = 0
        """Seconds since 1970: what was begun before may have been ended by an event that somebody took away."""

    async def begin(self, principal: Principal, by: Caller) -> PageSession:
        """A session of a token that was proven just now, on record."""
        key, _ = self._ids.token()
        actor = principal.actor if principal.token else (self._tokens.fixed_actor or "")
        return await self._begun(key, actor, by, {"with": "token"})

    def code(self, token: TokenId) -> Secret:
        """A code that begins one session of the token, within an hour."""
        key, _ = self._ids.token()
        until = int((self._clock.now() + CODE_LASTS).timestamp())
        said = f"{key}.{key_of(token)}.{until}"
        return Secret(f"{said}.{self._mac('code', said)}")

    async def known(self, code: Secret) -> Code:
        """The code in a text, which stays good. Raises AuthenticationError: unknown, too old, or used."""
        match = _CODE.fullmatch(code.reveal())
        if match is None or not hmac.compare_digest(self._mac("code", code.reveal().rpartition(".")[0]), match[4]):
            raise AuthenticationError
        until = int(match[3])
        if self._clock.now().timestamp() >= until:
            raise AuthenticationError
        found = Code(key=match[1], token=TokenId(f"token:{match[2]}"))
        if await self._is_over(found.key, begun=until - int(CODE_LASTS.total_seconds())):
            raise AuthenticationError
        await self._tokens.again(found.token)
        return found

    async def spend(self, code: Secret, *, source: str, request_id: str) -> PageSession:
        """The session that a code begins; the code is used up. Raises AuthenticationError."""
        found = await self.known(code)
        principal = await self._tokens.again(found.token)
        by = Caller(actor=principal.actor, workspace=principal.workspace, source=source, request_id=request_id)
        event = self._named(found.key, by, Action.SESSION_STARTED, {"with": "one-time code"})
        try:
            await self._journal.commit((event,))
        except DuplicateError:
            raise AuthenticationError from None
        key, _ = self._ids.token()
        now = int(self._clock.now().timestamp())
        return PageSession(key=key, actor=found.token, started=now, seen=now)

    async def recognised(self, cookie: str) -> tuple[PageSession, Principal]:
        """The session of a cookie, and who it stands for by now. Raises AuthenticationError."""
        session = self._opened(cookie)
        if self._clock.now() >= session.ends or await self._is_over(session.key, begun=session.started):
            raise AuthenticationError
        return session, await self._tokens.again(session.actor)

    def renewed(self, session: PageSession) -> PageSession:
        """The same session, used just now."""
        return replace(session, seen=int(self._clock.now().timestamp()))

    def is_due(self, session: PageSession) -> bool:
        """Whether the cookie shall be written anew."""
        return self._clock.now().timestamp() - session.seen >= RENEWED_AFTER.total_seconds()

    async def end(self, session: PageSession, by: Caller) -> None:
        """End a session for good, on record; again is a no-op."""
        try:
            await self._journal.commit((self._named(session.key, by, Action.SESSION_ENDED, {}),))
        except DuplicateError:
            return

    def cookie(self, session: PageSession) -> str:
        """The text of the cookie."""
        said = urlsafe_b64encode(msgspec.json.encode(session)).rstrip(b"=").decode()
        return f"{said}.{self._mac('session', said)}"

    def form_key(self, session: PageSession) -> bytes:
        """What the forms of a session carry, and no other page can know; 32 bytes."""
        return bytes.fromhex(self._mac("form", session.key))

    async def _begun(self, key: str, actor: str, by: Caller, details: dict[str, str]) -> PageSession:
        await self._catch_up()  # first: what is found of the log ends the sessions of before, and not this one
        await self._journal.commit(
            (self._journal.event(by, Action.SESSION_STARTED, f"session:{key}", details=dict(details)),)
        )
        now = int(self._clock.now().timestamp())
        return PageSession(key=key, actor=actor, started=now, seen=now)

    def _named(self, key: str, by: Caller, action: Action, details: dict[str, str]) -> Append:
        event = self._journal.event(by, action, f"session:{key}", details=dict(details)).event
        return Append(replace(event, id=EventId(f"event:{key}")))

    def _opened(self, cookie: str) -> PageSession:
        said, _, mac = cookie.rpartition(".")
        if len(cookie) > LONGEST_COOKIE or not cookie.isascii():
            raise AuthenticationError
        if not said or not hmac.compare_digest(self._mac("session", said), mac):
            raise AuthenticationError
        return msgspec.json.decode(urlsafe_b64decode(said + "=" * (-len(said) % 4)), type=PageSession)

    def _mac(self, purpose: str, said: str) -> str:
        return self._vault.keyset.session_mac(f"{purpose}\n{said}".encode())

    async def _is_over(self, key: str, *, begun: int) -> bool:
        """Whether the session was ended, or the code used, here or by another instance, or nothing can tell."""
        await self._catch_up()
        return key in self._ended or begun < self._trusted_from

    async def _catch_up(self) -> None:
        """Read what the log tells of sessions since the last time."""
        head = await self._store.head()
        last = head.seq if head else 0
        if self._read_to is None or self._read_to > last:
            await self._read_back(last)
        while self._read_to is not None and self._read_to < last:
            events = await self._store.chain(after=self._read_to, limit=MOST)
            if not events:
                break
            if events[0].seq != self._read_to + 1:
                self._distrust()
            self._note(events)
            self._read_to = events[-1].seq

    async def _read_back(self, last: int) -> None:
        """Read the log from its end to where no session that is recorded there can still be good."""
        oldest = self._clock.now() - LONGEST - CODE_LASTS
        end, following = last, None
        while end > 0:
            events = await self._store.chain(after=max(0, end - MOST), limit=min(MOST, end))
            self._note(events)
            page = [*events, following] if following else [*events]
            if not page or (not following and page[-1].seq != last) or not await self._linked(page):
                self._distrust()
            following = page[0] if page else None
            end -= MOST
            if events and events[0].at < oldest:
                break
        self._read_to = last

    async def _linked(self, events: Sequence[AuditEvent]) -> bool:
        """Whether each event is the one after the event before it."""
        mac = self._journal.mac
        for number, (before, event) in enumerate(pairwise(events)):
            if event.seq != before.seq + 1 or event.mac != mac(chained(event, Head(before.seq, before.mac))):
                return False
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return True

    def _distrust(self) -> None:
        """End every session, and every code, of before: the event that ended one may be among those that are gone."""
        self._trusted_from = int(self._clock.now().timestamp())

    def _note(self, events: Sequence[AuditEvent]) -> None:
        now = self._clock.now()
        for event in events:
            if event.action in _OVER:
                self._ended[key_of(event.id)] = event.at
        if len(self._ended) > MOST:
            self._ended = {key: at for key, at in self._ended.items() if now - at < LONGEST + CODE_LASTS}
