"""One metrics page made of several processes' pages, in Prometheus' text format."""

from collections.abc import Callable, Iterable

_LEAST = frozenset({"keycairn_store_available"})
"""Gauges of which the least counts: what is not so everywhere is not so. Of all others the greatest does."""
_SUMMED = frozenset({"counter", "histogram", "summary"})


class _Family:
    """A metric: the lines that describe it, its kind, and its samples by name and labels."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.kind = ""
        self.samples: dict[str, float] = {}


def merged(pages: Iterable[bytes]) -> bytes:
    """What the processes of these pages did together: what is counted is added, a condition is the worst of all."""
    return _text(_families(pages))


def counted(page: bytes) -> bytes:
    """What a page counts, without the conditions: what remains true of a process that has ended."""
    return _text({name: one for name, one in _families([page]).items() if one.kind in _SUMMED})


def _families(pages: Iterable[bytes]) -> dict[str, _Family]:
    families: dict[str, _Family] = {}
    for page in pages:
        family = _Family()
        name = ""
        for line in page.decode().splitlines():
            if line.startswith("# "):
                _, word, name, rest = [*line.split(" ", 3), ""][:4]
                family = families.setdefault(name, _Family())
                if line not in family.lines:
                    family.lines.append(line)
                family.kind = rest if word == "TYPE" else family.kind
            elif line:
                sample, _, value = line.rpartition(" ")
                known = family.samples.get(sample)
                number = float(value)
                family.samples[sample] = number if known is None else _combined(name, family.kind)(known, number)
    return families


def _combined(name: str, kind: str) -> Callable[[float, float], float]:
    if kind in _SUMMED:
        return float.__add__
    return min if name in _LEAST or name.endswith("_created") else max


def _text(families: dict[str, _Family]) -> bytes:
    lines: list[str] = []
    for family in families.values():
        lines += family.lines
        lines += [f"{sample} {value!r}" for sample, value in family.samples.items()]
    return "".join(f"{line}\n" for line in lines).encode()
