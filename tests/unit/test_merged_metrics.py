"""One page speaks for all processes."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from keycairn.app.web.merged_metrics import counted, merged


def page(calls: int, *, available: int, unreadable: int, route: str = "/a b") -> bytes:
    registry = CollectorRegistry()
    Counter("keycairn_calls", "Calls.", ("route",), registry=registry).labels(route).inc(calls)
    seconds = Histogram("keycairn_seconds", "Time.", buckets=(1.0, 5.0), registry=registry)
    for number in range(calls):
        seconds.observe(number)
    Gauge("keycairn_store_available", "Whether.", registry=registry).set(available)
    Gauge("keycairn_records_unreadable", "How many.", registry=registry).set(unreadable)
    return generate_latest(registry)


def samples(text: bytes) -> dict[str, float]:
    return {
        f"{one.name}{dict(sorted(one.labels.items())) or ''}": one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
        if not one.name.endswith("_created")
    }


def test_what_is_counted_is_added_and_a_condition_is_the_worst_of_all() -> None:
    pages = [page(2, available=1, unreadable=0), page(7, available=0, unreadable=3, route="/c")]
    found = samples(merged([*pages, b""]))
    assert found["keycairn_calls_total{'route': '/a b'}"] == 2
    assert found["keycairn_calls_total{'route': '/c'}"] == 7
    assert found["keycairn_seconds_count"] == 9
    assert found["keycairn_seconds_bucket{'le': '1.0'}"] == 4
    assert found["keycairn_seconds_bucket{'le': '+Inf'}"] == 9
    assert found["keycairn_store_available"] == 0
    assert found["keycairn_records_unreadable"] == 3


def test_one_page_alone_says_the_same() -> None:
    alone = page(3, available=1, unreadable=0)
    assert samples(merged([alone])) == samples(alone)


def test_of_a_process_that_ended_its_counts_remain_and_its_condition_does_not() -> None:
    ended, now = page(5, available=0, unreadable=9), page(1, available=1, unreadable=0)
    found = samples(merged([counted(ended), now]))
    assert found["keycairn_calls_total{'route': '/a b'}"] == 6
    assert (found["keycairn_store_available"], found["keycairn_records_unreadable"]) == (1, 0)
    assert samples(merged([counted(merged([counted(ended), counted(ended)])), now]))["keycairn_seconds_count"] == 11
