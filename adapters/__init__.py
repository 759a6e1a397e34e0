"""Implementations of the ports. Only `keycairn.app.wiring` names them."""
