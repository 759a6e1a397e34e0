"""The pure core: entities, values and rules. No I/O, no clock, no environment."""
