"""A provider on a real socket that manages keys: what keys there are, and who may make and revoke them."""

from collections.abc import Mapping
from itertools import count
from typing import ClassVar

from keycairn.testing.server import KEY, Answer, LocalServer, Recorded, as_json

ADMIN = "admin-canary-0123456789abcdef"
"""What manages keys at a `KeyServer`, where a provider needs one secret for it."""


class ServedKey:
    """A key at a `KeyServer`."""

    def __init__(self, secret: str, tag: str) -> None:
        self.secret = secret
        self.tag = tag
        self.usable = True


class KeyServer(LocalServer):
    """A provider whose keys can be managed. Subclasses answer `manage` and `use` in the provider's own format.

    `keys` are the keys there are, by their ids; one of them, `own`, is the account's. `managing` are the beginnings of
    the paths that manage keys. `page` is how many keys one page of the list has.
    """

    managing: ClassVar[tuple[str, ...]] = ()
    page: ClassVar[int] = 100

    def __init__(self, *, key: str | None = KEY, own: str = "own") -> None:
        super().__init__(key=key)
        self.own = own
        self.keys: dict[str, ServedKey] = {own: ServedKey(key or KEY, "made by hand")}
        self.most: int = 1
        self._numbers = count(1)

    @property
    def living(self) -> list[str]:
        """The keys that work."""
        return [key.secret for key in self.keys.values() if key.usable]

    def manage(self, recorded: Recorded) -> Answer:
        """The answer to a request that manages keys, and is authorized."""
        raise NotImplementedError

    def use(self, recorded: Recorded) -> Answer:
        """The answer to a call with a key that works."""
        raise NotImplementedError

    def may_manage(self, recorded: Recorded) -> bool:
        """Whether the request carries what manages keys."""
        return recorded.headers.get(self.header) == self.scheme + ADMIN

    def may_use(self, recorded: Recorded) -> bool:
        """Whether the request carries a key that works."""
        return recorded.headers.get(self.header) in {self.scheme + key for key in self.living}

    def new_key(self, tag: str, *, id: str = "", secret: str = "") -> tuple[str, ServedKey]:
        """Make a key."""
        number = next(self._numbers)
        key = ServedKey(secret or f"sk-served-canary-{number:08}", tag)
        name = id or f"key-{number}"
        self.keys[name] = key
        self.most = max(self.most, len(self.keys))
        return name, key

    def paged(self, start: int, size: int | None = None) -> Mapping[str, ServedKey]:
        """A page of the keys."""
        return dict(list(self.keys.items())[start : start + (size or self.page)])

    def manages(self, recorded: Recorded) -> bool:
        """Whether the request is one that manages keys."""
        return recorded.path.startswith(self.managing)

    def authorized(self, recorded: Recorded) -> bool:
        """See `LocalServer`."""
        return self.may_manage(recorded) if self.manages(recorded) else self.may_use(recorded)

    def answer(self, recorded: Recorded) -> Answer:
        """See `LocalServer`."""
        return self.manage(recorded) if self.manages(recorded) else self.use(recorded)

    def error(self, status: int) -> object:
        """See `LocalServer`."""
        return {"error": {"message": "It failed.", "type": "error", "code": str(status)}}


def not_there(server: KeyServer) -> Answer:
    """The answer to a request for a key that is not there."""
    return as_json(server.error(404), 404)
