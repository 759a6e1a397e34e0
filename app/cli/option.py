"""The type of an option that several commands have."""

from collections.abc import Callable
from typing import Any

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A decorator that gives a command the option."""
