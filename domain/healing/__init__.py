"""What people paste, looked at when it comes in: healed where one reading is possible, else refused with the reason."""

from keycairn.domain.healing.addresses import healed_address, healed_version, split_version
from keycairn.domain.healing.fields import Given, healed
from keycairn.domain.healing.keys import Healed, healed_key, is_short_word, speaks_of_a_placeholder
from keycairn.domain.healing.service_accounts import healed_service_account

__all__ = [
    "Given",
    "Healed",
    "healed",
    "healed_address",
    "healed_key",
    "healed_service_account",
    "healed_version",
    "is_short_word",
    "speaks_of_a_placeholder",
    "split_version",
]
