"""The real engine loses half its log to one flipped byte, and opens without a word. Keycairn says so."""

import os
from pathlib import Path
from shutil import copytree, ignore_patterns, rmtree

import pytest
from tests.nights import by_day

from keycairn.app.offline import accept_database
from keycairn.app.services.audit import FlawKind
from keycairn.app.settings import Settings
from keycairn.app.wiring import open_keycairn
from keycairn.domain.audit import Action, EventFilter
from keycairn.domain.errors import MissingDatabaseError, RedoLogError
from keycairn.domain.token import Scope


async def filled(data: Path, count: int = 60) -> Settings:
    settings = Settings(data_dir=data, external_plugins=False)
    async with open_keycairn(settings) as kc:
        for number in range(count):
            await kc.tokens.create(f"t{number}", (Scope.INVOKE,))
        assert (await kc.audit.verify()).intact
    return settings


def log_of(data: Path) -> Path:
    return max((data / "db").rglob("*"), key=lambda file: file.stat().st_size if file.is_file() else 0)


async def test_a_flipped_byte_in_the_middle_of_the_log_is_noticed_at_the_next_start(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = await filled(tmp_path)
    log = log_of(tmp_path)
    content = bytearray(log.read_bytes())
    content[len(content) * 2 // 3] ^= 0xFF
    log.write_bytes(bytes(content))

    for _ in range(2):
        with pytest.raises(RedoLogError, match="accept-database"):
            async with open_keycairn(settings):
                pass
    await accept_database(settings)
    async with open_keycairn(settings) as kc:
        report = await kc.audit.verify()
    assert not report.intact
    assert FlawKind.LOST in {flaw.kind for flaw in report.flaws}
    assert "not as it was left" in "".join(capfd.readouterr())

    async with open_keycairn(settings) as kc:
        assert not (await kc.audit.verify()).intact, "it stays on record after the next start"


async def test_an_older_copy_of_the_database_put_in_place_is_noticed(tmp_path: Path) -> None:
    settings = await filled(tmp_path, 3)
    old = {file: file.read_bytes() for file in (tmp_path / "db").rglob("*") if file.is_file()}
    await filled(tmp_path, 3)
    for file in [file for file in (tmp_path / "db").rglob("*") if file.is_file()]:
        file.unlink()
    for file, content in old.items():
        file.write_bytes(content)
    with pytest.raises(RedoLogError, match="older"):
        async with open_keycairn(settings):
            pass
    await accept_database(settings)
    async with open_keycairn(settings) as kc:
        assert [flaw.kind for flaw in (await kc.audit.verify()).flaws] == [FlawKind.LOST]


async def test_an_orderly_restart_finds_nothing_wrong(tmp_path: Path) -> None:
    settings = await filled(tmp_path, 3)
    assert (tmp_path / "db.redo").exists()
    async with open_keycairn(settings) as kc:
        assert (await kc.audit.verify()).intact


async def test_a_database_that_is_gone_is_not_made_anew_in_silence(tmp_path: Path) -> None:
    settings = await filled(tmp_path, 3)
    (tmp_path / "db").rename(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(MissingDatabaseError, match="is gone"):
            async with open_keycairn(settings):
                pass
    (tmp_path / "elsewhere").rename(tmp_path / "db")
    async with open_keycairn(settings) as kc:
        assert (await kc.audit.verify()).intact


async def test_another_database_put_in_place_is_noticed(tmp_path: Path) -> None:
    settings = await filled(tmp_path / "one", 3)
    await filled(tmp_path / "two", 9)
    rmtree(tmp_path / "one" / "db")
    (tmp_path / "two" / "db").rename(tmp_path / "one" / "db")
    with pytest.raises(RedoLogError, match="another database"):
        async with open_keycairn(settings):
            pass


async def test_a_redo_log_that_is_gone_is_said_once_and_begun_anew(tmp_path: Path) -> None:
    settings = await filled(tmp_path, 3)
    (tmp_path / "db.redo").unlink()
    async with open_keycairn(settings) as kc:
        assert [flaw.kind for flaw in (await kc.audit.verify()).flaws] == []
        [event] = await kc.audit.events(matching=EventFilter(action=Action.ANCHOR_RENEWED))
        assert event.outcome == FlawKind.UNPROVEN
    async with open_keycairn(settings) as kc:
        assert len(await kc.audit.events(matching=EventFilter(action=Action.ANCHOR_RENEWED))) == 1


@pytest.mark.parametrize("place", by_day([0, 20, 600, 1030, 2060, 2100], one_in=6))
async def test_a_damaged_redo_log_is_noticed_or_harmless(tmp_path: Path, place: int) -> None:
    settings = await filled(tmp_path, 3)
    file = tmp_path / "db.redo"
    content = bytearray(file.read_bytes())
    content[place] ^= 0xFF
    file.write_bytes(bytes(content))
    async with open_keycairn(settings) as kc:
        report = await kc.audit.verify()
        assert report.intact
        assert len(await kc.tokens.list()) == 4


async def test_one_byte_cut_from_the_end_of_the_database_is_told_once_and_numbers_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = await filled(tmp_path, 12)
    log = log_of(tmp_path)
    os.truncate(log, log.stat().st_size - 1)
    try:
        async with open_keycairn(settings):
            pass
    except RedoLogError:
        await accept_database(settings)
    told = []
    for start in range(3):
        capfd.readouterr()
        async with open_keycairn(settings) as kc:
            told.append("not as it was left" in "".join(capfd.readouterr()))
            await kc.tokens.create(f"after {start}", (Scope.INVOKE,))
            report = await kc.audit.verify()
            assert {flaw.kind for flaw in report.flaws} <= {FlawKind.LOST}, report.flaws
            assert len(report.flaws) <= 1, "one report, and no torn number taken twice"
            assert report.head == report.anchor == report.events
    assert told[1:] == [False, False], "nothing is complained of again"


@pytest.mark.parametrize("cut", [1, 40])
async def test_a_redo_log_with_a_torn_end_is_told_once_and_numbers_go_on(
    tmp_path: Path, cut: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """As after a kill: the files are copied while it runs, when the log holds entries, and lose their end."""
    settings = Settings(data_dir=tmp_path / "a", external_plugins=False)
    async with open_keycairn(settings) as kc:
        for number in range(6):
            await kc.tokens.create(f"t{number}", (Scope.INVOKE,))
        copytree(tmp_path / "a", tmp_path / "b", ignore=ignore_patterns("*.sock"))
    file = tmp_path / "b" / "db.redo"
    os.truncate(file, len(file.read_bytes().rstrip(b"\0")) - cut)
    settings = Settings(data_dir=tmp_path / "b", external_plugins=False)
    told = []
    for start in range(3):
        capfd.readouterr()
        async with open_keycairn(settings) as kc:
            told.append("not as it was left" in "".join(capfd.readouterr()))
            await kc.tokens.create(f"after {start}", (Scope.INVOKE,))
            report = await kc.audit.verify()
            assert report.intact, report.flaws
            assert report.head == report.anchor == report.events
            assert {f"t{number}" for number in range(5)} <= {token.name for token in await kc.tokens.list()}
    assert told[1:] == [False, False], "nothing is complained of again"
