"""How long tests look for what breaks a promise: the same short look each time, or longer and elsewhere when asked."""

import os

from hypothesis import HealthCheck, settings

ASKED = int(os.environ.get("KEYCAIRN_TEST_EXAMPLES", "0"))


def looking(examples: int, **more: object) -> settings:
    """`examples` cases, or KEYCAIRN_TEST_EXAMPLES times as many random ones."""
    return settings(
        max_examples=examples * max(1, ASKED),
        derandomize=not ASKED,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
        **more,  # type: ignore[arg-type]  # hypothesis's own names
    )
