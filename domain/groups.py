"""Ids by something that few of them share."""

from typing import Generic, TypeVar

_K = TypeVar("_K")
_T = TypeVar("_T", bound=str)


class Groups(Generic[_K, _T]):
    """Ids by what they share. Most groups are of one, which stands alone; the others are never altered, but replaced.

    So a copy is one of the outermost mapping only.
    """

    def __init__(self) -> None:
        self._groups: dict[_K, _T | frozenset[_T]] = {}

    def copy(self) -> "Groups[_K, _T]":
        """Another one with the same groups."""
        made: Groups[_K, _T] = Groups()
        made._groups = self._groups.copy()
        return made

    def of(self, key: _K) -> frozenset[_T]:
        """The group of `key`, empty where there is none."""
        group = self._groups.get(key)
        if group is None:
            return frozenset()
        return group if isinstance(group, frozenset) else frozenset((group,))

    def add(self, key: _K, *items: _T) -> None:
        """Have items in the group of `key`."""
        self._put(key, self.of(key).union(items) if key in self._groups or len(items) > 1 else frozenset(items))

    def discard(self, key: _K, *items: _T) -> None:
        """Have items no more in the group of `key`."""
        self._put(key, self.of(key).difference(items))

    def _put(self, key: _K, group: frozenset[_T]) -> None:
        if len(group) > 1:
            self._groups[key] = group
        elif group:
            (self._groups[key],) = group
        else:
            self._groups.pop(key, None)
