"""Keys of the built-in providers that their own APIs make and revoke, a file for each provider."""
