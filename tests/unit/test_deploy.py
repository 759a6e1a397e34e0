"""What lies in `deploy/` and in `compose.yaml` belongs to the service as it is."""

import json
import re
import sys
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
import yaml
from tests.house import House

from keycairn.app.gateway.metrics import GatewayMetrics
from keycairn.app.plugin import KeycairnPlugin
from keycairn.app.settings import HELP, SECRETS
from keycairn.app.web.metrics import Condition, Metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NAMED = re.compile(r"\bkeycairn_[a-z_]+\b")
GROWN = ("_total", "_bucket", "_count", "_sum", "_created")


def documents(file: str) -> list[dict[str, Any]]:
    return [*yaml.safe_load_all((DEPLOY / file).read_text())]


def containers() -> list[dict[str, Any]]:
    return [
        container
        for file in ("kubernetes/keycairn.yaml", "kubernetes/surrealdb.yaml")
        for document in documents(file)
        if "template" in document["spec"]
        for container in document["spec"]["template"]["spec"]["containers"]
    ]


def metrics() -> set[str]:
    """The names of all families, as they are without what tells their samples apart."""
    families = [*Metrics().registry.collect(), *GatewayMetrics().registry.collect()]
    return {family.name for family in families}


def variables() -> set[str]:
    return {f"KEYCAIRN_{name}" for name in HELP} | {f"KEYCAIRN_{name}_FILE" for name in SECRETS}


def set_by(text: str) -> set[str]:
    return set(re.findall(r"\bKEYCAIRN_[A-Z_]+\b", text))


@pytest.mark.parametrize(
    "file", ["compose.yaml", "Dockerfile", "deploy/kubernetes/keycairn.yaml", "docs/operations.md"]
)
def test_each_setting_that_is_named_is_one(file: str) -> None:
    assert set_by((ROOT / file).read_text()) - variables() == set()


@pytest.mark.parametrize(
    "file", ["deploy/monitoring/rules.yaml", "deploy/monitoring/grafana.json", "docs/operations.md"]
)
def test_each_metric_that_is_named_is_told(file: str) -> None:
    named = {re.sub(f"({'|'.join(GROWN)})$", "", name) for name in NAMED.findall((ROOT / file).read_text())}
    assert named
    assert named - metrics() == set()


def test_every_metric_is_described() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    assert [name for name in metrics() if name not in text] == []


def test_the_probes_are_routes_that_need_no_token() -> None:
    public = {
        route.path
        for route in KeycairnPlugin(keycairn=House().keycairn).router.routes
        if route.path.startswith("/health/")
    }
    probes = {
        container[probe]["httpGet"]["path"]
        for container in containers()
        if container["name"] == "keycairn"
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert probes <= public


def test_nothing_runs_as_root_or_writes_its_own_files_in_a_cluster() -> None:
    for container in containers():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}


def test_what_is_mounted_is_there() -> None:
    for file in ("kubernetes/keycairn.yaml", "kubernetes/surrealdb.yaml"):
        for document in documents(file):
            if "template" not in document["spec"]:
                continue
            pod = document["spec"]["template"]["spec"]
            claims = document["spec"].get("volumeClaimTemplates", [])
            there = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in claims}
            for container in pod["containers"]:
                assert {mount["name"] for mount in container["volumeMounts"]} <= there


def test_the_databases_run_on_an_engine_that_keeps_what_it_acknowledged() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    words = [*compose["services"]["surrealdb"]["command"], *next(c["args"] for c in containers() if "args" in c)]
    assert [word for word in words if "://" in word] == ["rocksdb:///data/keycairn?sync=every"] * 2


def test_compose_gives_secrets_as_files_that_it_declares() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    service = compose["services"]["keycairn"]
    files = [value for name, value in service["environment"].items() if name.endswith("_FILE")]
    assert {Path(file).name for file in files} == set(service["secrets"]) == set(compose["secrets"])
    assert service["read_only"]


def test_alerts_say_what_to_do() -> None:
    [group] = documents("monitoring/rules.yaml")[0]["groups"]
    for rule in group["rules"]:
        assert rule["annotations"]["action"]
        assert rule["annotations"]["summary"]


def test_the_dashboards_panels_do_not_overlap() -> None:
    panels = json.loads((DEPLOY / "monitoring/grafana.json").read_text())["panels"]
    cells = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)


def test_what_the_image_leaves_out_is_not_needed_by_a_service() -> None:
    [left_out] = re.findall(r"pip uninstall --yes (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    code = f"""
import sys
sys.modules.update(dict.fromkeys({left_out.split()!r}))
import keycairn.app.cli
from keycairn.app.plugin import KeycairnPlugin
assert KeycairnPlugin().router.openapi_schema.to_schema()["paths"]
"""
    run([sys.executable, "-c", code], check=True)  # noqa: S603  # our own words


def test_the_condition_is_told_as_numbers() -> None:
    condition = Condition(sealed=True, store_available=False, unreadable=3, flaws=2, newest_backup=None)
    text = Metrics().text(condition).decode()
    for line in (
        "keycairn_vault_sealed 1.0",
        "keycairn_store_available 0.0",
        "keycairn_records_unreadable 3.0",
        "keycairn_audit_flaws 2.0",
        "keycairn_newest_backup_timestamp_seconds 0.0",
    ):
        assert line in text.splitlines()
