"""LiteLLM's routing of one name to another: aliases of groups, and what a group falls back to.

Source: https://docs.litellm.ai/docs/proxy/reliability and https://docs.litellm.ai/docs/proxy/config_settings
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from keycairn.adapters.imports.litellm_accounts import FoundAccount
from keycairn.adapters.imports.litellm_groups import GroupEntry
from keycairn.adapters.imports.litellm_names import our_name
from keycairn.adapters.imports.notebook_rows import label
from keycairn.domain.incoming import IncomingModel, LeftBehind, Refused
from keycairn.domain.model import HIGHEST_SHARE, is_public_name
from keycairn.domain.modeltypes import classify

ALIASES, FALLBACKS, FOR_ALL = "model_group_alias", "fallbacks", "default_fallbacks"
READ = dict.fromkeys(("router_settings", "litellm_settings"), frozenset({ALIASES, FALLBACKS, FOR_ALL}))
"""Sections, and what is read in each: LiteLLM takes these settings from either."""
LISTS = frozenset({"model_list", "credential_list", "environment_variables"})
"""Sections that are read whole, elsewhere."""
NO_GROUP = "no model_name of the file that came in is called like that"
_ANY = "*"
_SETTING = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)


class Member(Struct, frozen=True):
    """An entry of a group, and the account it is called with."""

    account: FoundAccount
    entry: GroupEntry

    @property
    def priority(self) -> int:
        """That of its entry."""
        return self.entry.model.priority


class Routing:
    """The part of a config that says which names stand for which groups, and what of the rest stays behind.

    `rows` are for the report.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.rows: list[Refused | LeftBehind] = []
        self._aliases: dict[str, str] = {}
        self._fallbacks: dict[str, Sequence[str]] = {}
        for section in READ:
            settings = document.get(section)
            if isinstance(settings, Mapping):
                self._read_aliases(settings.get(ALIASES))
                self._read_fallbacks(settings)
        self.rows += _left_behind(document)

    def spread(self, accounts: Sequence[FoundAccount]) -> None:
        """Give each account's models the further names they answer to.

        A group's fallbacks become its members of a lower priority: they are called when none of its own can answer.
        An alias has the members of the group it stands for, its fallbacks too. Names are looked up as the file gives
        them, so that no alias or fallback leads to another one.
        """
        groups = _Groups(accounts)
        for name in groups.names:
            self._add_fallbacks(groups, name, name, groups.members(name))
        for alias, target in self._aliases.items():
            where, members = label(ALIASES, alias), groups.members(target)
            if alias in groups.names:
                self.rows.append(Refused(where=where, reason="a model_name of the file is called so too"))
            elif not members:
                self.rows.append(Refused(where=where, reason=NO_GROUP))
            else:
                for member in members:
                    _put(member, alias, member.priority)
                self._add_fallbacks(groups, alias, target, members)
        for name in sorted(self._fallbacks.keys() - {*groups.names, *self._aliases, _ANY}):
            self.rows.append(Refused(where=label(FALLBACKS, name), reason=NO_GROUP))

    def _add_fallbacks(self, groups: "_Groups", name: str, target: str, own: Sequence[Member]) -> None:
        public = own[0].entry.model.name if name == target else name
        types = {member.entry.model.type for member in own}
        lowest = max(member.priority for member in own)
        spares = next((self._fallbacks[one] for one in (name, target, _ANY) if one in self._fallbacks), ())
        for spare in spares:
            members = groups.members(spare)
            if not members:
                self.rows.append(Refused(where=label(FALLBACKS, f"{name}: {spare}"), reason=NO_GROUP))
                continue
            for member in members:
                if member.entry.model.type in types:
                    _put(member, public, min(lowest + 1 + member.priority, HIGHEST_SHARE))
            lowest += 1 + max(member.priority for member in members)

    def _read_aliases(self, given: object) -> None:
        for alias, target in given.items() if isinstance(given, Mapping) else ():
            where = label(ALIASES, alias)
            named = target.get("model") if isinstance(target, Mapping) else target
            if not (isinstance(alias, str) and is_public_name(alias) and isinstance(named, str)):
                self.rows.append(Refused(where=where, reason="it names no group, or is no name of a model"))
                continue
            self._aliases[alias] = named
            if isinstance(target, Mapping) and target.get("hidden"):
                self.rows.append(LeftBehind(where=where, reason="left behind: hidden; lists of models show it"))

    def _read_fallbacks(self, settings: Mapping[str, Any]) -> None:
        if spares := _names(settings.get(FOR_ALL)):
            self._fallbacks[_ANY] = spares
        given = settings.get(FALLBACKS)
        for item in given if isinstance(given, list) else ():
            for name, spares in item.items() if isinstance(item, Mapping) else ():
                if isinstance(name, str):
                    self._fallbacks[name] = _names(spares)


class _Groups:
    """Who serves which name, as the file has it."""

    def __init__(self, accounts: Sequence[FoundAccount]) -> None:
        self._accounts = accounts
        self._said: dict[str, list[Member]] = {}
        for account in accounts:
            for entry in account.models:
                self._said.setdefault(entry.said, []).append(Member(account, entry))
        self.names = tuple(self._said)

    def members(self, name: str) -> Sequence[Member]:
        """The group of that name, else the account that is open to all models of the provider it begins with."""
        if name in self._said:
            return self._said[name]
        prefix, _, own = name.partition("/")
        account = next((one for one in self._accounts if one.any_model and one.provider == our_name(prefix)), None)
        type = classify(own) if own else None
        if account is None or type is None:
            return ()
        model = IncomingModel(name=own, provider=account.provider, type=type, where=account.name)
        return (Member(account, GroupEntry(model, {}, name)),)


def _put(member: Member, name: str, priority: int) -> None:
    """The member under another name too, unless its account has it there already."""
    model, models = member.entry.model, member.account.models
    own = model.provider_model or model.name
    if (name, own, model.type) in {
        (one.model.name, one.model.provider_model or one.model.name, one.model.type) for one in models
    }:
        return
    again = replace(model, name=name, provider_model=None if name == own else own, priority=priority)
    models.append(GroupEntry(again, member.entry.shares, name))


def _names(given: object) -> Sequence[str]:
    """The groups of a list of fallbacks; one may be written with parameters of the call, which stay behind."""
    items = given if isinstance(given, list) else [given]
    named = (item.get("model") if isinstance(item, Mapping) else item for item in items)
    return [name for name in named if isinstance(name, str) and name]


def _left_behind(document: Mapping[str, Any]) -> Iterator[LeftBehind]:
    """What of the rest of the file is not taken over, by name."""
    for section, content in document.items():
        if section in LISTS:
            continue
        if not isinstance(content, Mapping):
            yield LeftBehind(where=_plain(section), reason="left behind")
            continue
        taken = READ.get(section, frozenset())
        rest = sorted(_plain(name) for name in content if name not in taken)
        if rest:
            yield LeftBehind(where=_plain(section), reason="left behind: " + ", ".join(rest))


def _plain(name: object) -> str:
    return name if isinstance(name, str) and _SETTING.fullmatch(name) else "a name that is no plain word"
