"""The link that the first start prints."""

import re
from pathlib import Path

import pytest
from tests.house import House

from keycairn.app.cli.greeting import invite
from keycairn.app.settings import Settings
from keycairn.domain.secret import Secret
from keycairn.domain.token import Scope


async def test_the_first_start_prints_a_link_that_signs_in_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    house = House()
    keycairn = await house.open()
    token, text = await keycairn.tokens.create("first", (Scope.ADMIN,))
    file = tmp_path / "first-token"
    file.write_text(text.reveal() + "\n")
    invite(Settings(data_dir=tmp_path), "http://127.0.0.1:8765", keycairn, file)
    said = capsys.readouterr().out
    link = re.search(r"http://127\.0\.0\.1:8765/sign-in\?code=(\S+)", said)
    assert link, "it stands in one line"
    session = await keycairn.sessions.spend(Secret(link[1]), source="", request_id="")
    assert session.actor == token.id
    assert text.reveal() not in said


async def test_a_file_without_a_token_invites_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = House()
    file = tmp_path / "first-token"
    file.write_text("something else\n")
    invite(Settings(data_dir=tmp_path), "http://127.0.0.1:8765", await house.open(), file)
    assert not capsys.readouterr().out
