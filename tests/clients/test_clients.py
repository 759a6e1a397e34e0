"""Every operation of every SDK that is tried works unchanged. They take minutes to install: that is for the night."""

import pytest
from tests.clients.house import run
from tests.clients.installed import NotInstallableError, commands


@pytest.mark.night
@pytest.mark.timeout(900)
async def test_real_sdks_work_unchanged(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    try:
        wanted = list(commands(pytestconfig.cache.mkdir("clients")))
    except NotInstallableError as error:
        pytest.skip(f"the SDKs cannot be installed here: {error}")
    found = await run(*wanted)
    assert {f"{client}: {name}": result for client, name, result in found["results"] if result != "ok"} == {}
    assert len(found["results"]) > 40
