"""Keys of accounts that rotate themselves: policies, the steps of a rotation, and what is asked of providers."""

from keycairn.app.services.key_rotations.rotations import KeyRotations, Shown

__all__ = ["KeyRotations", "Shown"]
