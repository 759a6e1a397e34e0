"""Which names the service answers to."""

import re
from collections.abc import Sequence
from ipaddress import ip_address

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_ENTRY = re.compile(r"(?:\*\.)?[A-Za-z0-9_.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?", re.ASCII)
_MOST_KNOWN = 256


def usable(entry: str) -> bool:
    """Whether `entry` can stand in the setting: `*`, a name, `*.` and a name, an address; a port may follow."""
    return entry == "*" or _ENTRY.fullmatch(entry) is not None


class Hosts:
    """Judges Host headers.

    Always good are addresses, names without a dot and those below `localhost`: none of them can be a name that somebody
    else's page points at this service (DNS rebinding). Every other name has to be listed; an entry without a port is
    good on any, since a proxy or a container may stand on another.
    """

    def __init__(self, allowed: Sequence[str] = (), *, bound: str = "") -> None:
        self._any = "*" in allowed
        self._allowed = frozenset(entry.lower().replace(".:", ":").rstrip(".") for entry in (*allowed, bound) if entry)
        self._known: set[bytes] = set()

    def accept(self, header: bytes) -> bool:
        """Whether to answer a request with this Host header."""
        if header in self._known:
            return True
        good = self._judge(header.decode("latin-1"))
        if good and len(self._known) < _MOST_KNOWN:
            self._known.add(header)
        return good

    def _judge(self, header: str) -> bool:
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        name, port = match[1].lower().removesuffix("."), match[2]
        if not name or ".." in f".{name}.":
            return False
        if self._any or "." not in name or name.endswith(".localhost") or _is_address(name):
            return not name.startswith("[") or _is_address(name)
        parents = [f"*.{name.split('.', depth)[-1]}" for depth in range(1, name.count(".") + 1)]
        written = [name, *parents]
        return not self._allowed.isdisjoint([*written, *(f"{one}:{port}" for one in written if port)])


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
