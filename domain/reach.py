"""Which credentials a token may touch, where that is less than its whole workspace."""

from msgspec import Struct

from keycairn.domain.ids import CredentialId


class Reach(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only these providers, by their canonical names, and only these credentials; None is no bound."""

    providers: tuple[str, ...] | None = None
    credentials: tuple[CredentialId, ...] | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is out of reach."""
        return self.providers is None and self.credentials is None

    def holds(self, provider: str, credential: CredentialId | None = None) -> bool:
        """Whether an account of that provider is within reach; with None, every account of it there is or will be."""
        return (self.providers is None or provider in self.providers) and (
            self.credentials is None or (credential is not None and credential in self.credentials)
        )

    def within(self, other: "Reach") -> bool:
        """Whether all of this is within reach of `other` too."""
        return _within(self.providers, other.providers) and _within(self.credentials, other.credentials)


EVERYWHERE = Reach()


def _within(mine: tuple[str, ...] | None, theirs: tuple[str, ...] | None) -> bool:
    return theirs is None or (mine is not None and set(mine) <= set(theirs))
