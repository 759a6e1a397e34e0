"""The container that suites of others start. Only the last test needs an engine."""

import re
import sys
from pathlib import Path
from shutil import which
from subprocess import run
from typing import Any

import httpx
import pytest

from keycairn.app.settings import read_settings
from keycairn.testing import KeycairnContainer
from keycairn.testing.container import IMAGE

ROOT = Path(__file__).parents[2]


def container(**options: Any) -> KeycairnContainer:
    return KeycairnContainer(docker_client_kw={"version": "1.44"}, **options)  # a given version is not asked for


def test_it_is_configured_as_the_service_reads_it() -> None:
    made = container(environment={"KEYCAIRN_EGRESS_POLICY": "strict"})
    settings = read_settings(made.env)
    assert settings.root_key is not None
    assert settings.admin_token is not None
    assert settings.admin_token.reveal() == made.token
    assert (settings.store_url, settings.egress_policy) == ("mem://", "strict")
    assert made.headers == {"Authorization": f"Bearer {made.token}"}


def test_no_two_share_a_key_or_a_token() -> None:
    first, second = container(), container()
    assert first.token != second.token
    assert first.env["KEYCAIRN_ROOT_KEY"] != second.env["KEYCAIRN_ROOT_KEY"]


def test_the_image_and_its_port_are_the_dockerfiles() -> None:
    assert [*container().ports] == re.findall(r"^EXPOSE (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert container(image="registry.example/keycairn:1").image == "registry.example/keycairn:1"


def test_the_kit_for_providers_does_not_load_docker() -> None:
    code = "import sys, keycairn.testing; assert 'docker' not in sys.modules and 'testcontainers' not in sys.modules"
    run([sys.executable, "-c", code], check=True)  # noqa: S603  # our own words


@pytest.mark.external
def test_a_real_one_answers() -> None:
    docker = which("docker")
    if docker is None or run([docker, "image", "inspect", IMAGE], check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip(f"needs a container engine and the image {IMAGE}")
    with KeycairnContainer() as keycairn:
        assert httpx.get(f"{keycairn.url}/api/credentials", headers=keycairn.headers).json() == []
        assert httpx.get(f"{keycairn.url}/api/credentials").status_code == 401
