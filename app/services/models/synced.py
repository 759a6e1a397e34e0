"""What came of checking a key, and of bringing the models of an account or a provider into step."""

from msgspec import Struct

from keycairn.domain.outcome import ConnectionReport, Outcome


class Checked(Struct, frozen=True):
    """What a provider said of an account, and how many milliseconds it took."""

    report: ConnectionReport
    duration_ms: int


class AccountSync(Struct, frozen=True, kw_only=True):
    """One account brought up to date. `account` is a credential's id, or `ENVIRONMENT`; `message` says what failed.

    `withheld`: discovered models that were left out because their names cannot be kept, see `Discovery`, or because
    somebody whose reach is bounded would take calls of what is out of it.
    """

    account: str
    outcome: Outcome = Outcome.OK
    message: str = ""
    discovered: int = 0
    new: int = 0
    existing: int = 0
    missing: int = 0
    withheld: int = 0


class Synced(Struct, frozen=True, kw_only=True):
    """One provider brought up to date, account by account; the numbers are their sums."""

    provider: str
    accounts: tuple[AccountSync, ...] = ()

    @property
    def discovered(self) -> int:
        """Models that were found."""
        return sum(one.discovered for one in self.accounts)

    @property
    def new(self) -> int:
        """Models that were registered."""
        return sum(one.new for one in self.accounts)

    @property
    def existing(self) -> int:
        """Found models that were registered before."""
        return sum(one.existing for one in self.accounts)

    @property
    def missing(self) -> int:
        """Registered models that were not found any more."""
        return sum(one.missing for one in self.accounts)

    @property
    def withheld(self) -> int:
        """Found models that were left out."""
        return sum(one.withheld for one in self.accounts)

    @property
    def failures(self) -> dict[str, str]:
        """Why an account was passed over, by the account."""
        return {one.account: one.message for one in self.accounts if one.message}
