"""Derivations of keys from passphrases stand beside each other."""

from concurrent.futures import ThreadPoolExecutor

from keycairn.adapters.aesgcm.kdf import ARGON2ID, Argon2Cost, fresh_salt, slot_key
from keycairn.domain.rootkey import RootKey, RootKeyForm
from keycairn.domain.secret import Secret

PHRASE = RootKey(RootKeyForm.PASSPHRASE, Secret("correct horse battery staple"))


def test_many_at_once_all_come_to_an_end() -> None:
    params = Argon2Cost(iterations=1, lanes=4, memory_kib=1024).params
    salts = [fresh_salt() for _ in range(24)]
    with ThreadPoolExecutor(8) as threads:
        keys = [*threads.map(lambda salt: slot_key(PHRASE, ARGON2ID, params, salt), salts)]
    assert None not in keys
