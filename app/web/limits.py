"""How large a request's body may be."""

LARGEST_BODY = 64 * 1024
"""Bytes, where a route does not say otherwise."""
LARGEST_IMPORT = 8 * 1024 * 1024
"""Bytes of rows to import, or of a file that holds them."""
