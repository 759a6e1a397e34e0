"""How long a rotation of a key waits for what, and how often it tries."""

MAKE_WITHIN = 120.0
"""Seconds whoever began a creation has for it; afterwards anybody takes it for cut off."""
LOOK_AFTER, LOOK_AGAIN = 30.0, 60.0
"""Seconds after a creation was cut off until the keys are listed, and between two such looks."""
LOOKS = 2
"""Looks in a row that have to find nothing, before nothing is believed to be there."""
PROOFS = 2
"""How often in a row a new key has to work, and a former one to be refused."""
BETWEEN_PROOFS = 2.0
"""Seconds."""
SETTLE = 5.0
"""Seconds after the switch in which other instances come to know of it, and calls that opened the key begin."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0
"""Seconds before something that failed is tried again, doubled each time."""
MOST_REFUSALS = 6
"""How often a creation may be refused before the rotation ends."""
MOST_TRIES = 6
"""How often a creation may be begun."""
RETRY_DAYS = 1
"""Days after a failure, or after somebody called a rotation off, in which the policy begins nothing."""
LONGEST_WAIT = 86_400.0
"""Seconds that a provider may ask to wait."""
CLOCK_SLACK = 3600.0
"""Seconds by which the clocks of instances may differ; beyond that a step was stored by a clock that was wrong."""
PERSON_LOOKS = 3600.0
"""Seconds between two looks at what a person is asked for."""


def pause(attempt: int) -> float:
    """Seconds before the next attempt, after so many that failed in a row."""
    return float(min(FIRST_PAUSE * 2 ** min(attempt, 12), LONGEST_PAUSE))
