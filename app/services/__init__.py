"""Use cases: each reads through the store, decides in pure code, and commits one changeset."""
