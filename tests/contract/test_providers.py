"""Every built-in provider passes the suite that authors of plugins get."""

import pytest
from tests.contract.provider_cases import CASES, PROVIDERS

from keycairn.testing import ProviderCase, ProviderConformance
from keycairn.testing.staging import set_up

WITH_LISTS = [case for case in CASES if case.checks == case.discovers]


def test_there_is_a_case_for_every_built_in_provider() -> None:
    assert [case.name for case in CASES] == [*PROVIDERS]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
class TestBuiltIn(ProviderConformance):
    pass


@pytest.mark.parametrize("case", WITH_LISTS, ids=lambda case: case.name)
async def test_a_check_of_an_account_with_a_url_names_what_it_found(case: ProviderCase) -> None:
    async with set_up(case) as stage:
        report = await case.provider.check(stage.account, stage.http)
        names = list(case.models)
        more = f" (+{len(names) - 3} more)" if len(names) > 3 else ""
        assert report.models == tuple(names)
        assert report.message == f"Connected. Models found: {', '.join(names[:3])}{more}."


@pytest.mark.parametrize("case", WITH_LISTS, ids=lambda case: case.name)
async def test_a_base_url_may_end_as_people_paste_it(case: ProviderCase) -> None:
    async with set_up(case) as stage:
        for number, ending in enumerate(("/", "//", "/models", "/models/"), start=1):
            await case.provider.check(case.account(stage.server.url + ending), stage.http)
            assert stage.sent() == stage.expected(*case.checks) * number, ending
