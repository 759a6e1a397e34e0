"""The rotation of a credential's key at its provider: its record, and the steps it goes through."""
