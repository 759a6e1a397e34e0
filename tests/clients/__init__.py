"""Real SDKs as clients of the gateway. `make clients` runs them, and writes docs/clients.md."""
