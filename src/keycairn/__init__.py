"""Keycairn: a self-hosted service for AI provider accounts."""

__version__ = "0.1.0"
