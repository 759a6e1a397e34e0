"""The suite that every store has to pass, Keycairn's own too."""

from keycairn.testing.stores.conformance import StoreConformance

__all__ = ["StoreConformance"]
