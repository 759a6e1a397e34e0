"""What only the commands of `keycairn` meet."""

from collections.abc import Mapping, Sequence
from typing import Any

from keycairn.domain.errors.root import KeycairnError


def _told_nothing(status: int) -> str:
    if status >= 500:
        return "What stands at that address failed, and does not say why. Its log may tell."
    return f"What stands at that address refused ({status}), and does not say why. Is it Keycairn?"


class RequestFailedError(KeycairnError):
    """Keycairn refused or failed a request; the text is its own sentence."""

    code = "request_failed"
    remedy = "Do as the service's sentence says."

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(str(problem.get("detail") or _told_nothing(status)))
        self.status = status
        self.problem = problem

    @property
    def faults(self) -> Mapping[str, Any]:
        """What is wrong with each field of the request, where that was said."""
        faults = self.problem.get("errors")
        return faults if isinstance(faults, dict) else {}


class KeysStayInsideError(KeycairnError):
    """The service that has the database open hands keys to nobody."""

    code = "keys_stay_inside"
    remedy = "Stop the service first, or let the program call its models through the gateway."

    def __init__(self) -> None:
        super().__init__(
            "This needs the key itself, and a running service hands keys to nobody, so the database must be opened "
            "here: stop the service first. Or let the program call its models through the service; see docs/gateway.md."
        )


class UnprovenServerError(KeycairnError):
    """What answers at the address is not the service that left word of itself. It got no token."""

    code = "server_unproven"
    remedy = "Restart that Keycairn, or name another with `KEYCAIRN_URL`."

    def __init__(self, url: str) -> None:
        super().__init__(
            f"Something answers on {url}, but does not prove that it is the Keycairn of this data folder, so it got no "
            "token. Restart that Keycairn, or name another with KEYCAIRN_URL."
        )


class NotKeycairnError(KeycairnError):
    """What answers at the address that was named is no Keycairn. It got no token."""

    code = "not_keycairn"
    remedy = "Look at the address; that of a provider is given with `--base-url`."

    def __init__(self, url: str) -> None:
        super().__init__(
            f"What answers at {url} is no Keycairn, so it got no token. The address of your Keycairn is given "
            "with --url or KEYCAIRN_URL, that of a provider with --base-url, or --set base_url=ADDRESS."
        )


class NoSuchNameError(KeycairnError):
    """No record is called what was typed. It is not echoed: it may be a misplaced key."""

    code = "no_such_name"
    remedy = "Take a name or an id that `keycairn credential list`, `model list` or `token list` shows."

    def __init__(self, kind: str) -> None:
        super().__init__(f"There is no {kind} of that name or id. `keycairn {kind} list` shows them.")


class AmbiguousNameError(KeycairnError):
    """Several records are called what was typed; the message lists them."""

    code = "ambiguous_name"
    remedy = "Give one of the words that the message lists."

    def __init__(self, kind: str, candidates: Sequence[str]) -> None:
        lines = "".join(f"\n  {each}" for each in candidates)
        super().__init__(f"Several {kind}s are called so. Give one of these instead:{lines}")
        self.candidates: tuple[str, ...] = tuple(candidates)
