"""A crowd of real clients before one gateway, and the providers behind it, each in a process of its own if need be."""
