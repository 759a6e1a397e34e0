"""How an account is called, whoever its provider is."""

from msgspec import Struct


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a credential says of its calls. All of it is the service's own way where nothing is said.

    `any_model`: `provider/name` is passed on to the account where no such model is registered.
    """

    any_model: bool = False


NO_OPTIONS = Options()
