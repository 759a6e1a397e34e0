"""The index of credentials in memory: their orders, their fingerprints, and what each data key seals."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from keycairn.domain.credential import Credential
from keycairn.domain.groups import Groups
from keycairn.domain.ids import CredentialId, key_of
from keycairn.domain.key_rotation.record import KeyRotation
from keycairn.domain.ordered import enter, without
from keycairn.domain.sealed import kid_of

Place = tuple[str, datetime, CredentialId]


class CredentialIndex:
    """Credentials in the orders they are listed in, by fingerprint, and how many secrets each data key seals."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        """The keys of all, ordered."""
        self._places: dict[str, list[Place]] = {}
        self._prints: Groups[tuple[str, str], CredentialId] = Groups()
        self._kids: Counter[int] = Counter()

    def copying(self, other: "CredentialIndex") -> Iterator[None]:
        """Become as `other` is, which stays so, in turns."""
        self.keys = other.keys.copy()
        self._places = {workspace: places.copy() for workspace, places in other._places.items()}  # noqa: SLF001  # of the same class
        self._kids = other._kids.copy()  # noqa: SLF001  # of the same class
        self._prints = other._prints.copy()  # noqa: SLF001  # of the same class
        yield

    def change(self, changes: Iterable[tuple[Credential | None, Credential | None]]) -> None:
        """Take in credentials that changed, each as it was and as it is; None where it was not, or is not."""
        leaving: dict[str, list[Place]] = defaultdict(list)
        entering: dict[str, list[Place]] = defaultdict(list)
        gone: list[str] = []
        new: list[str] = []
        for before, after in changes:
            if before is not None:
                self._forget(before, after)
                if after is None:
                    gone.append(key_of(before.id))
                if after is None or _shown(before) != _shown(after):
                    leaving[before.workspace].append(_place(before))
            if after is not None:
                self._learn(before, after)
                if before is None:
                    new.append(key_of(after.id))
                if before is None or _shown(before) != _shown(after):
                    entering[after.workspace].append(_place(after))
        self.keys = without(self.keys, gone)
        enter(self.keys, new)
        for workspace, places in leaving.items():
            self._places[workspace] = without(self._places[workspace], places)
        for workspace, places in entering.items():
            enter(self._places.setdefault(workspace, []), places)

    def places(self, workspace: str, *, provider: str | None, after: Place | None) -> Iterator[CredentialId]:
        """See `State.places`."""
        order = self._places.get(workspace, [])
        start, end = 0 if after is None else bisect_right(order, after), len(order)
        if provider is not None:
            start = max(start, bisect_left(order, provider, key=_provider))
            end = bisect_right(order, provider, key=_provider)
        for index in range(start, end):
            yield order[index][2]

    def has_provider(self, workspace: str, provider: str) -> bool:
        """See `State.has_provider`."""
        order = self._places.get(workspace, [])
        start = bisect_left(order, provider, key=_provider)
        return start < len(order) and order[start][0] == provider

    def providers(self, workspace: str) -> frozenset[str]:
        """See `State.providers`."""
        order = self._places.get(workspace, [])
        found: set[str] = set()
        start = 0
        while start < len(order):
            found.add(order[start][0])
            start = bisect_right(order, order[start][0], lo=start, key=_provider)
        return frozenset(found)

    def with_fingerprint(self, workspace: str, fingerprint: str) -> frozenset[CredentialId]:
        """See `State.with_fingerprint`."""
        return frozenset(self._prints.of((workspace, fingerprint)))

    def sealed_with(self, kid: int) -> int:
        """See `State.sealed_with`."""
        return self._kids[kid]

    def _forget(self, before: Credential, after: Credential | None) -> None:
        if after is None or before.sealed != after.sealed:
            self._kids.subtract(sealing_keys(before))
        if after is None or _prints(before) != _prints(after):
            for mark in before.fingerprints.values():
                self._prints.discard((before.workspace, mark), before.id)

    def _learn(self, before: Credential | None, after: Credential) -> None:
        if before is None or before.sealed != after.sealed:
            self._kids.update(sealing_keys(after))
        if before is None or _prints(before) != _prints(after):
            for mark in after.fingerprints.values():
                self._prints.add((after.workspace, mark), after.id)


def sealing_keys(record: Credential | KeyRotation) -> list[int]:
    """The data key of each sealed secret that tells one."""
    return [kid for text in record.sealed.values() if (kid := kid_of(text)) is not None]


def _place(credential: Credential) -> Place:
    return credential.provider, credential.created, credential.id


def _shown(credential: Credential) -> tuple[str, Place]:
    return credential.workspace, _place(credential)


def _prints(credential: Credential) -> tuple[str, Mapping[str, str]]:
    return credential.workspace, credential.fingerprints


def _provider(place: Place) -> str:
    return place[0]
