"""Keys and sealed secrets by AES-256-GCM, HKDF and Argon2id from `cryptography`."""

from keycairn.adapters.aesgcm.kdf import Argon2Cost
from keycairn.adapters.aesgcm.keyset import AesGcmKeysets

__all__ = ["AesGcmKeysets", "Argon2Cost"]
