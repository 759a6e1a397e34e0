"""Which credentials and models a token may touch, where that is less than its whole workspace."""

from msgspec import Struct

from keycairn.domain.ids import CredentialId
from keycairn.domain.model import Model
from keycairn.domain.names import covers, fits


class Reach(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only these providers, by their canonical names, only these credentials, only these models; None is no bound.

    `models` are patterns of names, or of `provider/name`: see `keycairn.domain.names`.
    """

    providers: tuple[str, ...] | None = None
    credentials: tuple[CredentialId, ...] | None = None
    models: tuple[str, ...] | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is out of reach."""
        return self.providers is None and self.credentials is None and self.models is None

    def holds(self, provider: str, credential: CredentialId | None = None) -> bool:
        """Whether an account of that provider is within reach; with None, every account of it there is or will be."""
        return (self.providers is None or provider in self.providers) and (
            self.credentials is None or (credential is not None and credential in self.credentials)
        )

    def following(self, gone: CredentialId, heir: CredentialId) -> "Reach":
        """The same, with `heir` in the place of a credential that goes."""
        if self.credentials is None or gone not in self.credentials:
            return self
        ids = dict.fromkeys(heir if id == gone else id for id in self.credentials)
        return Reach(providers=self.providers, credentials=tuple(ids), models=self.models)

    def names(self, provider: str, name: str) -> bool:
        """Whether a model of that name is among those that may be called, whosever account it is linked to."""
        return self.models is None or any(
            fits(pattern, name) or fits(pattern, f"{provider}/{name}") for pattern in self.models
        )

    def serves(self, model: Model) -> bool:
        """Whether the model may be called, and its account is within reach."""
        return self.holds(model.provider, model.credential) and self.names(model.provider, model.name)

    def everything_of(self, provider: str) -> bool:
        """Whether every model of the provider may be called, known or not."""
        return self.models is None or covers(self.models, f"{provider}/*")

    def within(self, other: "Reach") -> bool:
        """Whether all of this is within reach of `other` too."""
        return (
            _within(self.providers, other.providers)
            and _within(self.credentials, other.credentials)
            and (other.models is None or all(covers(other.models, pattern) for pattern in self.models or ("*",)))
        )


EVERYWHERE = Reach()


def _within(mine: tuple[str, ...] | None, theirs: tuple[str, ...] | None) -> bool:
    return theirs is None or (mine is not None and set(mine) <= set(theirs))
