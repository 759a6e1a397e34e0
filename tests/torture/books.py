"""What must be in a Keycairn, as kept by somebody outside it who knows only what it acknowledged.

A change is a list, such as `["rename", "c1", "new name"]`, so that it can be sent to the process under test. An account
is known by the first word of its name, which never changes.
"""

import json
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

Op = list[Any]
MAKES_NO_DIFFERENCE = frozenset({"rotate", "compact", "checkpoint", "backup", "root"})
PIECEWISE = frozenset({"import", "retain"})
"""What is made of several commits: of one that was refused, those before are there."""
LATER = "later"
"""Stands among what was put on record where the clock was set ahead by more than anything is kept."""


class Books:
    """Accounts with key and models, the chat default, tokens, sums of usage, and what was put on record, in order."""

    def __init__(self) -> None:
        self.accounts: dict[str, dict[str, Any]] = {}
        self.chat: list[str] | None = None
        self.tokens: dict[str, bool] = {}
        self.requests = 0
        self.events: list[str] = []

    def copy(self) -> "Books":
        return deepcopy(self)

    @property
    def text(self) -> str:
        """All of it, in one order; what the process under test says must be the same to the letter."""
        events = Counter(event for event in self.events if event != LATER)
        return shown(self.accounts, self.chat, self.tokens, self.requests, events)

    def apply(self, op: Op) -> None:  # noqa: C901, PLR0912  # a case for each change
        match op:
            case ["create", account, key]:
                self.accounts[account] = {"name": account, "key": key, "models": []}
                self._event("credential.created")
            case ["rename", account, name]:
                self.accounts[account]["name"] = f"{account} {name}"
                self._event("credential.updated")
            case ["rekey", account, key]:
                self.accounts[account]["key"] = key
                self._event("credential.updated")
            case ["register", account, prefix, count]:
                known = set(self.accounts[account]["models"]) | {f"{prefix}-{each}" for each in range(count)}
                self.accounts[account]["models"] = sorted(known)
                self._event("models.registered")
            case ["chat", account, model]:
                if self.chat != [account, model]:
                    self._event("defaults.changed")
                self.chat = [account, model]
            case ["delete", account]:
                del self.accounts[account]
                if self.chat is not None and self.chat[0] == account:
                    self.chat = None
                self._event("credential.deleted")
            case ["move", account, target]:
                joined = {*self.accounts.pop(account)["models"], *self.accounts[target]["models"]}
                self.accounts[target]["models"] = sorted(joined)
                if self.chat is not None and self.chat[0] == account:
                    self.chat[0] = target
                self._event("credential.deleted")
            case ["token", name]:
                self.tokens[name] = True
                self._event("token.created")
            case ["revoke", name]:
                self.tokens[name] = False
                self._event("token.revoked")
            case ["usage", count]:
                self.requests += count
            case ["import", first, count]:
                for row in range(first, first + count):
                    account, key, models = imported(row)
                    self.accounts[account] = {"name": account, "key": key, "models": models}
                    self._event("credential.imported")
            case ["later"]:
                self._event(LATER)
            case ["retain"]:
                self.requests = 0
                del self.events[: self._kept()]
            case [name, *_] if name in MAKES_NO_DIFFERENCE:
                pass
            case _:
                raise AssertionError(op)

    def possible(self, op: Op) -> list["Books"]:
        """What may be there when it is not known how far `op` came: nothing or all of it.

        Of an import, whole rows; of retention, all but the oldest that was on record, sums of usage going before that.
        """
        untouched, done = self.copy(), self.copy()
        if op[0] == "retain":
            done.requests = 0
            ways = [untouched, done]
            for _ in range(self._kept()):
                ways.append(ways[-1].copy())
                del ways[-1].events[0]
            return ways
        if op[0] == "import":
            ways = [untouched]
            for row in range(op[1], op[1] + op[2]):
                done.apply(["import", row, 1])
                ways.append(done.copy())
            return ways
        done.apply(op)
        return [untouched, done]

    def _event(self, action: str) -> None:
        self.events.append(action)

    def _kept(self) -> int:
        """The place of the last mark in what was put on record: what stands before it is old enough to go."""
        return max((place for place, event in enumerate(self.events) if event == LATER), default=0)


RECORDED = frozenset(
    {
        "credential.created",
        "credential.updated",
        "credential.deleted",
        "credential.imported",
        "models.registered",
        "defaults.changed",
        "token.created",
        "token.revoked",
    }
)
"""The entries of the audit log that the books count."""


def imported(row: int) -> tuple[str, str, list[str]]:
    """Name, key and models of a row that is imported."""
    return f"i{row}", f"sk-imported-{row:06}-0123456789", [f"i{row}-a", f"i{row}-b"]


def shown(
    accounts: dict[str, dict[str, Any]],
    chat: list[str] | None,
    tokens: dict[str, bool],
    requests: int,
    events: Mapping[str, int],
) -> str:
    """One text for what is there."""
    return json.dumps([accounts, chat, tokens, requests, events], sort_keys=True)


def without_events(text: str) -> str:
    """Such a text without what stands in the audit log, and without sums of usage."""
    accounts, chat, tokens, _, _ = json.loads(text)
    return shown(accounts, chat, tokens, 0, {})


def differences(found: str, expected: str) -> str:
    """Where two such texts part, for a person."""
    names = ("accounts", "chat", "tokens", "requests", "events")
    said = []
    for name, one, other in zip(names, json.loads(found), json.loads(expected), strict=True):
        if one == other:
            continue
        if name == "accounts":
            said += [
                f"{account}: {str(one.get(account))[:300]} for {str(other.get(account))[:300]}"
                for account in sorted(one.keys() | other.keys())
                if one.get(account) != other.get(account)
            ]
        else:
            said.append(f"{name}: {one} for {other}")
    return "; ".join(said)[:2000]
