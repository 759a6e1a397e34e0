"""An index of ids by a value that few of them share, such as models by the credential they are linked to."""

from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

_K = TypeVar("_K")
_T = TypeVar("_T", bound=str)


class Groups(Generic[_K, _T]):
    """Ids by what they share. Most groups are of one, which stands alone.

    A copy shares its groups with the original, and takes one for itself before it changes it. As long as a copy is in
    use, the original must not be changed.
    """

    def __init__(self) -> None:
        self._groups: dict[_K, _T | set[_T]] = {}
        self._copied: set[_K] | None = None
        """The keys whose groups were taken since this was made as a copy; None where it is none."""

    def copy(self) -> "Groups[_K, _T]":
        """Another one with the same groups."""
        made: Groups[_K, _T] = Groups()
        made._groups = self._groups.copy()
        made._copied = set()
        return made

    def of(self, key: _K) -> AbstractSet[_T]:
        """The group of `key`, empty where there is none. It may change later."""
        group = self._groups.get(key)
        if group is None:
            return frozenset()
        return group if isinstance(group, set) else frozenset((group,))

    def add(self, key: _K, *items: _T) -> None:
        """Have items in the group of `key`."""
        if len(items) == 1 and key not in self._groups:
            (self._groups[key],) = items
        else:
            self._taken(key).update(items)

    def discard(self, key: _K, *items: _T) -> None:
        """Have items no more in the group of `key`."""
        if self._groups.get(key) in items:
            del self._groups[key]
        elif isinstance(self._groups.get(key), set):
            group = self._taken(key)
            group.difference_update(items)
            if not group:
                del self._groups[key]

    def _taken(self, key: _K) -> set[_T]:
        """The group of `key` as a set that is nobody else's."""
        group = self._groups.get(key)
        if not isinstance(group, set):
            group = set() if group is None else {group}
        elif self._copied is not None and key not in self._copied:
            group = group.copy()
        else:
            return group
        self._groups[key] = group
        if self._copied is not None:
            self._copied.add(key)
        return group
