"""The root key and the data keys: the vault, rotation, proof of the root key, forgetting retired keys."""

from keycairn.app.services.keys.encryption import FORMER_WAITS, Encryption
from keycairn.app.services.keys.lost_root_key import mark_all_broken, replace_keyset
from keycairn.app.services.keys.retired_keys import Forgotten, RetiredKeys
from keycairn.app.services.keys.root_keys import RootKeys
from keycairn.app.services.keys.rotation import Rotation
from keycairn.app.services.keys.vault import Vault

__all__ = [
    "FORMER_WAITS",
    "Encryption",
    "Forgotten",
    "RetiredKeys",
    "RootKeys",
    "Rotation",
    "Vault",
    "mark_all_broken",
    "replace_keyset",
]
