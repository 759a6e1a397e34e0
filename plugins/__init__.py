"""Hooks, the registry, and the built-in providers, registered like anyone's."""
